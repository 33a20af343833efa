//! Signing in by a provider of identities: OpenID Connect Core 1.0, the authorisation code with PKCE (promise Q2).
//!
//! The hub asks for `openid` and nothing else: of what a provider says of somebody it keeps an HMAC of issuer and
//! subject. What was begun lies sealed in a cookie of the browser that began it, so that an answer meant for another
//! browser opens nothing, and who begins and never comes back leaves nothing behind. Discovery and keys are fetched
//! anew for each sign-in: those are few, and a key a provider took back is worth nothing from then on.

mod fetch;
pub mod token;

pub use self::fetch::FetchError;

use self::fetch::Fetcher;
use self::token::{BadToken, Expected, Keys};
use super::config::{BadConfig, Oidc};
use super::keys::{KeyError, random, read_private};
use crate::clock::Wall;
use crate::secret::Secret;
use crate::wire::label::printable;
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// How long a person may be away at the provider.
pub const FLOW_LIFE: Duration = Duration::from_secs(600);
/// Where providers send people back to.
pub const CALLBACK: &str = "/sign-in/oidc";

/// Why a provider's word was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// It could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it says of itself is not understood, or is of somebody else.
    #[error("its {what} is not what it should be")]
    Document {
        /// Which document.
        what: &'static str,
    },
    /// Its word is not good.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] KeyError),
}

/// The providers of this hub, in the order of its configuration.
#[derive(Default)]
pub struct Providers(Vec<Provider>);

/// One of them.
pub struct Provider {
    /// What people see.
    pub name: String,
    /// Who vouches.
    pub issuer: String,
    client_id: String,
    secret: Secret<String>,
    fetcher: Fetcher,
}

/// Why somebody was sent to a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// To sign in, and go to this page.
    SignIn(String),
    /// To link this account.
    Link(u64),
    /// To take this invitation.
    Welcome(String),
}

/// What was begun: sealed, in a cookie.
#[derive(Debug, Serialize, Deserialize)]
pub struct Flow {
    /// At whom.
    pub issuer: String,
    /// Comes back in the answer.
    pub state: String,
    /// What for.
    pub purpose: Purpose,
    nonce: String,
    verifier: String,
    made_at: u64,
}

