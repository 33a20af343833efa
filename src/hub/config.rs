//! `hub.toml`: what the operator decides.

use super::operators::Role;
pub use super::operators::settings::{Alerts, Metrics, MetricsAt};
use super::people::email::Email;
use crate::wire::label::acts;
use crate::wire::registration::OPERATOR_MOST;
use core::net::{IpAddr, SocketAddr};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    /// The file of the key that seals the store; without it, `seal.key` in the hub's directory (promise S6).
    #[serde(default)]
    pub seal_key: Option<PathBuf>,
    /// Gives up that this key lies on another filesystem than the data.
    #[serde(default)]
    pub seal_key_beside_data: bool,
    /// For a hub that is tried on one machine: loopback addresses may be published, and every listener must be loopback.
    #[serde(default)]
    pub sandbox: bool,
    /// The pages people sign in at; without them devices are let in by command only.
    #[serde(default)]
    pub pages: Option<Pages>,
    /// How people are told of what happens in their accounts.
    #[serde(default)]
    pub mail: Option<Mail>,
    /// Who else may vouch for people (promise Q2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub oidc: Vec<Oidc>,
    /// What is kept of whoever connects.
    #[serde(default)]
    pub access_log: AccessLog,
    /// The roles of local users: by name, by number, or by group as `@name`. Root and the hub's own user are admin
    /// unless they have an entry.
    #[serde(default)]
    pub operators: BTreeMap<String, Role>,
    /// When whoever runs the hub is told, and where.
    #[serde(default)]
    pub alerts: Alerts,
    /// Where health and metrics are; nowhere without it.
    #[serde(default)]
    pub metrics: Option<Metrics>,
}

/// `[access_log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessLog {
    /// Whether a log with whole addresses is kept, sealed and for a bounded time (promises H4, H5).
    #[serde(default)]
    pub unmasked: bool,
}

/// `[mail]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `smtps://HOST[:PORT]`, `smtp://HOST[:PORT]` with STARTTLS, or `smtp://` and a loopback address without TLS.
    pub server: String,
    /// The sender.
    pub from: String,
    /// The user name at the server.
    #[serde(default)]
    pub username: Option<String>,
    /// A file with the password, readable by its owner only.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// `[[oidc]]`: a provider of identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// What people see on the button.
    pub name: String,
    /// Its URL, to the letter as it stands in its discovery document.
    pub issuer: String,
    /// What it knows this hub by.
    pub client_id: String,
    /// A file with the secret for that, readable by its owner only.
    pub client_secret_file: PathBuf,
}

impl Oidc {
    fn check(&self, sandbox: bool) -> Result<(), BadConfig> {
        let bad = |key, value: &str, why| {
            Err(BadConfig::Value { key, value: value.escape_debug().to_string(), why })
        };
        let name = self.name.chars();
        if self.name.is_empty() || name.clone().count() > 40 || name.clone().any(acts) {
            return bad("oidc.name", &self.name, "write 1 to 40 characters");
        }
        let secure = self.issuer.starts_with("https://")
            || (sandbox && self.issuer.starts_with("http://127.0.0.1:"));
        let plain = self.issuer.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#');
        if !secure || !plain || self.issuer.len() > 200 {
            return bad("oidc.issuer", &self.issuer, "write an https URL without ? and #");
        }
        Ok(())
    }
}

/// `[pages]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// Their name: outside the zone, because the devices in it serve pages too, and those must not share cookies
    /// or an origin with these.
    pub host: String,
    /// Their certificate chain, PEM; without one the hub's own authority signs it, which browsers do not know.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// The key of the certificate, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

impl Pages {
    fn check(&self, zone: &str) -> Result<(), BadConfig> {
        let bad = |key, value: &str, why| Err(BadConfig::Value { key, value: value.into(), why });
        if !is_name(&self.host) {
            let why = "write a lower-case DNS name such as cloud.example.org";
            return bad("pages.host", &self.host, why);
        }
        if site(&self.host) == site(zone) {
            let why = "the pages need another domain than the zone of the devices, so that their last two \
                       labels differ: a device's page could set cookies for them";
            return bad("pages.host", &self.host, why);
        }
        if self.certificate.is_some() != self.key.is_some() {
            let why = "a certificate needs its key, and a key its certificate";
            return bad("pages.certificate", &self.host, why);
        }
        Ok(())
    }
}

