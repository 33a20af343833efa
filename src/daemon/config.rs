//! The configuration: one TOML file, a section for each feature and `[agent]`. Unknown keys are refused.

use super::feature::Row;
use super::shape::{Shape, nearest};
use super::supervisor::Sections;
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

/// A file of every key with a comment on each is below 8 KiB; a longer one is something else.
const MOST: u64 = 256 * 1024;
/// The house's own key in the section of each feature.
const ENABLED: &str = "enabled";

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

/// Reads the file. One that was not named and does not exist is an empty configuration.
///
/// # Errors
/// See [`ConfigError`].
pub fn load(named: Option<&Path>, rows: &[Row]) -> Result<Config, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_PATH));
    match read(path) {
        Ok(text) => parse(&text, path, rows),
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
            Ok(Config::default())
        }
        Err(source) => Err(ConfigError::Read { path: path.into(), source }),
    }
}

/// A FIFO in its place must not make the agent wait, nor a disk image fill the memory.
fn read(path: &Path) -> io::Result<String> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
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
    String::from_utf8(bytes).map_err(|e| {
        let before = e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default();
        invalid(format!("line {} is not UTF-8", line_at(before)))
    })
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let place = Place { path, text };
    let document = DeTable::parse(text).map_err(|e| place.parser("", &e))?;
    let mut sections: Vec<_> = document.into_inner().into_iter().collect();
    sections.sort_by_key(|(name, _)| name.span().start);
    let mut config = Config::default();
    for (name, value) in sections {
        let at = name.span().start;
        let name = name.into_inner().into_owned();
        if name == "agent" {
            let value = place.section(&name, at, value, &Shape::of::<AgentConfig>(), &[])?;
            config.agent = serde_json::from_value(Value::Object(value))
                .map_err(|e| place.wrong(Some(at), format!("[agent] {e}")))?;
            continue;
        }
        let Some(row) = rows.iter().find(|row| row.card.name == name) else {
            let known = rows.iter().map(|row| row.card.name).chain(["agent"]);
            let guess = nearest(&name, known).map(|guess| format!("; did you mean [{guess}]?"));
            let (name, guess) = (printable(&name, 60), guess.unwrap_or_default());
            return Err(place.wrong(Some(at), format!("there is no section [{name}]{guess}")));
        };
        let mut section = place.section(&name, at, value, &row.shape, &[ENABLED])?;
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
}
