//! Facts of the box: what it is, what it runs, what it has, each with where that stands.
//!
//! Everything is parsed from files below a [`Root`], so that a tree of files stands for a box. Product families
//! keep the same fact in different files: each family is a table of [`Place`]s, and the first place that has a
//! believable value wins. A fact that cannot be read is no error of the whole: it carries why.
//!
//! What the files say is not trusted: a value with control characters, one that is no UTF-8 and one too long
//! for what it is are refused, not shown in part. Values that board makers leave in by mistake count as absent.

mod board;
mod install;
pub mod live;
mod machine;
mod network;
mod place;
mod product;
mod storage;
pub mod text;

pub use install::InstallState;
pub use live::Live;
pub use machine::machine_tag;
pub use network::{default_name, hostname, permanent_macs};
pub use product::Family;
pub use storage::{Array, Mount, arrays, mounts};

use super::root::Root;
use place::Place;
use serde::Serialize;
use serde_json::Value;

/// One fact: a value and where it was read, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact<T> {
    /// The value; `None` when it could not be read, or does not exist for this kind of box.
    pub value: Option<T>,
    /// The file, and the key in it, that the value was read from.
    pub source: Option<String>,
    /// Why there is no value.
    pub error: Option<String>,
}

impl<T> Fact<T> {
    fn known(value: T, source: impl Into<String>) -> Self {
        Self { value: Some(value), source: Some(source.into()), error: None }
    }

    fn unknown(error: impl Into<String>) -> Self {
        Self { value: None, source: None, error: Some(error.into()) }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        Fact { value: self.value.map(change), source: self.source, error: self.error }
    }
}

/// All facts of a box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The product family.
    pub platform: Fact<Family>,
    /// The name the box is sold under.
    pub model: Fact<String>,
    /// The maker's own name of the board or series.
    pub internal_model: Fact<String>,
    /// The serial number. A label, never an authenticator.
    pub serial: Fact<String>,
    /// The version of the firmware or distribution.
    pub firmware: Fact<String>,
    /// The build of that version.
    pub build: Fact<String>,
    /// The host name, as it is set.
    pub hostname: Fact<String>,
    /// The first permanent address, as `aa:bb:cc:dd:ee:ff`.
    pub mac: Fact<String>,
    /// All permanent addresses of physical network cards.
    pub macs: Fact<Vec<String>>,
    /// The mount points of the data volumes.
    pub volumes: Fact<Vec<String>>,
    /// The RAID arrays with members missing; the system's own arrays, built with empty slots, are not among them.
    pub degraded_arrays: Fact<Vec<String>>,
    /// How far the box is set up.
    pub install_state: Fact<InstallState>,
    /// Whether anything that is written survives a reboot.
    pub persistent_state: Fact<bool>,
}

impl Facts {
    /// Reads them all. On a live QTS box the serial number is asked of a program, for at most 5 s.
    pub fn read(root: &Root) -> Self {
        let platform = product::family(root);
        let family = platform.value.unwrap_or(Family::Linux);
        let mounts = storage::read_mounts(root);
        let volumes = storage::volumes(family, &mounts);
        let macs = network::macs(family, root);
        let mac = Fact {
            value: macs.value.as_ref().and_then(|macs| macs.first().cloned()),
            ..macs.clone().map(|_| String::new())
        };
        Self {
            model: product::model(family, root),
            internal_model: product::internal_model(family, root),
            serial: board::serial(family, root),
            firmware: product::firmware(family, root),
            build: product::build(family, root),
            hostname: network::hostname(root),
            degraded_arrays: storage::degraded(family, root),
            install_state: install::state(family, root, &mounts, &volumes),
            persistent_state: install::persistent(family, &mounts),
            platform,
            mac,
            macs,
            volumes,
        }
    }

    /// Each fact by name as JSON, in the order they are shown.
    pub fn rows(&self) -> [(&'static str, Value); 13] {
        [
            ("platform", row(&self.platform)),
            ("model", row(&self.model)),
            ("internal_model", row(&self.internal_model)),
            ("serial", row(&self.serial)),
            ("firmware", row(&self.firmware)),
            ("build", row(&self.build)),
            ("hostname", row(&self.hostname)),
            ("mac", row(&self.mac)),
            ("macs", row(&self.macs)),
            ("volumes", row(&self.volumes)),
            ("degraded_arrays", row(&self.degraded_arrays)),
            ("install_state", row(&self.install_state)),
            ("persistent_state", row(&self.persistent_state)),
        ]
    }
}

fn row<T: Serialize>(fact: &Fact<T>) -> Value {
    // Words, lists of words and truth values: serialising them cannot fail.
    serde_json::to_value(fact).unwrap_or_default()
}

/// What the box is, in a few words: model and firmware, as far as they are known.
pub fn in_short(root: &Root) -> Option<String> {
    let family = product::family(root).value?;
    let model = product::model(family, root).value;
    let version = product::firmware(family, root).value;
    let firmware = version.map(|version| format!("{} {version}", family.name()));
    let known: Vec<_> = [model, firmware].into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// The serial number of the box; `None` when it has none that is more than a placeholder.
pub fn serial(root: &Root) -> Option<String> {
    let family = product::family(root).value.unwrap_or(Family::Linux);
    board::serial(family, root).value
}

/// The first believable value among these places.
fn seek(root: &Root, places: &[Place], fits: impl Fn(&str) -> Result<(), String>) -> Fact<String> {
    let mut failures = Vec::new();
    for place in places {
        let read = place.read(root).and_then(|text| fits(&text).map(|()| text));
        match read {
            Ok(text) => return Fact::known(text, place.to_string()),
            Err(why) => failures.push(format!("{place}: {why}")),
        }
    }
    Fact::unknown(if failures.is_empty() {
        "this kind of box has none".to_owned()
    } else {
        failures.join("; ")
    })
}

/// Lets every believable text pass.
fn any(_: &str) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests;
