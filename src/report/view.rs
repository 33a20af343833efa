//! Looking into a report before it is given to anybody.

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use zip::ZipArchive;

/// The most of a manifest that is read.
const MOST_MANIFEST: u64 = 8 << 20;

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

/// Lists an archive, and checks every entry against the manifest.
///
/// # Errors
/// The system's own, and `Other` for what is no such archive.
pub fn list(path: &Path) -> io::Result<Vec<Listed>> {
    let mut archive = open(path)?;
    let manifest = match archive.by_name("manifest.json") {
        Ok(entry) => serde_json::from_reader(entry.take(MOST_MANIFEST))?,
        Err(_) => Value::Null,
    };
    let said = |name: &str| {
        let entries = manifest["entries"].as_array().into_iter().flatten();
        entries.into_iter().find(|entry| entry["path"] == name).cloned().unwrap_or_default()
    };
    let mut all = Vec::new();
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(io::Error::other)?;
        let path = entry.name().map_err(io::Error::other)?.into_owned();
        let says = said(&path);
        let (bytes, sha256) = hash(&mut entry)?;
        let verified = says["sha256"].as_str().map(|known| known == sha256);
        all.push(Listed { path, bytes, verified, says });
    }
    Ok(all)
}

/// Writes one entry as it is.
///
/// # Errors
/// The system's own; `NotFound` for a path that is not in it.
pub fn show(path: &Path, entry: &str, to: &mut dyn Write) -> io::Result<()> {
    let mut archive = open(path)?;
    let mut entry = archive
        .by_name(entry)
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "no such entry"))?;
    io::copy(&mut entry, to).map(drop)
}

fn open(path: &Path) -> io::Result<ZipArchive<File>> {
    ZipArchive::new(File::open(path)?).map_err(io::Error::other)
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
