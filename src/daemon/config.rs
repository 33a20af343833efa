//! The configuration: one TOML file, a section for each feature and `[agent]`. Unknown keys are refused.

use super::feature::Row;
use super::supervisor::Sections;
use crate::wire::label::printable;
use core::net::{IpAddr, SocketAddr};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/qcloud-agent/config.toml";

/// How much of a line an error shows.
const LINE_SHOWN: usize = 200;

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
    /// It is not TOML, or a key is of the wrong kind. The source names line and column.
    #[error("{} is not a configuration: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        why: String,
    },
    /// It has a section that no feature has.
    #[error("{}: there is no section [{section}]{}", path.display(), .guess.map(|g| format!("; did you mean [{g}]?")).unwrap_or_default())]
    Section {
        /// The file.
        path: PathBuf,
        /// What it has.
        section: String,
        /// What may have been meant.
        guess: Option<&'static str>,
    },
}

/// Reads the file. One that was not named and does not exist is an empty configuration.
///
/// # Errors
/// See [`ConfigError`].
pub fn load(named: Option<&Path>, rows: &[Row]) -> Result<Config, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_PATH));
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path, rows),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Config::default())
        }
        Err(source) => Err(ConfigError::Read { path: path.into(), source }),
    }
}

/// Reads a configuration from its text; `path` is for the errors.
///
/// # Errors
/// [`ConfigError::Parse`] and [`ConfigError::Section`].
pub fn parse(text: &str, path: &Path, rows: &[Row]) -> Result<Config, ConfigError> {
    // The parser quotes the text: its lines stay, an escape sequence in them does not.
    let shown = |why: &str| {
        let lines: Vec<_> = why.lines().map(|line| printable(line, LINE_SHOWN)).collect();
        lines.join("\n")
    };
    let wrong = |why: String| ConfigError::Parse { path: path.into(), why: shown(&why) };
    let table: BTreeMap<String, Value> =
        toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().into()))?;
    let mut config = Config::default();
    for (name, value) in table {
        if name == "agent" {
            config.agent =
                serde_json::from_value(value).map_err(|e| wrong(format!("[agent] {e}")))?;
            continue;
        }
        if !rows.iter().any(|row| row.card.name == name) {
            let guess = rows.iter().map(|row| row.card.name).find(|known| is_near(known, &name));
            let section = printable(&name, LINE_SHOWN);
            return Err(ConfigError::Section { path: path.into(), section, guess });
        }
        let Value::Object(mut section) = value else {
            return Err(wrong(format!("`{name}` is not a section: write [{name}]")));
        };
        if let Some(enabled) = section.remove("enabled") {
            let enabled = enabled.as_bool();
            let enabled =
                enabled.ok_or_else(|| wrong(format!("[{name}] enabled is not true or false")))?;
            config.sections.enabled.insert(name.clone(), enabled);
        }
        config.sections.values.insert(name, Value::Object(section));
    }
    Ok(config)
}

/// Whether one word becomes the other by adding, dropping or changing one letter.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let same_start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let same_end = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let longer = a.len().max(b.len());
    a.len().abs_diff(b.len()) <= 1 && same_start + same_end + 1 >= longer
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
    fn mistakes_name_what_and_where() {
        let error = of("[dns]\n").expect_err("no such section");
        assert_eq!(error, "c.toml: there is no section [dns]; did you mean [ddns]?");
        let error = of("[ddns]\nenabled = maybe\n").expect_err("not TOML");
        assert!(error.contains("line 2"), "{error}");
        let error = of("[agent]\nresolver = []\n").expect_err("a typo");
        assert!(error.contains("resolver"), "{error}");
        assert!(of("ddns = 1").expect_err("no section").contains("write [ddns]"));
    }
}
