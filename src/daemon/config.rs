//! The configuration: one TOML file, a section for each feature and `[agent]`. Unknown keys are refused.

use super::feature::Row;
use super::supervisor::Sections;
use crate::platform::root::Root;
use core::net::{IpAddr, SocketAddr};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the file is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/qcloud-agent/config.toml";

/// Where the maker of a firmware says what its boxes start with; read before the owner's file.
pub const VENDOR_PATH: &str = "/usr/share/qcloud-agent/vendor.toml";
/// More than any configuration has.
const FILE_MOST: u64 = 1024 * 1024;

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

/// Reads the vendor's file below the root and then the owner's, which wins key by key. An owner's file that was
/// not named and does not exist is an empty one, and so is a vendor's that does not exist.
///
/// # Errors
/// See [`ConfigError`]; they name the file that is wrong.
pub fn load(named: Option<&Path>, root: &Root, rows: &[Row]) -> Result<Config, ConfigError> {
    let (vendor_path, default_path) = (root.path(VENDOR_PATH), root.path(DEFAULT_PATH));
    let vendor = read(&vendor_path, root.read_text(VENDOR_PATH, FILE_MOST), false)?;
    let path = named.unwrap_or(&default_path);
    let text = match named {
        Some(path) => std::fs::read_to_string(path),
        None => root.read_text(DEFAULT_PATH, FILE_MOST),
    };
    let owner = read(path, text, named.is_some())?;
    let Some(vendor) = vendor else {
        return owner.map_or(Ok(Config::default()), |text| parse(&text, path, rows));
    };
    // Each is right by itself before one is laid over the other.
    parse(&vendor, &vendor_path, rows)?;
    let owner = owner.unwrap_or_default();
    parse(&owner, path, rows)?;
    let merged = merge(table(&vendor, &vendor_path)?, table(&owner, path)?);
    from_table(merged, path, rows)
}

fn read(
    path: &Path,
    text: std::io::Result<String>,
    must_exist: bool,
) -> Result<Option<String>, ConfigError> {
    match text {
        Ok(text) => Ok(Some(text)),
        Err(error) if !must_exist && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read { path: path.into(), source }),
    }
}

type Table = BTreeMap<String, Value>;

/// One configuration over another, key by key of each section.
fn merge(mut below: Table, above: Table) -> Table {
    for (name, section) in above {
        match (below.get_mut(&name), section) {
            (Some(Value::Object(below)), Value::Object(above)) => below.extend(above),
            (_, section) => drop(below.insert(name, section)),
        }
    }
    below
}

fn table(text: &str, path: &Path) -> Result<Table, ConfigError> {
    toml::from_str(text).map_err(|error: toml::de::Error| ConfigError::Parse {
        path: path.into(),
        why: error.to_string().trim_end().into(),
    })
}

/// Reads a configuration from its text; `path` is for the errors.
///
/// # Errors
/// [`ConfigError::Parse`] and [`ConfigError::Section`].
pub fn parse(text: &str, path: &Path, rows: &[Row]) -> Result<Config, ConfigError> {
    from_table(table(text, path)?, path, rows)
}

fn from_table(table: Table, path: &Path, rows: &[Row]) -> Result<Config, ConfigError> {
    let wrong = |why: String| ConfigError::Parse { path: path.into(), why };
    let mut config = Config::default();
    for (name, value) in table {
        if name == "agent" {
            config.agent =
                serde_json::from_value(value).map_err(|e| wrong(format!("[agent] {e}")))?;
            continue;
        }
        if !rows.iter().any(|row| row.card.name == name) {
            let guess = rows.iter().map(|row| row.card.name).find(|known| is_near(known, &name));
            return Err(ConfigError::Section { path: path.into(), section: name, guess });
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
        let error = of("[agent]\nuser = []\n").expect_err("no user");
        assert!(error.contains("[agent]"), "{error}");
        assert!(of("ddns = 1").expect_err("no section").contains("write [ddns]"));
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
