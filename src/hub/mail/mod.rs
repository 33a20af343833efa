//! Mail: tells people what happened in their accounts (promises S13, T1, T2).
//!
//! Plain text, no picture, no link but the pages' own address, and nothing that tells the sender whether it
//! was read. A letter is a line of the account's log, put into the outbox in the same step; it is tried
//! until it is taken, for three days.

mod letter;

use super::config::{Config, Mail};
use super::keys::{KeyError, read_private};
use super::state::Hub;
use super::watch;
use crate::secret::Secret;
use core::net::IpAddr;
use core::time::Duration;
use lettre::address::AddressError;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::sync::Arc;

/// How long the server may take for one letter.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first wait after a server that could not be reached; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Letters fetched at once.
const BATCH: u64 = 50;

/// Why mail cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum BadMail {
    /// The server.
    #[error(
        "[mail] server = {0:?}: write smtps://HOST, smtp://HOST for STARTTLS, or smtp://127.0.0.1"
    )]
    Server(String),
    /// The sender.
    #[error("[mail] from = {from:?} is no mail address")]
    From {
        /// What it says.
        from: String,
        /// Why not.
        #[source]
        source: AddressError,
    },
    /// The password's file.
    #[error("[mail] password_file cannot be used")]
    Password(#[from] KeyError),
    /// TLS.
    #[error("TLS to the mail server cannot be set up")]
    Tls(#[from] lettre::transport::smtp::Error),
}

/// The way to the mail server.
pub struct Post {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    pages: String,
}

impl Post {
    /// From the configuration. Opens nothing yet.
    ///
    /// # Errors
    /// [`BadMail`].
    pub fn new(mail: &Mail, config: &Config) -> Result<Self, BadMail> {
        let from = mail
            .from
            .parse()
            .map_err(|source| BadMail::From { from: mail.from.clone(), source })?;
        let bad = || BadMail::Server(mail.server.clone());
        let (scheme, authority) = mail.server.split_once("://").ok_or_else(bad)?;
        let (host, port) = parts(authority).ok_or_else(bad)?;
        let is_here = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let tls = || TlsParameters::new(host.to_owned());
        let (tls, usual) = match scheme {
            "smtps" => (Tls::Wrapper(tls()?), 465),
            "smtp" if is_here => (Tls::None, 25),
            "smtp" => (Tls::Required(tls()?), 587),
            _ => return Err(bad()),
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .hello_name(ClientId::Domain(config.host.clone()))
            .port(port.unwrap_or(usual))
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let (Some(name), Some(file)) = (&mail.username, &mail.password_file) {
            let password = Secret::new(read_private(file)?);
            let text = String::from_utf8_lossy(password.expose()).trim_end().to_owned();
            transport = transport.credentials(Credentials::new(name.clone(), text));
        }
        let pages = config.pages.as_ref().map(|pages| pages.host.clone()).unwrap_or_default();
        Ok(Self { transport: transport.build(), from, pages })
    }

    async fn send(&self, letter: Message) -> Result<(), Unsent> {
        match self.transport.send(letter).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(Unsent::Never(error.to_string())),
            Err(error) => Err(Unsent::NotNow(error.to_string())),
        }
    }
}

enum Unsent {
    /// The server will not take this letter.
    Never(String),
    /// The server cannot be reached, or says that it can take it later.
    NotNow(String),
}

/// `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`.
fn parts(authority: &str) -> Option<(&str, Option<u16>)> {
    let authority = authority.trim_end_matches('/');
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
    let port = port.map(str::parse).transpose().ok()?;
    (!host.is_empty() && host.chars().all(plain)).then_some((host, port))
}

/// Empties the outbox for ever.
pub async fn serve(post: Post, hub: Arc<Hub>) {
    let mut wait = FIRST_WAIT;
    loop {
        match empty(&post, &hub).await {
            Ok(()) => {
                wait = FIRST_WAIT;
                hub.people.posted().await;
            }
            Err(reason) => {
                tracing::warn!(
                    reason,
                    seconds = wait.as_secs(),
                    "mail could not be sent and waits"
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

/// Sends what the hub tells whoever runs it.
async fn own(post: &Post, hub: &Hub) -> Result<(), String> {
    let Some(to) = watch::recipient(hub) else { return Ok(()) };
    while let Some(text) = hub.watch.letter() {
        let sent = match letter::alert(post, &to, &hub.config.host, &text) {
            Ok(message) => post.send(message).await,
            Err(error) => Err(Unsent::Never(error.to_string())),
        };
        match sent {
            Ok(()) => {}
            Err(Unsent::Never(reason)) => tracing::warn!(reason, "an alert was refused for good"),
            Err(Unsent::NotNow(reason)) => return Err(reason),
        }
        hub.watch.sent();
    }
    Ok(())
}

/// Sends all that waits; why it stopped, when it did.
async fn empty(post: &Post, hub: &Hub) -> Result<(), String> {
    confirm(post, hub).await?;
    while let Some(farewell) = hub.people.farewell(hub.clock.now().wall) {
        let sent = match letter::farewell(post, &farewell) {
            Ok(message) => post.send(message).await,
            Err(error) => Err(Unsent::Never(error.to_string())),
        };
        if let Err(Unsent::NotNow(reason)) = sent {
            return Err(reason);
        }
        hub.people.farewell_sent(&farewell);
    }
    loop {
        own(post, hub).await?;
        let letters = hub.people.letters(BATCH).await.map_err(|e| e.to_string())?;
        if letters.is_empty() {
            return Ok(());
        }
        for (number, to, entry) in letters {
            let about = hub.people.about(&entry);
            let made = letter::message(post, &to, &entry, about.as_deref());
            let sent = match made {
                Ok(message) => post.send(message).await,
                Err(error) => Err(Unsent::Never(error.to_string())),
            };
            match sent {
                Ok(()) => {}
                // No address here: who has an account is nobody's business who reads the log (promise Y1).
                Err(Unsent::Never(reason)) => {
                    tracing::warn!(reason, "a letter was refused for good")
                }
                Err(Unsent::NotNow(reason)) => return Err(reason),
            }
            hub.people.sent(number).await.map_err(|e| e.to_string())?;
        }
    }
}

/// Sends what confirms addresses.
async fn confirm(post: &Post, hub: &Hub) -> Result<(), String> {
    for letter in hub.people.confirmations(BATCH).await.map_err(|e| e.to_string())? {
        let sent = match letter::confirmation(post, &letter.to, &letter.token) {
            Ok(message) => post.send(message).await,
            Err(error) => Err(Unsent::Never(error.to_string())),
        };
        match sent {
            Ok(()) => {}
            Err(Unsent::Never(reason)) => tracing::warn!(reason, "a letter was refused for good"),
            Err(Unsent::NotNow(reason)) => return Err(reason),
        }
        let noted = hub.people.confirmation_sent(&letter.change).await;
        noted.map_err(|e| e.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(server: &str) -> Result<Post, BadMail> {
        let mail = Mail {
            server: server.into(),
            from: "hub@example.org".into(),
            username: None,
            password_file: None,
        };
        let config = "zone = \"example.test\"\nhost = \"hub.example.test\"\nlisten = \"127.0.0.1:0\"\ndns = \"127.0.0.1:0\"";
        Post::new(&mail, &toml::from_str(config).unwrap())
    }

    #[test]
    fn servers_are_read_and_others_refused() {
        for good in ["smtps://mail.example.org", "smtp://mail.example.org:2525", "smtp://[::1]:25"]
        {
            assert!(post(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "mail.example.org",
            "http://mail.example.org",
            "smtp://",
            "smtp://a:b",
            "smtp://a b",
        ] {
            assert!(matches!(post(bad), Err(BadMail::Server(_))), "{bad}");
        }
    }

    #[test]
    fn a_server_elsewhere_is_never_spoken_to_without_tls() {
        assert_eq!(parts("mail.example.org:587"), Some(("mail.example.org", Some(587))));
        assert_eq!(parts("[::1]:25"), Some(("::1", Some(25))));
        assert_eq!(parts("[::1"), None);
        // `localhost` is a name, and names are what resolvers say they are.
        let debug = |server| format!("{:?}", post(server).unwrap().transport);
        assert!(debug("smtp://localhost").contains("tls: Required"));
        assert!(debug("smtp://mail.example.org").contains("tls: Required"));
        assert!(debug("smtps://mail.example.org").contains("tls: Wrapper"));
        assert!(debug("smtp://127.0.0.1").contains("tls: None"));
    }
}
