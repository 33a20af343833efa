//! What is asked of a report.

use super::age::Recipient;
use super::pseudonym::Kind;
use crate::platform::capture::Wanted;
use core::time::Duration;
use serde::Serialize;
use std::path::PathBuf;

/// How long a report may take, and one with the crash part.
const TIME: Duration = Duration::from_secs(60);
const CRASH_TIME: Duration = Duration::from_secs(120);

/// In which form a report is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// One text.
    Text,
    /// The archive without a picture.
    Zip,
    /// The archive.
    #[default]
    ZipImage,
    /// The same as a packed tar, with more of each log.
    TarAll,
    /// What the kernel says, as a packed tar.
    Kernel,
}

impl Form {
    /// Each with its name on the command line.
    pub const ALL: [(&'static str, Self); 5] = [
        ("text", Self::Text),
        ("zip", Self::Zip),
        ("zip-image", Self::ZipImage),
        ("tar-all", Self::TarAll),
        ("kernel", Self::Kernel),
    ];

    /// The one of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, form)| form)
    }

    /// Whether a picture of the screen belongs to it.
    pub const fn has_image(self) -> bool {
        matches!(self, Self::ZipImage | Self::TarAll)
    }
}

/// How whoever makes a report agreed to what is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Acknowledged {
    /// There is nothing in it that needs a yes of its own.
    #[default]
    NotNeeded,
    /// A word was typed on a terminal.
    Typed,
    /// `--yes` was given.
    Yes,
}

/// What is asked of a report.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its form.
    pub form: Form,
    /// With the crash part: states of programs and what the network carried.
    pub crash: bool,
    /// With a picture of the screen.
    pub image: bool,
    /// Sections that are left out, as patterns on their paths.
    pub exclude: Vec<String>,
    /// What gets other names.
    pub pseudonymize: Vec<Kind>,
    /// Who alone can open it; everybody without any.
    pub recipients: Vec<Recipient>,
    /// How somebody agreed to what is in it.
    pub acknowledged: Acknowledged,
    /// What of the network is looked at, with the crash part.
    pub pcap: Option<Wanted>,
    /// Where the agent keeps its state, and its crashes.
    pub state_dir: PathBuf,
    /// How it was called, for the manifest.
    pub argv: Vec<String>,
}

impl Options {
    /// How long it may take.
    pub const fn time(&self) -> Duration {
        if self.crash { CRASH_TIME } else { TIME }
    }
}
