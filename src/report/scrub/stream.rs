//! Redaction of what is longer than memory: line by line, and long lines by windows that overlap.

use super::shapes::{BEGIN, END, key_body};
use super::{Counts, Kind, Scrubber, find};
use std::io::{self, Write};

/// How much of a line is looked at in one go.
const WINDOW: usize = 64 * 1024;
/// How much of it is looked at again in the next: longer than any secret, and what gives it away.
const OVERLAP: usize = 8 * 1024;

/// Writes what it is given without its secrets.
pub struct Scrubbed<'a, W: Write> {
    scrubber: &'a Scrubber,
    to: W,
    held: Vec<u8>,
    out: Vec<u8>,
    in_key: bool,
    /// What was redacted so far.
    pub counts: Counts,
}

impl<'a, W: Write> Scrubbed<'a, W> {
    /// Writes to `to`.
    pub fn new(scrubber: &'a Scrubber, to: W) -> Self {
        Self {
            scrubber,
            to,
            held: Vec::new(),
            out: Vec::new(),
            in_key: false,
            counts: Counts::new(),
        }
    }

    /// Writes what is held, and gives back where it wrote to.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(mut self) -> io::Result<(W, Counts)> {
        let held = core::mem::take(&mut self.held);
        self.line(&held)?;
        Ok((self.to, self.counts))
    }

    /// A line, or the last part of one.
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.clear();
        if self.in_key {
            if let Some(end) = find(line, END) {
                self.in_key = false;
                return self.plain(line.get(end..).unwrap_or_default());
            }
            return Ok(());
        }
        if let Some(begin) = begins_key(line) {
            // One that begins here and does not end here: all lines up to its end are the key.
            self.in_key = true;
            self.plain(line.get(..begin).unwrap_or_default())?;
            let marker = self.scrubber.marker(Kind::Key, line.get(begin..).unwrap_or_default());
            *self.counts.entry(Kind::Key).or_default() += 1;
            return writeln!(self.to, "{marker}");
        }
        self.plain(line)
    }

    fn plain(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.clear();
        self.scrubber.scrub(line, &mut self.counts, &mut self.out);
        self.to.write_all(&self.out)
    }

    /// The first part of a line that is longer than the window; the rest is held.
    fn window(&mut self) -> io::Result<()> {
        let held = core::mem::take(&mut self.held);
        let spans = self.scrubber.spans(&held);
        let mut cut = held.len().saturating_sub(OVERLAP);
        // What gives a secret away stays with it.
        for span in spans.iter().rev() {
            if span.context < cut && span.end > cut {
                cut = if span.context > 0 { span.context } else { span.end.min(held.len()) };
            }
        }
        let done: Vec<_> = spans.into_iter().filter(|span| span.end <= cut).collect();
        self.out.clear();
        let part = held.get(..cut).unwrap_or_default();
        self.scrubber.write(part, &done, &mut self.counts, &mut self.out);
        self.to.write_all(&self.out)?;
        self.held = held.get(cut..).unwrap_or_default().to_vec();
        Ok(())
    }
}

impl<W: Write> Write for Scrubbed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(part);
            if part.ends_with(b"\n") && self.held.len() <= WINDOW {
                let held = core::mem::take(&mut self.held);
                self.line(&held)?;
                // The same memory again.
                self.held = held;
                self.held.clear();
            }
            while self.held.len() > WINDOW {
                self.window()?;
            }
            if self.held.ends_with(b"\n") {
                let held = core::mem::take(&mut self.held);
                self.line(&held)?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Where the body of a private key begins that does not end on this line.
fn begins_key(line: &[u8]) -> Option<usize> {
    let body = key_body(line, find(line, BEGIN)?)?;
    find(line.get(body..)?, END).is_none().then_some(body)
}
