//! The picture of the display in the archive. Whatever goes wrong with it, there is a report (promise X3).

use super::bundle::{Entry, Sink, Status, Truncated};
use super::make::{Making, extra};
use super::picture;
use super::recipe::Section;
use crate::platform::screen;
use std::io::{self, Write};

/// The largest picture; what is larger shows nothing that can be read, as noise does.
const MOST: usize = 6 << 20;

/// Collects bytes up to the most.
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST {
            return Err(io::Error::other(format!("the picture is larger than {MOST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Making<'_> {
    /// Puts a picture of the display into the archive, else the text of the console, else why there is neither.
    pub(super) fn display(&mut self, section: &'static Section) -> io::Result<()> {
        let root = self.survey.source.root();
        let why = match screen::open(root) {
            Ok(mut shown) => {
                let mut bytes = Capped(Vec::new());
                match picture::png(&mut *shown, &mut bytes) {
                    Ok(()) => return self.add(section.path, section, &bytes.0),
                    Err(error) if crate::sabotage::off("report-picture") => return Err(error),
                    Err(error) => vec![format!("the screen: {error}")],
                }
            }
            Err(why) if crate::sabotage::off("report-picture") => {
                return Err(io::Error::other(why.join("; ")));
            }
            Err(why) => why,
        };
        let mut why: String = why.into_iter().map(|why| format!("{why}\n")).collect();
        match screen::console(root) {
            Ok(text) if !text.is_empty() => {
                return self.text(section, "image/console.txt", &format!("{text}\n"), None);
            }
            Ok(_) => why.push_str("/dev/vcs: nothing stands on the console\n"),
            Err(error) => why.push_str(&format!("/dev/vcs: {error}\n")),
        }
        let reason = why.trim_end().replace('\n', "; ");
        let text = format!(
            "There is no picture of a display:\n{why}What could be seen of the box: system/situation.txt\n"
        );
        self.text(section, "image/NO_DISPLAY.txt", &text, Some(reason))
    }

    /// A picture, which no text can be taken out of.
    fn add(
        &mut self,
        path: &'static str,
        section: &'static Section,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        let written = self.bundle.plain(path, &mut bytes)?;
        self.entries.push(Entry {
            source: "the display".into(),
            sensitivity: section.sensitivity,
            ..extra(path, section.title, written)
        });
        Ok(())
    }

    /// Text in its place, scrubbed like any other.
    fn text(
        &mut self,
        section: &'static Section,
        path: &'static str,
        text: &str,
        missing: Option<String>,
    ) -> io::Result<()> {
        let fill = |to: &mut dyn Sink| to.write_all(text.as_bytes());
        let written = self.bundle.entry(path, self.scrubber, &mut io::sink(), fill)?;
        let status = if missing.is_some() { Status::Absent } else { Status::Ok };
        self.entries.push(Entry {
            source: "the console".into(),
            status,
            reason: missing,
            truncated: Truncated::None,
            sensitivity: section.sensitivity,
            ..extra(path, section.title, written)
        });
        Ok(())
    }
}
