//! Redaction of what is longer than memory: line by line, and long lines by windows that overlap.

use super::lines::{self, Below};
use super::shapes::{self, END};
use super::typed::Format;
use super::{Counts, Kind, Layer, Scrubber, Span, find};
use std::io::{self, Write};

/// How much of a line is looked at in one go.
const WINDOW: usize = 64 * 1024;
/// The part of it that is looked at again in the next: 8 KiB are longer than any secret, and what gives it away.
const OVERLAP: usize = 8;
/// The shortest line of base64 that another may follow: what wraps them writes 64 letters (RFC 7468) or 76 (RFC 2045).
const WRAPPED: usize = 48;

/// Where the lines are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// In no block.
    None,
    /// Between the head and the foot of a private key.
    Private,
    /// Between those of a certificate or a public key.
    Public,
}

/// Writes what it is given without its secrets.
pub struct Scrubbed<'a, W: Write> {
    scrubber: &'a Scrubber,
    to: W,
    window: usize,
    held: Vec<u8>,
    out: Vec<u8>,
    block: Block,
    below: Option<Below>,
    /// The line before was a random one that goes on here.
    wrapped: bool,
    /// A secret goes on behind the window.
    goes_on: bool,
    format: Option<&'static Format>,
    /// That of the next line, while the last one of the file before has no end.
    next: Option<Option<&'static Format>>,
    /// What was redacted so far.
    pub counts: Counts,
}

impl<'a, W: Write> Scrubbed<'a, W> {
    /// Writes to `to`.
    pub fn new(scrubber: &'a Scrubber, to: W) -> Self {
        Self::windowed(scrubber, to, WINDOW)
    }

    /// Writes to `to`, and looks at no more than so many bytes of a line at once: for tests of lines that are longer.
    #[doc(hidden)]
    pub fn windowed(scrubber: &'a Scrubber, to: W, window: usize) -> Self {
        Self {
            scrubber,
            to,
            window,
            held: Vec::new(),
            out: Vec::new(),
            block: Block::None,
            below: None,
            wrapped: false,
            goes_on: false,
            format: None,
            next: None,
            counts: Counts::new(),
        }
    }

    /// What is written from here on is this file: of a known format, only what is known to be harmless is shown.
    pub fn begins(&mut self, path: &str) {
        if self.held.is_empty() {
            self.format = Format::of(path);
        } else {
            self.next = Some(Format::of(path));
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
        let line = &*lines::seen(line);
        let line = self.behind(line);
        match self.block {
            Block::Private => self.in_private(line),
            Block::Public => self.in_public(line),
            Block::None => self.outside(line),
        }
    }

    /// What follows a secret that was longer than the window.
    fn behind<'b>(&mut self, line: &'b [u8]) -> &'b [u8] {
        if !core::mem::take(&mut self.goes_on) {
            return line;
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\0\"'<".contains(byte);
        let end = line.iter().position(ends);
        self.goes_on = end.is_none();
        line.get(end.unwrap_or(line.len())..).unwrap_or_default()
    }

    fn outside(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(begin) = shapes::begins_key(line) {
            // One that begins here and does not end here: all lines up to its end are the key.
            self.block = Block::Private;
            self.plain(line.get(..begin).unwrap_or_default())?;
            let marker = self.scrubber.marker(Kind::Key, line.get(begin..).unwrap_or_default());
            self.scrubber.counted(Layer::Shapes);
            *self.counts.entry(Kind::Key).or_default() += 1;
            return writeln!(self.to, "{marker}");
        }
        if shapes::begins_public(line) {
            self.block = Block::Public;
        }
        self.plain(line)
    }

    /// A line between the head and the foot of a private key, or the first one of which that is not true: a log may
    /// have lost the foot.
    fn in_private(&mut self, line: &[u8]) -> io::Result<()> {
        if let Some(end) = find(line, END) {
            self.block = Block::None;
            return self.plain(line.get(end..).unwrap_or_default());
        }
        let text = line.trim_ascii();
        let is_head = [&b"Proc-Type"[..], b"DEK-Info", b"Comment", b"Private-", b"Version"]
            .iter()
            .any(|head| text.starts_with(head));
        if text.is_empty() || is_head {
            return Ok(());
        }
        match lines::base64_word(line) {
            Some((start, _)) if lines::is_alone(line, start) => Ok(()),
            // With what a log writes before each line.
            Some((start, end)) if end - start >= 16 => {
                self.plain(line.get(..start).unwrap_or_default())?;
                let word = line.get(start..end).unwrap_or_default();
                *self.counts.entry(Kind::Key).or_default() += 1;
                writeln!(self.to, "{}", self.scrubber.marker(Kind::Key, word))
            }
            _ => {
                self.block = Block::None;
                self.outside(line)
            }
        }
    }

