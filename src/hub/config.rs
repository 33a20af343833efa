//! `hub.toml`: what the operator decides.

use crate::wire::label::acts;
use crate::wire::registration::OPERATOR_MOST;
use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file's name in the hub's directory.
pub const FILE: &str = "hub.toml";
/// The store's name in the hub's directory.
pub const STORE: &str = "hub.db";

/// Why the configuration is not usable.
#[derive(Debug, thiserror::Error)]
pub enum BadConfig {
    /// It is not there, or not readable.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not understood.
    #[error("{} is not understood", .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// A value cannot be.
    #[error("{key} = {value} in {FILE}: {why}")]
    Value {
        /// Which one.
        key: &'static str,
        /// What it says.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// The configuration. Unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The zone the hub answers for, lower case, without a dot at the end.
    pub zone: String,
    /// The name agents reach the hub by.
    pub host: String,
    /// Where HTTPS (TCP) and the sessions (UDP) are served.
    pub listen: SocketAddr,
    /// Where DNS is served, on UDP and TCP.
    pub dns: SocketAddr,
    /// The hub's own public addresses: its A and AAAA records, and those of all `*.link` names.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Whom owners write to, complaints to an authority included; shown to them before they register (promise
    /// R10).
    #[serde(default)]
    pub contact: Option<String>,
    /// Where the hub stands, shown to owners before they register (promise G1).
    #[serde(default)]
    pub region: Option<String>,
    /// For a hub that is tried on one machine: loopback addresses may be published, and every listener must be loopback.
    #[serde(default)]
    pub sandbox: bool,
}

impl Config {
    /// Reads and checks `hub.toml` in a hub's directory.
    ///
    /// # Errors
    /// [`BadConfig`]; values are checked as by [`Config::check`].
    pub fn load(dir: &Path) -> Result<Self, BadConfig> {
        let path = dir.join(FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| BadConfig::Read { path: path.clone(), source })?;
        Self::parse(&text, &path)
    }

    /// Reads and checks a configuration from its text; `path` is for the errors.
    ///
    /// # Errors
    /// [`BadConfig::Parse`], and those of [`Config::check`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, BadConfig> {
        let config: Self = toml::from_str(text)
            .map_err(|source| BadConfig::Parse { path: path.into(), source })?;
        config.check()?;
        Ok(config)
    }

    /// The file's text, with a word on each key.
    pub fn to_toml(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(|ip| format!("\"{ip}\"")).collect();
        // A name, an address and these texts need no escapes once `check` let them pass.
        let text = |key: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!("{key} = \"{text}\"\n")).unwrap_or_default()
        };
        let contact = text("contact", &self.contact);
        let region = text("region", &self.region);
        format!(
            "# The DNS zone of this hub. Delegate it here with an NS record at its parent.\n\
             zone = \"{}\"\n\
             # The name agents reach this hub by.\n\
             host = \"{}\"\n\
             # HTTPS on TCP, sessions on UDP.\n\
             listen = \"{}\"\n\
             # DNS, on UDP and TCP.\n\
             dns = \"{}\"\n\
             # The public addresses of this machine.\n\
             addresses = [{}]\n\
             # Whom owners write to, and where this hub stands: shown to them before they register.\n\
             {contact}{region}sandbox = {}\n",
            self.zone,
            self.host,
            self.listen,
            self.dns,
            addresses.join(", "),
            self.sandbox,
        )
    }

    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`BadConfig::Value`] for a name that is no lower-case DNS name, a contact or region with control
    /// characters or quotes or of more than 200 characters, and a sandbox with a listener that others can reach.
    pub fn check(&self) -> Result<(), BadConfig> {
        for (key, name) in [("zone", &self.zone), ("host", &self.host)] {
            if !is_name(name) {
                let why = "write a lower-case DNS name such as nas.example.net";
                return Err(BadConfig::Value { key, value: name.clone(), why });
            }
        }
        for (key, text) in [("contact", &self.contact), ("region", &self.region)] {
            let Some(text) = text else { continue };
            let bad = text.chars().any(|c| acts(c) || c == '"' || c == '\\');
            if bad || text.chars().count() > OPERATOR_MOST {
                let why = "write at most 200 characters without quotes, backslashes and control characters";
                let value = text.escape_debug().to_string();
                return Err(BadConfig::Value { key, value, why });
            }
        }
        for (key, at) in [("listen", self.listen), ("dns", self.dns)] {
            if self.sandbox && !at.ip().is_loopback() {
                let why = "a sandbox serves loopback addresses only";
                return Err(BadConfig::Value { key, value: at.to_string(), why });
            }
        }
        Ok(())
    }
}

/// Whether a text is a lower-case DNS name of two labels or more, that leaves room for the hub's own labels.
fn is_name(text: &str) -> bool {
    // 255 octets less two labels of 63 and `link` (RFC 1035 section 2.3.4).
    let label = |part: &str| crate::wire::label::Label::parse(part).is_ok();
    text.len() <= 120 && text.contains('.') && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            zone: "example.test".into(),
            host: "hub.example.test".into(),
            listen: "0.0.0.0:443".parse().expect("an address"),
            dns: "0.0.0.0:53".parse().expect("an address"),
            addresses: vec!["203.0.113.1".parse().expect("an address")],
            contact: Some("Åsa, +46 8 123, privacy@example.test".into()),
            region: Some("Sweden".into()),
            sandbox: false,
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let read: Config = toml::from_str(&config().to_toml()).expect("it is TOML");
        assert_eq!(read, config());
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = config().to_toml() + "tracking = true\n";
        assert!(toml::from_str::<Config>(&text).is_err());
    }

    #[test]
    fn a_sandbox_is_never_reachable_from_outside() {
        let open = Config { sandbox: true, ..config() };
        assert!(open.check().is_err());
        let listen = "127.0.0.1:0".parse().expect("an address");
        assert!(Config { listen, dns: listen, ..open }.check().is_ok());
    }
}
