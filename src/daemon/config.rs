//! The configuration: TOML with a section for each feature and `[agent]`, the owner's file over that of the
//! firmware's maker. Unknown keys are refused.

use super::feature::Row;
use super::shape::{Shape, nearest};
use super::supervisor::Sections;
use crate::platform::root::Root;
use crate::wire::label::printable;
use core::net::{IpAddr, SocketAddr};
use nix::fcntl::OFlag;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/qcloud-agent/config.toml";

/// Where the maker of a firmware says what its boxes start with; read before the owner's file.
pub const VENDOR_PATH: &str = "/usr/share/qcloud-agent/vendor.toml";

/// A file of every key with a comment on each is below 8 KiB; a longer one is something else.
const MOST: u64 = 256 * 1024;
/// The house's own key in the section of each feature.
const ENABLED: &str = "enabled";
/// The house's own section.
const AGENT: &str = "agent";

/// The whole configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[agent]`.
    pub agent: AgentConfig,
    /// The features' sections.
    pub sections: Sections,
}

/// `[agent]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// Name servers, instead of those of `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
    /// Keep the ledger in RAM only. Consent-gated parcels are then refused, since they must be on record first.
    pub volatile_ledger: bool,
    /// Names that need no name server.
    pub hosts: BTreeMap<String, IpAddr>,
    /// Whom the daemon becomes when it was started as root: a name, a number, or `root`.
    pub user: Option<UserName>,
    /// Where the maker of the firmware says this box was sold; shown, and never sent.
    pub region: Option<String>,
    /// Where the box's web server reads its certificate: the root helper puts a renewed one there.
    pub web_certificate: Option<PathBuf>,
    /// Where the web server reads the key; without it, beside the certificate in the same file.
    pub web_key: Option<PathBuf>,
    /// What makes the web server read both again: a program and its arguments.
    pub web_reload: Vec<String>,
}

/// A user of the box.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum UserName {
    /// By number.
    Number(u32),
    /// By name.
    Name(String),
}

impl core::fmt::Display for UserName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("{}{}: {why}", path.display(), .line.map(|n| format!(", line {n}")).unwrap_or_default())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1; none when it is not known.
        line: Option<usize>,
        /// What is wrong, in one line, with what may have been meant.
        why: String,
    },
}

impl ConfigError {
    /// A command that helps.
    pub fn hint(&self) -> String {
        let (Self::Read { path, .. } | Self::Line { path, .. }) = self;
        format!("qcloud-agent doctor --config {}", path.display())
    }
}

/// Reads the vendor's file below the root and then the owner's, which wins key by key. An owner's file that was
/// not named and does not exist is an empty one, and so is a vendor's that does not exist.
///
/// # Errors
/// See [`ConfigError`]; they name the file that is wrong.
pub fn load(named: Option<&Path>, root: &Root, rows: &[Row]) -> Result<Config, ConfigError> {
    let vendor_path = root.path(VENDOR_PATH);
    let mut all = Sectioned::new();
    let vendor = read(&vendor_path, root.read(VENDOR_PATH, MOST), false)?;
    if let Some(text) = vendor {
        all = sections(&text, &vendor_path, rows)?;
        of_sections(all.clone(), &vendor_path)?;
    }
    let path = named.map_or_else(|| root.path(DEFAULT_PATH), PathBuf::from);
    let bytes = named.map_or_else(|| root.read(DEFAULT_PATH, MOST), read_named);
    if let Some(text) = read(&path, bytes, named.is_some())? {
        let owners = sections(&text, &path, rows)?;
        // Each is right by itself before one is laid over the other.
        of_sections(owners.clone(), &path)?;
        for (name, section) in owners {
            all.entry(name).or_default().extend(section);
        }
    }
    of_sections(all, &path)
}

/// A FIFO in its place must not make the agent wait, nor a disk image fill the memory.
fn read_named(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(invalid("it is no file".into()));
    }
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST) {
        return Err(invalid(format!("it is longer than {MOST} bytes")));
    }
    Ok(bytes)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The text of a file that was read; nothing for one that may be missing, and is.
fn read(
    path: &Path,
    bytes: io::Result<Vec<u8>>,
    must_exist: bool,
) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.into(), source };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) if !must_exist && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        failed(invalid(format!("line {} is not UTF-8", line_at(before))))
    });
    text.map(Some)
}

