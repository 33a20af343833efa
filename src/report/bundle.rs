//! The archive: entries one after the other, each with its checksum and its line in the manifest.
//!
//! What is written goes through the scrubber on its way; nothing is held but one line and the compressor's window.

use super::pseudonym::{Pseudonyms, Renamed};
use super::scrub::stream::Scrubbed;
use super::scrub::{Counts, Scrubber};
use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The size of an archive above which entries are left out: a support desk's mail takes it.
pub const MOST_BYTES: u64 = 25 << 20;

/// How an entry came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Whole.
    Ok,
    /// Something of it is missing; the reason says what.
    Partial,
    /// It took too long.
    Timeout,
    /// This box has nothing of the kind.
    Absent,
    /// Left out on purpose.
    Skipped,
    /// It failed; the reason says how.
    Error,
}

/// How freely an entry may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Facts of the machine.
    Low,
    /// Names of people, addresses, what they did.
    Personal,
    /// Parts of memory or of traffic.
    High,
}

/// Which part of what was there is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncated {
    /// None.
    None,
    /// The older one: the end is kept.
    Head,
    /// The newer one: the beginning is kept.
    Tail,
}

/// An entry's line in the manifest.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its path in the archive.
    pub path: String,
    /// Its title, as in `report.txt`.
    pub section: &'static str,
    /// Where it was read, or what made it.
    pub source: String,
    /// How it came out.
    pub status: Status,
    /// Why it is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
    /// Its size in the archive before compression.
    pub bytes: u64,
    /// The size of what it was made of, where that is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_bytes: Option<u64>,
    /// Which part of that is missing.
    pub truncated: Truncated,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// How freely it may be shown.
    pub sensitivity: Sensitivity,
    /// How many secrets of each kind were taken out.
    pub redactions: BTreeMap<&'static str, u64>,
}

/// What was written of an entry.
pub struct Written {
    /// Its size before compression.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal digits.
    pub sha256: String,
    /// What was redacted.
    pub redactions: BTreeMap<&'static str, u64>,
}

/// Counts and hashes what goes through.
struct Hashed<'a, W: Write> {
    to: &'a mut W,
    also: &'a mut dyn Write,
    hash: Context,
    bytes: u64,
}

impl<W: Write> Write for Hashed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        let bytes = bytes.get(..written).unwrap_or_default();
        self.hash.update(bytes);
        self.also.write_all(bytes)?;
        self.bytes += u64::try_from(written).unwrap_or_default();
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Takes what a section is filled with.
pub trait Sink: Write {
    /// What is written from here on is this file of the box.
    fn begins(&mut self, path: &str);
}

impl<W: Write> Sink for Scrubbed<'_, W> {
    fn begins(&mut self, path: &str) {
        Scrubbed::begins(self, path);
    }
}

/// An archive that grows.
pub struct Bundle<'a, W: Write + Seek> {
    zip: ZipWriter<W>,
    names: Option<&'a Pseudonyms>,
}

impl<'a, W: Read + Write + Seek> Bundle<'a, W> {
    /// Into an empty file; what goes through the scrubber gets these other names too.
    pub fn new(file: W, names: Option<&'a Pseudonyms>) -> Self {
        Self { zip: ZipWriter::new(file), names }
    }

    /// Writes an entry through the scrubber; `also` gets the clean bytes too.
    ///
    /// # Errors
    /// The file's own, and those of `fill`.
    pub fn entry(
        &mut self,
        path: &str,
        scrubber: &Scrubber,
        also: &mut dyn Write,
        fill: impl FnOnce(&mut dyn Sink) -> io::Result<()>,
    ) -> io::Result<Written> {
        self.start(path)?;
        let hashed = Hashed { to: &mut self.zip, also, hash: Context::new(&SHA256), bytes: 0 };
        let mut scrubbed = Scrubbed::new(scrubber, Renamed::new(self.names, hashed));
        fill(&mut scrubbed)?;
        let (renamed, counts) = scrubbed.finish()?;
        let (hashed, renamed) = renamed.finish()?;
        let sha256 = HEXLOWER.encode(hashed.hash.finish().as_ref());
        let mut redactions = named(&counts);
        redactions.extend(renamed.iter().map(|(kind, count)| (kind.name(), *count)));
        Ok(Written { bytes: hashed.bytes, sha256, redactions })
    }

