//! Just enough of tar (POSIX.1-1988 ustar) to write a report and to look into one.

use std::io::{self, Read, Write};

/// A block.
const BLOCK: usize = 512;
/// The longest name of a header's first field, and of the one for what stands before it.
const NAME: usize = 100;
const BEFORE: usize = 155;

/// Writes a file.
///
/// # Errors
/// The writers' own; `InvalidInput` for a name longer than a header holds, or a size that is not what `from` gives.
pub fn entry(
    name: &str,
    size: u64,
    made: u64,
    from: &mut dyn Read,
    to: &mut dyn Write,
) -> io::Result<()> {
    to.write_all(&header(name, size, made)?)?;
    let copied = io::copy(&mut from.take(size), to)?;
    if copied != size {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let rest = padding(size);
    to.write_all([0; BLOCK].get(..rest).unwrap_or_default())
}

/// Ends an archive.
///
/// # Errors
/// The writer's own.
pub fn end(to: &mut dyn Write) -> io::Result<()> {
    to.write_all(&[0; 2 * BLOCK])
}

fn header(name: &str, size: u64, made: u64) -> io::Result<[u8; BLOCK]> {
    let mut block = [0; BLOCK];
    let (before, name) = halves(name).ok_or(io::ErrorKind::InvalidInput)?;
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{made:011o}\0").as_bytes());
    // The sum is that of a header with blanks in its place.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, before.as_bytes());
    let sum: u32 = block.iter().copied().map(u32::from).sum();
    if let Some(place) = block.get_mut(148..156) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(block)
}

/// A name in the two parts of a header; `None` when it does not fit.
fn halves(name: &str) -> Option<(&str, &str)> {
    if !name.is_empty() && name.len() <= NAME {
        return Some(("", name));
    }
    let fits =
        |(before, name): &(&str, &str)| before.len() <= BEFORE && (1..=NAME).contains(&name.len());
    name.match_indices('/')
        .filter_map(|(at, _)| Some((name.get(..at)?, name.get(at + 1..)?)))
        .find(fits)
}

fn padding(size: u64) -> usize {
    let over = size % 512;
    // Less than a block.
    usize::try_from((512 - over) % 512).unwrap_or_default()
}

/// Gives every file of an archive to `each`, in order, with its name and its bytes.
///
/// # Errors
/// The reader's own and those of `each`; `InvalidData` for what is no archive of files.
pub fn each(
    mut from: impl Read,
    mut each: impl FnMut(&str, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    loop {
        let mut block = [0; BLOCK];
        from.read_exact(&mut block)?;
        if block == [0; BLOCK] {
            return Ok(());
        }
        let name = field(&block, 0, NAME).ok_or_else(bad)?.to_owned();
        let name = match field(&block, 345, BEFORE).ok_or_else(bad)? {
            "" => name,
            before => format!("{before}/{name}"),
        };
        let size = field(&block, 124, 12).and_then(|text| u64::from_str_radix(text.trim(), 8).ok());
        let size = size.ok_or_else(bad)?;
        let mut body = (&mut from).take(size);
        each(&name, &mut body)?;
        io::copy(&mut body, &mut io::sink())?;
        let mut rest = [0; BLOCK];
        from.read_exact(rest.get_mut(..padding(size)).unwrap_or_default())?;
    }
}

fn field(block: &[u8; BLOCK], at: usize, length: usize) -> Option<&str> {
    let bytes = block.get(at..at + length)?;
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(length);
    core::str::from_utf8(bytes.get(..end)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let long = format!("{}/{}", "a".repeat(90), "b".repeat(90));
        let files: [(&str, &[u8]); 4] =
            [("a/b.txt", b"hello"), ("empty", b""), ("block", &[7; BLOCK]), (&long, &[8; 700])];
        let mut archive = Vec::new();
        for (name, bytes) in files {
            let size = u64::try_from(bytes.len()).unwrap();
            entry(name, size, 1_700_000_000, &mut &bytes[..], &mut archive).unwrap();
        }
        end(&mut archive).unwrap();
        assert_eq!(archive.len() % BLOCK, 0);
        let mut found = Vec::new();
        each(&archive[..], |name, body| {
            let mut bytes = Vec::new();
            body.read_to_end(&mut bytes)?;
            found.push((name.to_owned(), bytes));
            Ok(())
        })
        .unwrap();
        let files: Vec<_> = files.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into();
        assert_eq!(found, files);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let long = "x".repeat(NAME + 1);
        assert!(entry(&long, 0, 0, &mut io::empty(), &mut io::sink()).is_err());
        assert!(entry("short", 5, 0, &mut &b"four"[..], &mut io::sink()).is_err());
        assert!(each(&[b'x'; BLOCK][..], |_, _| Ok(())).is_err());
        assert!(each(&[0; 100][..], |_, _| Ok(())).is_err());
    }
}