/// The line that begins or goes on behind these bytes.
fn line_at(before: &[u8]) -> usize {
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Reads a configuration from its text; `path` is for the errors.
///
/// # Errors
/// [`ConfigError::Line`] for the first line that is wrong.
pub fn parse(text: &str, path: &Path, rows: &[Row]) -> Result<Config, ConfigError> {
    of_sections(sections(text, path, rows)?, path)
}

/// What a file says, section by section; each key is one that its section may hold.
type Sectioned = BTreeMap<String, Map<String, Value>>;

fn sections(text: &str, path: &Path, rows: &[Row]) -> Result<Sectioned, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let place = Place { path, text };
    let document = DeTable::parse(text).map_err(|e| place.parser("", &e))?;
    let mut found: Vec<_> = document.into_inner().into_iter().collect();
    found.sort_by_key(|(name, _)| name.span().start);
    let mut sections = Sectioned::new();
    for (name, value) in found {
        let at = name.span().start;
        let name = name.into_inner().into_owned();
        let section = if name == AGENT {
            place.section(&name, at, value, &Shape::of::<AgentConfig>(), &[])?
        } else if let Some(row) = rows.iter().find(|row| row.card.name == name) {
            place.section(&name, at, value, &row.shape, &[ENABLED])?
        } else {
            let known = rows.iter().map(|row| row.card.name).chain([AGENT]);
            let guess = nearest(&name, known).map(|guess| format!("; did you mean [{guess}]?"));
            let (name, guess) = (printable(&name, 60), guess.unwrap_or_default());
            return Err(place.wrong(Some(at), format!("there is no section [{name}]{guess}")));
        };
        sections.insert(name, section);
    }
    Ok(sections)
}

fn of_sections(sections: Sectioned, path: &Path) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    for (name, mut section) in sections {
        if name == AGENT {
            config.agent = serde_json::from_value(Value::Object(section)).map_err(|e| {
                let why = printable(&format!("[{AGENT}] {e}"), 300);
                ConfigError::Line { path: path.into(), line: None, why }
            })?;
            continue;
        }
        if let Some(enabled) = section.remove(ENABLED).as_ref().and_then(Value::as_bool) {
            config.sections.enabled.insert(name.clone(), enabled);
        }
        config.sections.values.insert(name, Value::Object(section));
    }
    Ok(config)
}

/// Where a mistake is told to be.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn wrong(&self, at: Option<usize>, why: String) -> ConfigError {
        let line = at.and_then(|at| self.text.as_bytes().get(..at)).map(line_at);
        // The parser shows pieces of the file, and a piece may be anything.
        ConfigError::Line { path: self.path.into(), line, why: printable(&why, 300) }
    }

    fn parser(&self, before: &str, error: &toml::de::Error) -> ConfigError {
        let why = error.message().trim_end().replace('\n', ", ");
        self.wrong(error.span().map(|span| span.start), format!("{before}{why}"))
    }

    /// Checks a section against its shape; `also` are the house's own keys in it, true or false each.
    fn section(
        &self,
        name: &str,
        at: usize,
        value: Spanned<DeValue<'_>>,
        shape: &Shape,
        also: &[&'static str],
    ) -> Result<Map<String, Value>, ConfigError> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            let why = format!("`{name}` is not a section: write [{name}]");
            return Err(self.wrong(Some(at), why));
        };
        let known: Vec<_> = (shape.keys)().iter().chain(also).copied().collect();
        let mut keys: Vec<_> = table.keys().map(|key| (key.span().start, key.get_ref())).collect();
        keys.sort();
        if let Some((at, key)) = keys.into_iter().find(|(_, key)| !known.contains(&&***key)) {
            return Err(self.wrong(Some(at), unknown(name, key, &known)));
        }
        let mut section = Map::new();
        for key in also {
            let Some(value) = table.remove(*key) else { continue };
            let Some(is) = value.get_ref().as_bool() else {
                let why = format!("[{name}] {key} is not true or false");
                return Err(self.wrong(Some(value.span().start), why));
            };
            section.insert((*key).into(), is.into());
        }
        let table = Spanned::new(span, DeValue::Table(table));
        let wrong = |e| self.parser(&format!("[{name}] "), &e);
        (shape.check)(table.clone()).map_err(wrong)?;
        let values = Map::deserialize(ValueDeserializer::from(table)).map_err(wrong)?;
        section.extend(values);
        Ok(section)
    }
}

