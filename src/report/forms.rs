//! The forms a report is given in, each made of the archive once that is whole and looked through.

use super::age::Encrypted;
use super::make::Order;
use super::options::{Form, Options};
use super::scratch::Scratch;
use super::tar;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use zip::ZipArchive;

impl Form {
    /// How the names of such files end.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Text => ".txt",
            Self::Zip | Self::ZipImage => ".zip",
            Self::TarAll | Self::Kernel => ".tar.gz",
        }
    }
}

/// Writes a report as it was asked for: in its form, and for its recipients alone.
pub(super) fn give(order: &Order<'_>, archive: &mut Scratch, to: &mut File) -> io::Result<()> {
    let Options { form, recipients, .. } = order.options;
    let made = order.clock.now().wall.unix_seconds();
    let mut to = BufWriter::new(to);
    if recipients.is_empty() || crate::sabotage::off("report-recipient") {
        write(*form, archive, made, &mut to)?;
        return to.flush();
    }
    let mut sealed = Encrypted::new(to, recipients)?;
    write(*form, archive, made, &mut sealed)?;
    sealed.finish().map(drop)
}

/// Writes an archive in this form. `made` is the time of its files, in Unix seconds.
///
/// # Errors
/// The files' own, and `Other` for what is no archive.
fn write<F: Read + Seek>(
    form: Form,
    archive: &mut F,
    made: u64,
    to: &mut dyn Write,
) -> io::Result<()> {
    archive.seek(SeekFrom::Start(0))?;
    match form {
        Form::Zip | Form::ZipImage => io::copy(archive, to).map(drop),
        Form::TarAll | Form::Kernel => packed(archive, made, to),
        Form::Text => text(archive, to),
    }
}

fn packed<F: Read + Seek>(archive: &mut F, made: u64, to: &mut dyn Write) -> io::Result<()> {
    let mut archive = ZipArchive::new(archive).map_err(io::Error::other)?;
    let mut to = GzEncoder::new(to, Compression::new(6));
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(io::Error::other)?;
        let name = entry.name().map_err(io::Error::other)?.into_owned();
        let size = entry.size();
        tar::entry(&name, size, made, &mut entry, &mut to)?;
    }
    tar::end(&mut to)?;
    to.finish().map(drop)
}

/// The text of all sections, and the manifest, which says what was taken out of them.
fn text<F: Read + Seek>(archive: &mut F, to: &mut dyn Write) -> io::Result<()> {
    let mut archive = ZipArchive::new(archive).map_err(io::Error::other)?;
    for (name, title) in [("report.txt", None), ("manifest.json", Some("Manifest"))] {
        // One in which a secret was left has been removed.
        let Ok(mut entry) = archive.by_name(name) else { continue };
        if let Some(title) = title {
            writeln!(to, "----- {title} -----")?;
        }
        io::copy(&mut entry, to)?;
        writeln!(to)?;
    }
    Ok(())
}
