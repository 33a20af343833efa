//! The file of a backup: a header that names version and time, then the content in sealed pieces.
//!
//! Each file has a key of its own, from the seal key and the random id in its header. The header is authenticated by a
//! tag of its own, so that whose a file is and how old shows without reading it whole; the pieces are bound to it, to
//! their place and, the last one, to being the last (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
//! Vizár, 2015). Nothing of the content is given out before its piece has verified.

use crate::clock::Wall;
use crate::hub::keys::{KeyError, random};
use crate::hub::seal::Seal;
use data_encoding::HEXLOWER;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 16] = b"qcloud-backup 1\n";
/// What a piece holds; with it the memory of both sides is bounded.
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;
/// Of the header, which is below 200 bytes.
const MAX_HEADER: usize = 4096;
/// In the length of a piece: it is the last one.
const LAST: u32 = 1 << 31;
/// In a nonce: the header, a piece, the last piece.
const HEADER: u8 = 0;
const INNER: u8 = 1;
const FINAL: u8 = 2;

/// What stands in plain at the begin of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Of the format.
    pub version: u32,
    /// When it was made.
    pub made_at: Wall,
    /// The version of the tables.
    pub schema: usize,
    /// Random; also in the journal.
    pub id: String,
}

/// Why a file is no backup of this hub, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read or written.
    #[error("the file cannot be read or written")]
    Io(#[from] io::Error),
    /// No randomness.
    #[error("no key could be made")]
    Key(#[from] KeyError),
    /// It is something else.
    #[error("it is no backup of a hub")]
    Foreign,
    /// It does not open with this key.
    #[error("it was changed, or is another hub's: it does not open with this seal.key")]
    Sealed,
}

impl Header {
    /// That of a backup made now.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn new(now: Wall, schema: usize) -> Result<Self, KeyError> {
        let id = HEXLOWER.encode(&random::<32>()?);
        Ok(Self { version: 1, made_at: Wall::from_unix_seconds(now.unix_seconds()), schema, id })
    }
}

/// Key, header and count of pieces: what both directions share.
struct Pieces {
    key: LessSafeKey,
    header: Vec<u8>,
    next: u64,
}

impl Pieces {
    fn new(seal: &Seal, id: &str, header: Vec<u8>) -> Result<Self, ArchiveError> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &seal.index("backup.key", id));
        let key = LessSafeKey::new(key.map_err(|_| ArchiveError::Sealed)?);
        Ok(Self { key, header, next: 0 })
    }

    /// No two pieces of one file have the same: they are counted, and the key is the file's own.
    fn nonce(&mut self, kind: u8) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        for (to, from) in nonce.iter_mut().zip([kind].into_iter().chain(self.next.to_be_bytes())) {
            *to = from;
        }
        self.next = self.next.saturating_add(1);
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&mut self, kind: u8, piece: &mut Vec<u8>) -> io::Result<()> {
        let nonce = self.nonce(kind);
        let aad = Aad::from(self.header.as_slice());
        let sealed = self.key.seal_in_place_append_tag(nonce, aad, piece);
        sealed.map_err(|_| io::Error::other("it could not be sealed"))
    }

    fn open(&mut self, kind: u8, piece: &mut Vec<u8>) -> Result<(), ArchiveError> {
        let nonce = self.nonce(kind);
        let aad = Aad::from(self.header.as_slice());
        let length = self.key.open_in_place(nonce, aad, piece).map(|open| open.len());
        piece.truncate(length.map_err(|_| ArchiveError::Sealed)?);
        Ok(())
    }
}

/// Seals what is written to it.
pub struct Archive<W> {
    to: W,
    pieces: Pieces,
    piece: Vec<u8>,
}

impl<W: Write> Archive<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// [`ArchiveError::Io`].
    pub fn begin(mut to: W, seal: &Seal, header: &Header) -> Result<Self, ArchiveError> {
        let text = serde_json::to_vec(header).map_err(io::Error::other)?;
        let mut pieces = Pieces::new(seal, &header.id, text)?;
        let mut tag = Vec::new();
        pieces.seal(HEADER, &mut tag)?;
        let length = u32::try_from(pieces.header.len()).map_err(io::Error::other)?;
        to.write_all(MAGIC)?;
        to.write_all(&length.to_be_bytes())?;
        to.write_all(&pieces.header)?;
        to.write_all(&tag)?;
        Ok(Self { to, pieces, piece: Vec::new() })
    }

    /// Ends the file; without this it is no backup.
    ///
    /// # Errors
    /// The system's.
    pub fn end(mut self) -> io::Result<W> {
        self.send(FINAL)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn send(&mut self, kind: u8) -> io::Result<()> {
        self.pieces.seal(kind, &mut self.piece)?;
        let length = u32::try_from(self.piece.len()).map_err(io::Error::other)?;
        let length = if kind == FINAL { length | LAST } else { length };
        self.to.write_all(&length.to_be_bytes())?;
        self.to.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }
}

impl<W: Write> Write for Archive<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() >= PIECE {
            self.send(INNER)?;
        }
        let room = PIECE.saturating_sub(self.piece.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.piece.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        // A piece is full or the last one.
        Ok(())
    }
}