/// What a provider sends people back with (OpenID Connect Core section 3.1.2.5, RFC 9207).
#[derive(Deserialize)]
pub struct Returned {
    /// To be exchanged.
    pub code: Option<String>,
    /// As it was sent.
    pub state: Option<String>,
    /// Who answers.
    pub iss: Option<String>,
    /// Why not.
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Providers {
    /// From the configuration.
    ///
    /// # Errors
    /// [`BadConfig`] for a secret that cannot be read, or is readable by others.
    pub fn load(all: &[Oidc], sandbox: bool) -> Result<Self, BadConfig> {
        let load = |one: &Oidc| {
            let bad = |why| {
                let value = one.client_secret_file.display().to_string();
                BadConfig::Value { key: "oidc.client_secret_file", value, why }
            };
            let unreadable = "it cannot be read, or others may read it: chmod 600";
            let bytes =
                Secret::new(read_private(&one.client_secret_file).map_err(|_| bad(unreadable))?);
            let text = String::from_utf8_lossy(bytes.expose()).trim_end().to_owned();
            let fetcher = Fetcher::new(sandbox).map_err(|_| bad("its client cannot be made"))?;
            Ok(Provider {
                name: one.name.clone(),
                issuer: one.issuer.clone(),
                client_id: one.client_id.clone(),
                secret: Secret::new(text),
                fetcher,
            })
        };
        all.iter().map(load).collect::<Result<_, _>>().map(Self)
    }

    /// All of them.
    pub fn all(&self) -> &[Provider] {
        &self.0
    }

    /// The one with this number.
    pub fn numbered(&self, number: &str) -> Option<&Provider> {
        self.0.get(number.parse::<usize>().ok()?)
    }

    /// The one with this issuer.
    pub fn of(&self, issuer: &str) -> Option<&Provider> {
        self.0.iter().find(|provider| provider.issuer == issuer)
    }
}

impl Flow {
    /// Whether this answer is to what this browser began, not long ago.
    pub fn is_answered_by(&self, returned: &Returned, now: Wall) -> bool {
        let fresh = now.0 < Duration::from_secs(self.made_at).saturating_add(FLOW_LIFE);
        let state = returned.state.as_deref() == Some(self.state.as_str());
        let state = state || crate::sabotage::off("oidc-state");
        let issuer = returned.iss.as_ref().is_none_or(|iss| *iss == self.issuer);
        fresh && state && issuer
    }
}

impl Provider {
    /// Begins: what to keep, and where to send the browser.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn begin(
        &self,
        host: &str,
        purpose: Purpose,
        now: Wall,
    ) -> Result<(Flow, String), OidcError> {
        let discovery = self.discover().await?;
        let roll = || random::<32>().map(|bytes| BASE64URL_NOPAD.encode(&bytes));
        let flow = Flow {
            issuer: self.issuer.clone(),
            state: roll()?,
            purpose,
            nonce: roll()?,
            verifier: roll()?,
            made_at: now.unix_seconds(),
        };
        // RFC 7636 section 4.2.
        let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, flow.verifier.as_bytes()).as_ref());
        let redirect = redirect_uri(host);
        let query = encoded(&[
            ("response_type", "code"),
            ("scope", "openid"),
            ("client_id", &self.client_id),
            ("redirect_uri", &redirect),
            ("state", &flow.state),
            ("nonce", &flow.nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let endpoint = discovery.authorization_endpoint;
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        Ok((flow, format!("{endpoint}{joint}{query}")))
    }

    /// Exchanges the code of an answer for whom it speaks of: the subject at this issuer.
    ///
    /// # Errors
    /// [`OidcError`].
    pub async fn finish(
        &self,
        host: &str,
        flow: &Flow,
        code: &str,
        now: Wall,
    ) -> Result<String, OidcError> {
        let discovery = self.discover().await?;
        let redirect = redirect_uri(host);
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", flow.verifier.as_str()),
        ];
        // RFC 6749 section 2.3.1: the header is what every server has to take; some say that they do not.
        let methods = discovery.token_endpoint_auth_methods_supported.unwrap_or_default();
        let has = |method: &str| methods.iter().any(|known| known == method);
        let by_header = methods.is_empty() || has("client_secret_basic");
        let secret = self.secret.expose();
        if !by_header {
            form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
        }
        let basic = by_header.then_some((self.client_id.as_str(), secret.as_str()));
        let answer = self.fetcher.post(&discovery.token_endpoint, encoded(&form), basic).await?;
        let tokens: Tokens = serde_json::from_slice(&answer)
            .map_err(|_| OidcError::Document { what: "token response" })?;
        let keys = self.fetcher.read(&discovery.jwks_uri).await?;
        let keys = Keys::read(&keys).ok_or(OidcError::Document { what: "list of keys" })?;
        let expected = Expected {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: &flow.nonce,
            now: now.unix_seconds(),
        };
        Ok(token::verify(&tokens.id_token, &keys, &expected)?)
    }

    /// Its discovery document (OpenID Connect Discovery section 4), which must be its own.
    async fn discover(&self) -> Result<Discovery, OidcError> {
        let base = self.issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let document = self.fetcher.read(&url).await?;
        let bad = || OidcError::Document { what: "discovery document" };
        let discovery: Discovery = serde_json::from_slice(&document).map_err(|_| bad())?;
        if discovery.issuer != self.issuer && !crate::sabotage::off("oidc-issuer") {
            return Err(bad());
        }
        // It is where a browser will be sent.
        let plain = |text: &str| printable(text, text.len()) == text && text.is_ascii();
        let endpoint = &discovery.authorization_endpoint;
        if !plain(endpoint) || !self.fetcher.may(endpoint) {
            return Err(bad());
        }
        Ok(discovery)
    }
}

fn redirect_uri(host: &str) -> String {
    format!("https://{host}{CALLBACK}")
}

/// Pairs as a form or a query carries them.
fn encoded(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{name}={}", fetch::escaped(value))).collect();
    pairs.join("&")
}
