//! What disks say of their own health, asked of them directly: no other program is needed.

pub mod ata;
pub mod nvme;

use super::kernel;
use std::fs::File;
use std::io;

/// A disk that can be asked.
pub trait Disk {
    /// An ATA command in its SCSI envelope; gives the sense bytes.
    ///
    /// # Errors
    /// The system's own.
    fn ata(&mut self, command: &[u8; 16], data: &mut [u8]) -> io::Result<[u8; 32]>;

    /// An NVMe admin command that reads: opcode, the tenth word, and where to.
    ///
    /// # Errors
    /// The system's own.
    fn nvme(&mut self, opcode: u8, word_10: u32, data: &mut [u8]) -> io::Result<()>;
}

impl Disk for File {
    fn ata(&mut self, command: &[u8; 16], data: &mut [u8]) -> io::Result<[u8; 32]> {
        kernel::scsi_read(self, command, data)
    }

    fn nvme(&mut self, opcode: u8, word_10: u32, data: &mut [u8]) -> io::Result<()> {
        kernel::nvme_read(self, opcode, word_10, data)
    }
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An ATA disk: what it is, its own verdict, its attributes.
    Ata(ata::Identity, Option<bool>, Vec<ata::Attribute>),
    /// An NVMe disk: serial number, model and firmware, and its health.
    Nvme([String; 3], nvme::Health),
    /// It sleeps, and was not woken.
    Sleeps,
}

/// A command in the envelope ATA PASS-THROUGH (16) (SAT-3 section 12.2.2.2): command, features, count, and whether
/// it reads a block. `0x4f` and `0xc2` are SMART's signature; other commands take no notice of it.
const fn envelope(command: u8, features: u8, reads: bool) -> [u8; 16] {
    // PIO data-in with its length in the count, or no data and the registers wanted back.
    let (protocol, how) = if reads { (4 << 1, 0x0e) } else { (3 << 1, 0x20) };
    let count = if reads { 1 } else { 0 };
    [0x85, protocol, how, 0, features, 0, count, 0, 0, 0, 0x4f, 0, 0xc2, 0, command, 0]
}

const CHECK_POWER: [u8; 16] = envelope(0xe5, 0, false);
const IDENTIFY: [u8; 16] = envelope(0xec, 0, true);
const SMART_DATA: [u8; 16] = envelope(0xb0, 0xd0, true);
const SMART_LIMITS: [u8; 16] = envelope(0xb0, 0xd1, true);
const SMART_VERDICT: [u8; 16] = envelope(0xb0, 0xda, false);

/// Asks an ATA disk, unless it sleeps.
///
/// # Errors
/// The system's own; `Unsupported` for what does not answer as an ATA disk.
pub fn ask_ata(disk: &mut impl Disk) -> io::Result<Told> {
    let no_disk =
        || io::Error::new(io::ErrorKind::Unsupported, "it does not answer as an ATA disk");
    let power = disk.ata(&CHECK_POWER, &mut [])?;
    // 0 is standby; 0xff active.
    if ata::registers(&power).is_some_and(|(count, _, _)| count == 0) {
        return Ok(Told::Sleeps);
    }
    let mut page = [0; 512];
    disk.ata(&IDENTIFY, &mut page)?;
    let identity = ata::identity(&page).ok_or_else(no_disk)?;
    if !identity.has_smart {
        return Ok(Told::Ata(identity, None, Vec::new()));
    }
    let (mut data, mut limits) = ([0; 512], [0; 512]);
    disk.ata(&SMART_DATA, &mut data)?;
    // The one and the other are long obsolete, and some disks have them no more.
    let _ = disk.ata(&SMART_LIMITS, &mut limits);
    let verdict = disk.ata(&SMART_VERDICT, &mut []).ok().and_then(|sense| ata::registers(&sense));
    let verdict = match verdict {
        Some((_, 0x4f, 0xc2)) => Some(true),
        Some((_, 0xf4, 0x2c)) => Some(false),
        _ => None,
    };
    Ok(Told::Ata(identity, verdict, ata::attributes(&data, &limits)))
}

/// Asks an NVMe disk.
///
/// # Errors
/// The system's own; `InvalidData` for an empty page.
pub fn ask_nvme(disk: &mut impl Disk) -> io::Result<Told> {
    let (mut page, mut who) = ([0; 512], [0; 4096]);
    // The number of double words less one, and the page's number.
    disk.nvme(2, 127 << 16 | 2, &mut page)?;
    disk.nvme(6, 1, &mut who)?;
    let health = nvme::health(&page).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Told::Nvme(nvme::identity(&who), health))
}

#[cfg(test)]
mod tests;