/// Opens what [`Archive`] sealed.
pub struct Opened<R> {
    from: R,
    pieces: Pieces,
    piece: Vec<u8>,
    read: usize,
    ended: bool,
    /// What its header says.
    pub header: Header,
}

impl<R: Read> Opened<R> {
    /// Reads and verifies the header.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn begin(mut from: R, seal: &Seal) -> Result<Self, ArchiveError> {
        let mut magic = [0; MAGIC.len()];
        from.read_exact(&mut magic).map_err(short)?;
        let length = length(&mut from)?;
        if magic != *MAGIC || length > MAX_HEADER {
            return Err(ArchiveError::Foreign);
        }
        let text = exactly(&mut from, length)?;
        let header: Header = serde_json::from_slice(&text).map_err(|_| ArchiveError::Foreign)?;
        let mut pieces = Pieces::new(seal, &header.id, text)?;
        pieces.open(HEADER, &mut exactly(&mut from, TAG)?)?;
        Ok(Self { from, pieces, piece: Vec::new(), read: 0, ended: false, header })
    }

    fn next(&mut self) -> Result<(), ArchiveError> {
        let mut bytes = [0; 4];
        self.from.read_exact(&mut bytes).map_err(short)?;
        let length = u32::from_be_bytes(bytes);
        self.ended = length & LAST != 0;
        let length = usize::try_from(length & !LAST).map_err(|_| ArchiveError::Sealed)?;
        if length > PIECE + TAG {
            return Err(ArchiveError::Sealed);
        }
        self.piece = exactly(&mut self.from, length)?;
        self.read = 0;
        self.pieces.open(if self.ended { FINAL } else { INNER }, &mut self.piece)?;
        if self.ended && self.from.read(&mut [0])? != 0 {
            return Err(ArchiveError::Sealed);
        }
        Ok(())
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.read >= self.piece.len() && !self.ended {
            self.next().map_err(|e| match e {
                ArchiveError::Io(error) => error,
                other @ (ArchiveError::Key(_) | ArchiveError::Foreign | ArchiveError::Sealed) => {
                    io::Error::new(io::ErrorKind::InvalidData, other)
                }
            })?;
        }
        let mut rest = self.piece.get(self.read..).unwrap_or_default();
        let taken = rest.read(to)?;
        self.read = self.read.saturating_add(taken);
        Ok(taken)
    }
}

/// A file that ends too early was cut.
fn short(error: io::Error) -> ArchiveError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        ArchiveError::Sealed
    } else {
        ArchiveError::Io(error)
    }
}

fn length(from: &mut impl Read) -> Result<usize, ArchiveError> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes).map_err(short)?;
    usize::try_from(u32::from_be_bytes(bytes)).map_err(|_| ArchiveError::Foreign)
}

fn exactly(from: &mut impl Read, length: usize) -> Result<Vec<u8>, ArchiveError> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).map_err(short)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn seal(byte: u8) -> Seal {
        Seal::new(&Secret::new([byte; 64])).unwrap()
    }

    fn file(content: &[u8]) -> Vec<u8> {
        let header = Header::new(Wall::from_unix_seconds(1_800_000_000), 9).unwrap();
        let mut archive = Archive::begin(Vec::new(), &seal(1), &header).unwrap();
        archive.write_all(content).unwrap();
        archive.end().unwrap()
    }

    fn read(bytes: &[u8], key: u8) -> Result<Vec<u8>, String> {
        let mut opened = Opened::begin(bytes, &seal(key)).map_err(|e| e.to_string())?;
        let mut content = Vec::new();
        opened.read_to_end(&mut content).map_err(|e| e.to_string())?;
        Ok(content)
    }

    #[test]
    fn what_went_in_comes_out_whatever_its_length() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let content: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            assert_eq!(read(&file(&content), 1).unwrap(), content, "{length}");
        }
    }

    #[test]
    fn no_changed_cut_or_lengthened_file_opens_and_no_other_key_opens_one() {
        let bytes = file(b"the rows of a hub");
        assert!(!bytes.windows(4).any(|part| part == b"rows"));
        assert!(read(&bytes, 2).is_err());
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert!(read(&forged, 1).is_err(), "byte {at}");
            assert!(read(&bytes[..at], 1).is_err(), "cut at {at}");
        }
        assert!(read(&[bytes.as_slice(), b"x"].concat(), 1).is_err());
    }

    #[test]
    fn pieces_stay_in_their_place_and_their_file() {
        let long = vec![7; 2 * PIECE + 5];
        let bytes = file(&long);
        let whole = 4 + PIECE + TAG;
        let end = bytes.len() - (4 + 5 + TAG);
        let (first, second) = (end - 2 * whole, end - whole);
        let swapped =
            [&bytes[..first], &bytes[second..end], &bytes[first..second], &bytes[end..]].concat();
        assert!(read(&swapped, 1).is_err());
        // The last piece dropped, the one before called the last.
        let mut cut = bytes[..end].to_vec();
        cut[second] |= 0x80;
        assert!(read(&cut, 1).is_err());
        let other = file(&long);
        let mixed = [&bytes[..second], &other[other.len() - (bytes.len() - second)..]].concat();
        assert!(read(&mixed, 1).is_err());
    }
}
