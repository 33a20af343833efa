//! The hub's own HTTP client: what a provider of identities says, and no more of it than is needed.
//!
//! It follows no redirect, takes no proxy, keeps no connection, and reaches nobody's inside: a provider that names an
//! address of the hub's own network as an endpoint would otherwise have the hub ask there.

use crate::wire::address::publishable;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use data_encoding::BASE64;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// The largest answer: the key sets of the large providers are below 10 KB.
const MOST: usize = 64 * 1024;
/// A TCP and TLS handshake.
const CONNECT: Duration = Duration::from_secs(5);
/// All of one question, the answer's last byte included.
const TOTAL: Duration = Duration::from_secs(10);

/// Why a provider could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not this place.
    #[error("{url} is not asked: providers are reached by https, at public addresses")]
    Place {
        /// Which one.
        url: String,
    },
    /// No answer.
    #[error("{url} gave no answer")]
    Failed {
        /// Who was asked.
        url: String,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// Another answer than a good one.
    #[error("{url} answered {status}")]
    Status {
        /// Who was asked.
        url: String,
        /// What it said.
        status: u16,
    },
    /// Too much of an answer.
    #[error("{url} answered more than {MOST} bytes")]
    Long {
        /// Who was asked.
        url: String,
    },
}

pub(super) struct Fetcher {
    client: Client,
    sandbox: bool,
}

impl Fetcher {
    /// A client; in a sandbox one that may ask loopback addresses, and those without TLS.
    #[allow(
        clippy::disallowed_methods,
        reason = "the hub's one HTTP client; the agent has its own"
    )]
    pub(super) fn new(sandbox: bool) -> Result<Self, Box<dyn core::error::Error>> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let mut tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Public { sandbox })
            .https_only(!sandbox)
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .build()?;
        Ok(Self { client, sandbox })
    }

    pub(super) async fn read(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        self.ask(url, |client, url| client.get(url)).await
    }

    pub(super) async fn post(
        &self,
        url: &str,
        form: String,
        basic: Option<(&str, &str)>,
    ) -> Result<Vec<u8>, FetchError> {
        self.ask(url, |client, url| {
            let request = client.post(url).body(form);
            let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            let Some((id, secret)) = basic else { return request };
            let pair = BASE64.encode(format!("{}:{}", escaped(id), escaped(secret)).as_bytes());
            match HeaderValue::from_str(&format!("Basic {pair}")) {
                Ok(mut value) => {
                    value.set_sensitive(true);
                    request.header(AUTHORIZATION, value)
                }
                Err(_) => request,
            }
        })
        .await
    }

    async fn ask(
        &self,
        text: &str,
        request: impl FnOnce(&Client, Url) -> RequestBuilder,
    ) -> Result<Vec<u8>, FetchError> {
        let named = || text.chars().take(200).collect::<String>();
        let url = self.place(text).ok_or_else(|| FetchError::Place { url: named() })?;
        // The address of a reqwest error may hold a code; ours does not.
        let failed =
            |e: reqwest::Error| FetchError::Failed { url: named(), source: e.without_url() };
        let request = request(&self.client, url).header(ACCEPT, "application/json");
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        if status != 200 {
            return Err(FetchError::Status { url: named(), status });
        }
        let mut body = Vec::new();
        while let Some(part) = response.chunk().await.map_err(failed)? {
            if body.len() + part.len() > MOST {
                return Err(FetchError::Long { url: named() });
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    }

    /// Whether a place may be asked, as far as its address tells.
    pub(super) fn may(&self, text: &str) -> bool {
        self.place(text).is_some()
    }

    fn place(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok()?;
        let host = url.host_str()?.trim_start_matches('[').trim_end_matches(']');
        let address = host.parse::<IpAddr>().ok();
        let open = crate::sabotage::off("oidc-public");
        let fits = match (url.scheme(), address) {
            ("https", Some(ip)) => publishable(ip.to_canonical()) || self.sandbox || open,
            ("https", None) => true,
            ("http", Some(ip)) => self.sandbox && ip.is_loopback(),
            _ => false,
        };
        let plain = url.username().is_empty() && url.password().is_none();
        (fits && plain).then_some(url)
    }
}

/// Finds public addresses only.
struct Public {
    sandbox: bool,
}

impl Resolve for Public {
    #[allow(clippy::disallowed_methods, reason = "the hub's look-ups are its own")]
    fn resolve(&self, name: Name) -> Resolving {
        let sandbox = self.sandbox;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fits = |at: &SocketAddr| sandbox || publishable(at.ip().to_canonical());
            let fitting: Vec<SocketAddr> = found.filter(fits).collect();
            if fitting.is_empty() {
                return Err(format!("{} has no public address", name.as_str()).into());
            }
            let all: Addrs = Box::new(fitting.into_iter());
            Ok(all)
        })
    }
}

/// A text as a value of a form.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_inside_is_asked() {
        let fetcher = Fetcher::new(false).unwrap();
        for good in
            ["https://accounts.example.org/x", "https://203.0.113.7/", "https://[2001:db8::1]/"]
        {
            assert!(fetcher.may(good), "{good}");
        }
        for bad in [
            "http://accounts.example.org/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://user@accounts.example.org/",
            "file:///etc/passwd",
            "accounts.example.org",
        ] {
            assert!(!fetcher.may(bad), "{bad}");
        }
        let sandbox = Fetcher::new(true).unwrap();
        assert!(sandbox.may("http://127.0.0.1:8080/") && !sandbox.may("http://localhost/"));
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_followed() {
        let fetcher = Fetcher::new(false).unwrap();
        let asked = fetcher.read("https://localhost/").await;
        assert!(matches!(asked, Err(FetchError::Failed { .. })));
    }
}