fn unknown(section: &str, key: &str, known: &[&str]) -> String {
    let key_shown = printable(key, 60);
    let rest = match nearest(key, known.iter().copied()) {
        Some(guess) => format!("did you mean `{guess}`?"),
        None if known.is_empty() => "it has no keys".into(),
        None => format!("it has {}", known.join(", ")),
    };
    format!("unknown key `{key_shown}` in [{section}]; {rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::ALL;

    fn of(text: &str) -> Result<Config, String> {
        parse(text, Path::new("c.toml"), ALL).map_err(|e| e.to_string())
    }

    #[test]
    fn sections_go_to_their_features_and_enabled_to_the_house() {
        let config =
            of("[ddns]\nenabled = true\naddresses = 'observed'\n").expect("a configuration");
        assert_eq!(config.sections.enabled.get("ddns"), Some(&true));
        assert_eq!(config.sections.values["ddns"], serde_json::json!({ "addresses": "observed" }));
    }

    #[test]
    fn mistakes_name_the_line_and_what_was_meant() {
        for (text, error) in [
            ("[dns]\n", "c.toml, line 1: there is no section [dns]; did you mean [ddns]?"),
            ("\n\n[bakery]\n", "c.toml, line 3: there is no section [bakery]"),
            ("ddns = 1", "c.toml, line 1: `ddns` is not a section: write [ddns]"),
            (
                "# a\n\n[ddns]\n# b\n\n[link]\nenabeld = true\n",
                "c.toml, line 7: unknown key `enabeld` in [link]; did you mean `enabled`?",
            ),
            (
                "[agent]\nresolver = []\n",
                "c.toml, line 2: unknown key `resolver` in [agent]; did you mean `resolvers`?",
            ),
            (
                "[ddns]\ncolour = 1\n",
                "c.toml, line 2: unknown key `colour` in [ddns]; it has addresses, enabled",
            ),
            ("[ddns]\n\nenabled = 1\n", "c.toml, line 3: [ddns] enabled is not true or false"),
        ] {
            assert_eq!(of(text).expect_err("a mistake"), error);
        }
        for (text, words) in [
            ("[ddns]\nenabled = maybe\n", "line 2: "),
            ("[link]\nenabled = true\n\nheartbeat_seconds = 'x'\n", "line 4: [link] "),
            ("[ddns]\n[link]\n[ddns]\n", "line 3: "),
            ("[link]\nenabled = true\nenabled = true\n", "line 3: "),
            ("[ddns]\n\0\n", "line 2: "),
            ("[agent]\n\nuser = []\n", "line 3: [agent] "),
        ] {
            let error = of(text).expect_err("a mistake");
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn marks_of_other_systems_change_nothing() {
        let config = of("\u{feff}[ddns]\r\nenabled = true\r\n").expect("a configuration");
        assert_eq!(config.sections.enabled.get("ddns"), Some(&true));
        let error = of("\u{feff}[ddns]\r\n\r\nenabeld = true\r\n").expect_err("a typo");
        assert!(error.contains("line 3: "), "{error}");
    }

    #[test]
    fn the_owners_file_wins_over_the_vendors_key_by_key_and_each_error_names_its_file() {
        let tree = crate::platform::root::tests::scratch("vendor");
        let write = |path: &str, text: &str| {
            let path = tree.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let root = Root::new(&tree);
        let load = || load(None, &root, ALL);
        assert_eq!(load().unwrap().agent.region, None);
        write(
            VENDOR_PATH,
            "[agent]\nregion = 'EU'\nuser = 77\n[registration]\nhub = 'https://a.test'\nhub_pin = 'p'\n[ddns]\nenabled = true\n",
        );
        let vendor = load().unwrap();
        assert_eq!(vendor.agent.region.as_deref(), Some("EU"));
        assert!(vendor.sections.enabled["ddns"]);
        write(
            DEFAULT_PATH,
            "[agent]\nuser = 'root'\n[registration]\nhub = 'https://b.test'\n[ddns]\nenabled = false\n",
        );
        let both = load().unwrap();
        assert_eq!(both.agent.region.as_deref(), Some("EU"));
        assert_eq!(both.agent.user, Some(UserName::Name("root".into())));
        let registration = serde_json::json!({ "hub": "https://b.test", "hub_pin": "p" });
        assert_eq!(both.sections.values["registration"], registration);
        assert!(!both.sections.enabled["ddns"]);

        write(DEFAULT_PATH, "[agent]\nusr = 1\n");
        assert!(load().unwrap_err().to_string().contains("etc/qcloud-agent/config.toml"));
        write(DEFAULT_PATH, "");
        for wrong in ["[agent]\nregio = 'EU'\n", "[nosuch]\n", "region = 'EU'\n"] {
            write(VENDOR_PATH, wrong);
            assert!(load().unwrap_err().to_string().contains("vendor.toml"), "{wrong}");
        }
    }
}
