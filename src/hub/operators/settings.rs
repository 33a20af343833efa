//! `[alerts]` and `[metrics]` of `hub.toml`: what whoever runs the hub is told, and where they can ask.

use crate::hub::config::BadConfig;
use core::net::SocketAddr;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[alerts]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// How many different people one operator may look at within an hour without an alert.
    pub people_per_hour: u32,
    /// Whom the hub writes to; without it `contact`, where that is a mail address.
    pub mail: Option<String>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { people_per_hour: 20, mail: None }
    }
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// `127.0.0.1:9464`, `[::1]:9464`, or `unix:` and an absolute path.
    pub listen: String,
}

/// Where health and metrics are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAt {
    /// On a loopback address.
    Tcp(SocketAddr),
    /// In a file.
    Unix(PathBuf),
}

impl Metrics {
    /// Reads where.
    ///
    /// # Errors
    /// [`BadConfig::Value`] for what others than this machine could reach.
    pub fn at(&self) -> Result<MetricsAt, BadConfig> {
        if let Some(path) = self.listen.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if path.is_absolute() {
                return Ok(MetricsAt::Unix(path));
            }
        } else if let Ok(at) = self.listen.parse::<SocketAddr>()
            && at.ip().is_loopback()
        {
            return Ok(MetricsAt::Tcp(at));
        }
        let why =
            "write a loopback address such as 127.0.0.1:9464, or unix:/run/qcloud-hub/metrics.sock";
        Err(BadConfig::Value { key: "metrics.listen", value: self.listen.clone(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_for_this_machine_only() {
        let at = |listen: &str| Metrics { listen: listen.into() }.at().is_ok();
        for good in ["127.0.0.1:9464", "[::1]:9464", "unix:/run/qcloud-hub/metrics.sock"] {
            assert!(at(good), "{good}");
        }
        for bad in ["0.0.0.0:9464", "[::]:9464", "203.0.113.1:9464", "9464", "unix:here", ""] {
            assert!(!at(bad), "{bad}");
        }
    }
}