/// The part of a name that somebody can register. Without the public suffix list two labels stand for it: a zone
/// below a suffix of two labels (`example.co.uk`) is refused more often than needed, never less.
fn site(name: &str) -> &str {
    name.rmatch_indices('.').nth(1).map_or(name, |(dot, _)| name.get(dot + 1..).unwrap_or(name))
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
        let pages = self.pages.as_ref().map(|pages| {
            format!(
                "# The pages people sign in at. For a certificate that browsers know:\n\
                 # certificate = \"/etc/letsencrypt/live/{0}/fullchain.pem\" and key = \"…/privkey.pem\"\n\
                 [pages]\nhost = \"{0}\"\n",
                pages.host
            )
        });
        // A name, an address and these texts need no escapes once `check` let them pass.
        let text = |key: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!("{key} = \"{text}\"\n")).unwrap_or_default()
        };
        let seal_key =
            self.seal_key.as_ref().map(|path| format!("seal_key = \"{}\"\n", path.display()));
        let beside = if self.seal_key_beside_data {
            "# The key lies on the same filesystem as the data it seals: a copy of the disk, or the disk itself,\n\
             # opens everything. Better: seal_key = \"/PATH/ON/ANOTHER/FILESYSTEM\", and without the next line.\n\
             seal_key_beside_data = true\n"
        } else {
            ""
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
             {contact}{region}\
             # The key that seals what is kept; without it nothing of that can be read. Have a copy of it elsewhere.\n\
             {}{beside}\
             sandbox = {}\n{}",
            self.zone,
            self.host,
            self.listen,
            self.dns,
            addresses.join(", "),
            seal_key.unwrap_or_default(),
            self.sandbox,
            pages.unwrap_or_default(),
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
        if let Some(path) = &self.seal_key {
            let text = path
                .to_str()
                .filter(|text| !text.chars().any(|c| acts(c) || c == '"' || c == '\\'));
            if text.is_none() || !path.is_absolute() {
                let why = "write a path that begins with /, without quotes, backslashes and control characters";
                let value = path.to_string_lossy().escape_debug().to_string();
                return Err(BadConfig::Value { key: "seal_key", value, why });
            }
        }
        if let Some(pages) = &self.pages {
            pages.check(&self.zone)?;
        }
        for (number, one) in self.oidc.iter().enumerate() {
            one.check(self.sandbox)?;
            let twice = self.oidc.iter().take(number).any(|other| other.issuer == one.issuer);
            if twice || self.pages.is_none() {
                let (key, value) = ("oidc.issuer", one.issuer.clone());
                let why = if twice { "it stands there twice" } else { "people sign in at [pages]" };
                return Err(BadConfig::Value { key, value, why });
            }
        }
        if let Some(metrics) = &self.metrics {
            metrics.at()?;
        }
        if let Some(mail) = &self.alerts.mail
            && Email::parse(mail).is_err()
        {
            let why = "write a mail address";
            return Err(BadConfig::Value { key: "alerts.mail", value: mail.clone(), why });
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
            mail: None,
            oidc: Vec::new(),
            seal_key: Some("/run/keys/seal.key".into()),
            seal_key_beside_data: true,
            access_log: AccessLog::default(),
            operators: BTreeMap::new(),
            alerts: Alerts::default(),
            metrics: None,
            sandbox: false,
            pages: Some(Pages { host: "cloud.example.org".into(), certificate: None, key: None }),
        }
    }

    #[test]
    fn pages_and_devices_never_share_a_site() {
        let with = |host: &str| {
            let pages = Some(Pages { host: host.into(), certificate: None, key: None });
            Config { pages, ..config() }.check().is_ok()
        };
        assert!(with("cloud.example.org") && with("example.org") && with("badexample.test"));
        for shared in ["example.test", "hub.example.test", "a.b.example.test", "Cloud.example.org"]
        {
            assert!(!with(shared), "{shared}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let read: Config = toml::from_str(&config().to_toml()).expect("it is TOML");
        assert_eq!(read, config());
    }

    #[test]
    fn the_path_of_the_key_is_a_whole_one() {
        let with = |path: &str| Config { seal_key: Some(path.into()), ..config() }.check().is_ok();
        assert!(with("/run/keys/seal.key"));
        for bad in ["seal.key", "", "/a\"b", "/a\\b", "/a\nb"] {
            assert!(!with(bad), "{bad:?}");
        }
    }

    #[test]
    fn roles_are_words_and_others_are_refused() {
        let with = |line: &str| {
            toml::from_str::<Config>(&format!("{}[operators]\n{line}\n", config().to_toml()))
        };
        let read = with("alice = \"support\"\n\"@staff\" = \"privacy\"\n1001 = \"admin\"");
        assert_eq!(read.expect("roles").operators.len(), 3);
        assert!(with("alice = \"root\"").is_err());
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

    #[test]
    fn a_provider_is_an_https_url_with_a_name_and_stands_there_once() {
        let one = |name: &str, issuer: &str| Oidc {
            name: name.into(),
            issuer: issuer.into(),
            client_id: "hub".into(),
            client_secret_file: "/etc/qcloud-hub/secret".into(),
        };
        let with = |oidc: Vec<Oidc>| Config { oidc, ..config() }.check().is_ok();
        let good = one("Example", "https://id.example.org/realm");
        assert!(with(vec![good.clone()]));
        assert!(!with(vec![good.clone(), good.clone()]));
        assert!(Config { oidc: vec![good], pages: None, ..config() }.check().is_err());
        let many = "x".repeat(41);
        for bad in [
            one("Example", "http://127.0.0.1:8080"),
            one("Example", "id.example.org"),
            one("Example", "https://id.example.org/?x"),
            one("Example", "https://id.example.org/ x"),
            one("", "https://id.example.org"),
            one("a\u{1b}[2J", "https://id.example.org"),
            one(&many, "https://id.example.org"),
        ] {
            assert!(!with(vec![bad.clone()]), "{bad:?}");
        }
    }
}
