//! A file that only this process can read: what is on the disk is sealed under a key that never leaves its memory.
//!
//! A report grows in one. Killed at any moment, even where a file needs a name, it leaves nothing that says anything,
//! and with `--recipient` nothing but the encrypted report was ever on the disk.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zeroize::Zeroize;

/// Bytes that are sealed together.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// The number of the sealing, from which the nonce is made.
const COUNT: usize = 8;

/// A sealed file that is read, written and sought in as any other.
pub struct Scratch {
    file: File,
    key: LessSafeKey,
    sealings: u64,
    /// The chunk that is held, and its number.
    held: Vec<u8>,
    number: u64,
    is_changed: bool,
    position: u64,
    length: Arc<AtomicU64>,
}

impl Scratch {
    /// Over an empty file.
    ///
    /// # Errors
    /// For want of random bytes.
    pub fn new(file: File) -> io::Result<Self> {
        let mut key = [0; 32];
        SystemRandom::new().fill(&mut key).map_err(failed)?;
        let sealed = UnboundKey::new(&CHACHA20_POLY1305, &key).map(LessSafeKey::new);
        key.zeroize();
        Ok(Self {
            file,
            key: sealed.map_err(failed)?,
            sealings: 0,
            held: vec![0; CHUNK],
            number: 0,
            is_changed: false,
            position: 0,
            length: Arc::default(),
        })
    }

    /// Its length, which follows as it grows.
    pub fn length(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.length)
    }

    fn len(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    /// Holds the chunk of the position, and gives the place in it.
    fn hold(&mut self) -> io::Result<usize> {
        let (number, at) = split(self.position);
        if number != self.number {
            self.put()?;
            self.take(number)?;
        }
        Ok(at)
    }

    /// Seals the held chunk into its place.
    fn put(&mut self) -> io::Result<()> {
        if !self.is_changed {
            return Ok(());
        }
        self.sealings += 1;
        let mut slot = Vec::with_capacity(COUNT + CHUNK + TAG);
        slot.extend_from_slice(&self.sealings.to_be_bytes());
        slot.extend_from_slice(&self.held);
        let body = slot.get_mut(COUNT..).unwrap_or_default();
        let (nonce, place) = (nonce(self.sealings), self.number.to_be_bytes());
        if crate::sabotage::off("report-sealed") {
            slot.extend_from_slice(&[0; TAG]);
        } else {
            let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(place), body);
            slot.extend_from_slice(tag.map_err(failed)?.as_ref());
        }
        self.file.write_all_at(&slot, offset(self.number))?;
        self.is_changed = false;
        Ok(())
    }

    /// Opens a chunk; one that was never written holds zeros.
    fn take(&mut self, number: u64) -> io::Result<()> {
        self.number = number;
        self.held.fill(0);
        let mut slot = vec![0; COUNT + CHUNK + TAG];
        match self.file.read_exact_at(&mut slot, offset(number)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let (count, body) = slot.split_at_mut(COUNT);
        let count = count.try_into().map(u64::from_be_bytes).unwrap_or_default();
        if count == 0 {
            // A hole between two that were written.
            return Ok(());
        }
        if crate::sabotage::off("report-sealed") {
            self.held.copy_from_slice(body.get(..CHUNK).unwrap_or_default());
            return Ok(());
        }
        let opened = self.key.open_in_place(nonce(count), Aad::from(number.to_be_bytes()), body);
        let opened = opened.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        self.held.copy_from_slice(opened);
        Ok(())
    }
}

impl Read for Scratch {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len().saturating_sub(self.position)).unwrap_or(usize::MAX);
        let at = self.hold()?;
        let count = into.len().min(CHUNK - at).min(left);
        let from = self.held.get(at..at + count).unwrap_or_default();
        into.get_mut(..count).unwrap_or_default().copy_from_slice(from);
        self.position += wide(count);
        Ok(count)
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.hold()?;
        let count = bytes.len().min(CHUNK - at);
        let to = self.held.get_mut(at..at + count).unwrap_or_default();
        to.copy_from_slice(bytes.get(..count).unwrap_or_default());
        self.is_changed |= count > 0;
        self.position += wide(count);
        self.length.fetch_max(self.position, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.put()
    }
}

impl Seek for Scratch {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
        };
        self.position = place.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// The chunk of a place, and the place in it.
fn split(place: u64) -> (u64, usize) {
    let chunk = wide(CHUNK);
    // What is left of a division by 64 KiB fits any word.
    (place / chunk, usize::try_from(place % chunk).unwrap_or_default())
}

fn offset(number: u64) -> u64 {
    number.saturating_mul(wide(COUNT + CHUNK + TAG))
}

fn nonce(count: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    let (_, low) = nonce.split_at_mut(NONCE_LEN - COUNT);
    low.copy_from_slice(&count.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn failed(_: Unspecified) -> io::Error {
    io::Error::other("the system gives no random bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::root::tests::scratch;

    #[test]
    fn it_is_a_file_like_any_other_and_nothing_of_it_is_on_the_disk() {
        let path = scratch("sealed").join("file");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let mut sealed = Scratch::new(file).unwrap();
        let mut plain = io::Cursor::new(Vec::new());
        let mut step = 12_345_u64;
        for round in 0_u8..60 {
            step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1) % 300_000;
            let text = format!("clear text {round} ").repeat(usize::from(round) * 130);
            let both: [&mut dyn WriteSeek; 2] = [&mut sealed, &mut plain];
            for to in both {
                to.seek(SeekFrom::Start(step)).unwrap();
                to.write_all(text.as_bytes()).unwrap();
            }
        }
        let mut back = Vec::new();
        sealed.rewind().unwrap();
        sealed.read_to_end(&mut back).unwrap();
        assert!(back == plain.into_inner());
        sealed.flush().unwrap();
        let disk = std::fs::read(&path).unwrap();
        assert!(!disk.windows(10).any(|part| part == b"clear text"), "it can be read");
    }

    #[test]
    fn what_was_altered_on_the_disk_is_not_read() {
        let path = scratch("sealed-altered").join("file");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let mut sealed = Scratch::new(file.try_clone().unwrap()).unwrap();
        sealed.write_all(&vec![1; 3 * CHUNK]).unwrap();
        sealed.flush().unwrap();
        file.write_all_at(b"x", 20).unwrap();
        sealed.rewind().unwrap();
        let error = io::copy(&mut sealed, &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    trait WriteSeek: Write + Seek {}
    impl<T: Write + Seek> WriteSeek for T {}
}