    /// A line of a certificate is random and no secret; of this box's own secrets none may be in it.
    fn in_public(&mut self, line: &[u8]) -> io::Result<()> {
        let is_body = lines::base64_word(line).is_some_and(|(at, _)| lines::is_alone(line, at));
        if is_body {
            self.out.clear();
            let spans = self.scrubber.known(line);
            self.scrubber.write(line, &spans, &mut self.counts, &mut self.out);
            return self.to.write_all(&self.out);
        }
        self.block = Block::None;
        self.outside(line)
    }

    fn plain(&mut self, line: &[u8]) -> io::Result<()> {
        let mut spans = self.scrubber.spans_of(line, self.format);
        self.continued(line, &mut spans);
        self.out.clear();
        self.scrubber.write(line, &spans, &mut self.counts, &mut self.out);
        self.to.write_all(&self.out)
    }

    /// What the lines before say of this one.
    fn continued(&mut self, line: &[u8], spans: &mut Vec<Span>) {
        let text = line.trim_ascii();
        if text.is_empty() {
            return;
        }
        let start = lines::indentation(line);
        let whole = Span {
            context: 0,
            start,
            end: start + text.len(),
            kind: Kind::Password,
            layer: Layer::Context,
        };
        let is_whole = spans.iter().any(|span| span.start <= start && span.end >= whole.end);
        let base64 = lines::base64_word(line).is_some_and(|(at, _)| lines::is_alone(line, at));
        if let Some(below) = self.below {
            let is_below = start > below.indentation && !lines::is_pair(line);
            self.below = self.below.filter(|below| is_below && below.block);
            if is_below && !super::off(Layer::Context) {
                *spans = vec![whole];
                return;
            }
        }
        let follows = self.wrapped && base64;
        if follows && !is_whole {
            *spans = vec![Span { kind: Kind::Random, layer: Layer::Entropy, ..whole }];
        }
        self.wrapped = base64 && (is_whole && text.len() >= WRAPPED || follows);
        self.below = lines::opens(line);
    }

    /// The first part of a line that is longer than the window; the rest is held.
    fn part(&mut self) -> io::Result<()> {
        let held = core::mem::take(&mut self.held);
        let text = lines::seen(&held);
        let text = self.behind(&text);
        let spans = self.scrubber.spans_of(text, self.format);
        let mut cut = text.len().saturating_sub(self.window / OVERLAP);
        // What gives a secret away stays with it.
        for span in spans.iter().rev() {
            if span.context < cut && span.end > cut {
                cut = if span.context > 0 { span.context } else { span.end.min(text.len()) };
            }
        }
        let done: Vec<_> = spans.into_iter().filter(|span| span.end <= cut).collect();
        self.goes_on |= done.last().is_some_and(|span| span.end == text.len());
        self.out.clear();
        let part = text.get(..cut).unwrap_or_default();
        self.scrubber.write(part, &done, &mut self.counts, &mut self.out);
        self.to.write_all(&self.out)?;
        self.held.extend_from_slice(text.get(cut..).unwrap_or_default());
        Ok(())
    }
}

impl<W: Write> Write for Scrubbed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for mut part in bytes.split_inclusive(|byte| *byte == b'\n') {
            while !part.is_empty() {
                // A window is full at the same byte in whatever pieces the text comes.
                let room = self.window.saturating_sub(self.held.len()).max(1).min(part.len());
                let (now, later) = part.split_at(room);
                self.held.extend_from_slice(now);
                part = later;
                if self.held.ends_with(b"\n") {
                    let mut held = core::mem::take(&mut self.held);
                    self.line(&held)?;
                    // The same memory again.
                    held.clear();
                    self.held = held;
                    self.format = self.next.take().unwrap_or(self.format);
                } else if self.held.len() >= self.window {
                    self.part()?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