    /// Writes an entry of this program's own, in which nothing is to be found.
    ///
    /// # Errors
    /// The file's own, and those of `from`.
    pub fn plain(&mut self, path: &str, from: &mut dyn Read) -> io::Result<Written> {
        self.start(path)?;
        let also = &mut io::sink();
        let mut hashed = Hashed { to: &mut self.zip, also, hash: Context::new(&SHA256), bytes: 0 };
        io::copy(from, &mut hashed)?;
        let sha256 = HEXLOWER.encode(hashed.hash.finish().as_ref());
        Ok(Written { bytes: hashed.bytes, sha256, redactions: BTreeMap::new() })
    }

    fn start(&mut self, path: &str) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(6))
            .unix_permissions(0o600);
        self.zip.start_file(path, options).map_err(io::Error::other)
    }

    /// Ends the archive, and gives the file back.
    ///
    /// # Errors
    /// The file's own.
    pub fn finish(self) -> io::Result<W> {
        let mut file = self.zip.finish().map_err(io::Error::other)?;
        file.flush()?;
        Ok(file)
    }
}

/// Counts by the names of their kinds.
pub fn named(counts: &Counts) -> BTreeMap<&'static str, u64> {
    counts.iter().map(|(kind, count)| (kind.name(), *count)).collect()
}

/// Looks at a finished archive again: the entries in whose bytes or names a secret is still to be found. Their names
/// are given, never the secret.
///
/// # Errors
/// The file's own, and `InvalidData` for what is no archive.
pub fn leaks<F: Read + Seek>(file: &mut F, scrubber: &Scrubber) -> io::Result<Vec<String>> {
    file.seek(SeekFrom::Start(0))?;
    let mut archive = ZipArchive::new(file).map_err(io::Error::other)?;
    let mut found = Vec::new();
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(io::Error::other)?;
        let name = entry.name().map_err(io::Error::other)?.into_owned();
        if OWN.contains(&&*name) {
            continue;
        }
        let mut hit = !scrubber.certain(name.as_bytes()).is_empty();
        let mut window = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while !hit {
            let read = entry.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            window.extend_from_slice(buffer.get(..read).unwrap_or_default());
            hit = !scrubber.certain(&window).is_empty()
                && !crate::sabotage::off("report-second-look");
            // What may be the beginning of a secret is looked at with what follows it.
            window.drain(..window.len().saturating_sub(LOOK_BACK));
        }
        if hit {
            found.push(name);
        }
    }
    Ok(found)
}

/// What is of this program's own words, between texts that were scrubbed one by one: a box whose password is one of
/// those words would lose them.
const OWN: [&str; 5] =
    ["index.html", "README.txt", "summary.json", "findings.json", "manifest.json"];

/// Longer than any pattern that is looked for.
const LOOK_BACK: usize = 4096;

/// Writes an archive again without some of its entries, in each of whose place a line says so.
///
/// # Errors
/// The files' own.
pub fn without<F: Read + Seek, W: Read + Write + Seek>(
    file: &mut F,
    names: &[String],
    into: W,
) -> io::Result<W> {
    file.seek(SeekFrom::Start(0))?;
    let mut archive = ZipArchive::new(file).map_err(io::Error::other)?;
    let mut bundle = Bundle::new(into, None);
    for number in 0..archive.len() {
        let entry = archive.by_index_raw(number).map_err(io::Error::other)?;
        let name = entry.name().map_err(io::Error::other)?;
        if names.iter().any(|removed| *removed == name) {
            let stub = format!("removed/{number}.txt");
            drop(entry);
            bundle.start(&stub)?;
            bundle.zip.write_all(b"removed: a secret was found in it after redaction\n")?;
        } else {
            bundle.zip.raw_copy_file(entry).map_err(io::Error::other)?;
        }
    }
    bundle.finish()
}
