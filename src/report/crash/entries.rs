//! Entries that are no text, on their way into the archive.

use super::super::bundle::Status;
use super::super::make::{Making, line};
use super::super::recipe::{MakeBinaries, Section};
use std::io;
use std::sync::atomic::Ordering;

impl Making<'_> {
    /// Writes entries that are no text: nothing in them can be taken out, only the whole, by the second look.
    pub(in super::super) fn binaries(
        &mut self,
        section: &'static Section,
        make: MakeBinaries,
    ) -> io::Result<()> {
        let clock = self.survey.source.clock();
        let begun = clock.now().boot;
        let made = make(&self.survey);
        let elapsed = (clock.now().boot - begun).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let made = match made {
            Ok(made) if !made.is_empty() => made,
            Ok(_) => {
                self.entries.push(line(section, Status::Absent, None, None, elapsed));
                return Ok(());
            }
            Err(error) => {
                let why = Some(error.to_string());
                self.entries.push(line(section, Status::Error, why, None, elapsed));
                return Ok(());
            }
        };
        for binary in made {
            let size = u64::try_from(binary.bytes.len()).unwrap_or(u64::MAX);
            if self.size.load(Ordering::Relaxed).saturating_add(size) > self.room {
                let why = Some(format!("the report would grow above {} bytes", self.room));
                self.entries.push(line(section, Status::Partial, why, None, elapsed));
                break;
            }
            let written = self.bundle.plain(&binary.path, &mut binary.bytes.as_slice())?;
            let mut entry = line(section, Status::Ok, None, Some(written), elapsed);
            entry.path = binary.path;
            entry.source = binary.source;
            self.entries.push(entry);
        }
        Ok(())
    }
}
