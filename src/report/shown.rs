//! A section's clean text on its way: into `report.txt`, and past those who look for faults.

use super::findings::Watcher;
use super::gauges::Gauges;
use super::recipe::Section;
use super::scratch::Scratch;
use std::io::{self, Write};

/// The most bytes of a section in `report.txt`.
const MOST_TEXT: usize = 64 * 1024;
/// The same where the text is all there is.
const MOST_ALL: usize = 4 << 20;

/// Takes a section's clean text: for `report.txt`, and for the findings.
pub(super) struct Shown<'a> {
    section: &'static Section,
    watcher: &'a mut Watcher,
    gauges: &'a mut Gauges,
    text: &'a mut Scratch,
    line: Vec<u8>,
    number: u64,
    shown: usize,
    most: usize,
}

impl<'a> Shown<'a> {
    pub(super) fn new(
        section: &'static Section,
        watcher: &'a mut Watcher,
        gauges: &'a mut Gauges,
        text: &'a mut Scratch,
        is_all: bool,
    ) -> Self {
        let most = if is_all { MOST_ALL } else { MOST_TEXT };
        Self { section, watcher, gauges, text, line: Vec::new(), number: 0, shown: 0, most }
    }

    fn end_line(&mut self) {
        self.number += 1;
        let line = String::from_utf8_lossy(&self.line).into_owned();
        let found = self.watcher.line(self.section.path, self.number, &line);
        self.gauges.line(self.section.path, &line, found);
        self.line.clear();
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.line.is_empty() {
            self.end_line();
        }
        if self.shown >= self.most {
            writeln!(self.text, "\n[more in {}]", self.section.path)?;
        }
        if self.shown > 0 { writeln!(self.text) } else { Ok(()) }
    }
}

impl Write for Shown<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shown == 0 && !bytes.is_empty() {
            writeln!(self.text, "----- {} -----", self.section.title)?;
        }
        let room = self.most.saturating_sub(self.shown);
        let part = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.text.write_all(part)?;
        self.shown += part.len();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // Findings look at lines of logs, not at whole files without an end of line.
            let room = 4096_usize.saturating_sub(self.line.len());
            self.line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
            if piece.ends_with(b"\n") {
                while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                    self.line.pop();
                }
                self.end_line();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
