//! One message to the hub: an HTTPS POST of exactly the bytes that passed the gate.
//!
//! Every message has a connection of its own, made by a client of its own: nothing is pooled, no timer
//! stays behind, and the client can only be told the addresses that were resolved for this very permit. What
//! the caller's profile may remember (TLS tickets) lives in the rustls configuration.

use super::faults;
use super::outside::{Reply, SendError};
use super::permit::{Permit, Target};
use super::resolver::Resolver;
use super::tcp::Trail;
use super::underway::Underway;
use crate::card::{Caller, Carriage};
use crate::clock::{Clock, Wall};
use crate::identity::HubTls;
use crate::wire::MAX_BODY;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, Url};
use serde_json::Value;
use std::sync::Arc;

/// A TCP and TLS handshake with a lost SYN (1 s, then 2 s more) on a slow line fits in.
const CONNECT: Duration = Duration::from_secs(5);
/// The same for an address behind which there are others: one that drops packets must not cost 5 s.
const CONNECT_EARLIER: Duration = Duration::from_secs(2);
/// The most addresses of one hub that are tried.
const ADDRESSES: usize = 4;
/// Everything after the look-up, for each address. A hub answers in milliseconds; a stop of the agent waits for nobody.
const TOTAL: Duration = Duration::from_secs(15);
/// A longer Retry-After is a mistake or malice; an hour spares the hub as well.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The HTTPS carrier of one hub.
pub struct Https {
    tls: HubTls,
    resolver: Arc<Resolver>,
    clock: Clock,
    total: Duration,
}

impl Https {
    /// A carrier with these profiles. Opens nothing yet.
    pub fn new(tls: HubTls, resolver: Arc<Resolver>, clock: Clock) -> Self {
        Self { tls, resolver, clock, total: TOTAL }
    }

    /// Carries one message and its answer. Ends within the resolver's 12 s, 2 s for each
    /// address that does not answer, and 15 s more.
    ///
    /// Its ledger line counts the bytes of the TCP connection, TLS and HTTP headers included, as the kernel tells
    /// them once it has ended, which takes one round trip more. A kernel that does not tell leaves the
    /// bytes of both bodies, and so does a message that failed because the hub fell silent half-way: its connection
    /// ends minutes later. Dropped half-way, the line says `given up` and has those of the body.
    ///
    /// # Errors
    /// [`SendError`] for everything that is not an HTTP answer, and for a success whose body is longer than
    /// [`MAX_BODY`] or not JSON. Other statuses are replies; a body of theirs that is not JSON reads as null.
    pub async fn carry(&self, permit: Permit) -> Result<Reply, SendError> {
        let prepared = match self.prepare(&permit).await {
            Ok(prepared) => prepared,
            Err(error) => {
                Underway::new(permit).finish(error.to_string());
                return Err(error);
            }
        };
        let (to, body) = (permit.to().clone(), permit.body().to_vec());
        let mut underway = Underway::new(permit);
        let mut left = prepared.addresses.len();
        for ip in &prepared.addresses {
            left -= 1;
            let connect = if left > 0 { CONNECT_EARLIER } else { CONNECT };
            let client = prepared.client(*ip, connect.min(self.total), self.total);
            underway.outcome.up = u64::try_from(body.len()).unwrap_or(u64::MAX);
            underway.outcome.peer = Some((*ip, to.port));
            let mut trail = Trail::follow(vec![*ip], to.port);
            let result = match client {
                Ok(client) => {
                    let message = (client, prepared.url.clone(), body.clone());
                    self.send(&to, message, &mut underway, &mut trail).await
                }
                Err(e) => Err(faults::unreachable(&to, format_args!("no HTTP client: {e}"))),
            };
            if let Some(counts) = trail.end().await {
                underway.outcome.set(counts);
            }
            match result {
                Err(error) if left > 0 && is_elsewhere_perhaps(&error) => {
                    underway.tried((*ip, to.port), error.to_string());
                }
                result => {
                    underway.finish(word(&result));
                    return result;
                }
            }
        }
        let error = faults::unreachable(&to, "there is no address");
        underway.finish(error.to_string());
        Err(error)
    }

    /// Everything that can fail before a byte leaves for the hub.
    async fn prepare(&self, permit: &Permit) -> Result<Prepared, SendError> {
        let to = permit.to();
        let Carriage::Https { path, caller } = permit.parcel().how else {
            return Err(faults::unreachable(to, "this parcel is not carried by HTTPS"));
        };
        let tls = match caller {
            Caller::Anonymous | Caller::Applicant => Arc::clone(&self.tls.anonymous),
            Caller::Device => self.tls.device.clone().ok_or_else(|| {
                faults::unreachable(to, "this device has no certificate of the hub yet")
            })?,
        };
        let scheme = if crate::sabotage::off("api-tls") { "http" } else { "https" };
        let url = Url::parse(&format!("{scheme}://{to}{path}"))
            .map_err(|e| faults::no_address(to, format_args!("not a host name ({e})")))?;
        let addresses = self.resolver.resolve(permit).await?;
        Ok(Prepared { tls, url, addresses: addresses.into_iter().take(ADDRESSES).collect() })
    }

    async fn send(
        &self,
        to: &Target,
        (client, url, body): (Client, Url, Vec<u8>),
        underway: &mut Underway,
        trail: &mut Trail,
    ) -> Result<Reply, SendError> {
        let json = HeaderValue::from_static("application/json");
        let sent = client.post(url).header(CONTENT_TYPE, json).body(body).send().await;
        let mut response = sent.map_err(|e| {
            if e.is_connect() {
                underway.outcome.up = 0;
            }
            self.fault(to, &e)
        })?;
        underway.outcome.peer = response.remote_addr().map(|peer| (peer.ip(), peer.port()));
        if let Some(ends) = response.extensions().get::<HttpInfo>() {
            trail.found(ends.local_addr(), ends.remote_addr());
        }
        let status = response.status();
        if let Some(said) = date(response.headers()) {
            self.clock.vouch(said);
        }
        let retry_after = retry_after(response.headers(), self.clock.now().wall);
        let text = self.body(to, &mut response, underway).await?;
        trail.look();
        let body = match serde_json::from_slice(&text) {
            Ok(body) => body,
            Err(_) if text.is_empty() || !status.is_success() => Value::Null,
            Err(e) => return Err(SendError::NotUnderstood(format!("not JSON: {e}"))),
        };
        Ok(Reply { status: status.as_u16(), body, retry_after })
    }

    async fn body(
        &self,
        to: &Target,
        response: &mut Response,
        underway: &mut Underway,
    ) -> Result<Vec<u8>, SendError> {
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.fault(to, &e))? {
            underway.outcome.down += u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            if text.len() + chunk.len() > MAX_BODY {
                let why = format!("a body of more than {MAX_BODY} bytes");
                return Err(SendError::NotUnderstood(why));
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    }

    fn fault(&self, to: &Target, error: &reqwest::Error) -> SendError {
        if error.is_timeout() {
            let limit = if error.is_connect() { CONNECT.min(self.total) } else { self.total };
            return faults::timed_out(to, limit);
        }
        faults::of_chain(to, error)
    }
}

fn word(result: &Result<Reply, SendError>) -> String {
    match result {
        Ok(reply) if (200..300).contains(&reply.status) => format!("ok {}", reply.status),
        Ok(reply) => format!("declined {}", reply.status),
        Err(error) => error.to_string(),
    }
}

/// Whether another address of the same host may do better.
const fn is_elsewhere_perhaps(error: &SendError) -> bool {
    matches!(error, SendError::Unreachable { .. } | SendError::TimedOut { .. })
}

/// What one message needs.
struct Prepared {
    tls: Arc<rustls::ClientConfig>,
    url: Url,
    addresses: Vec<IpAddr>,
}

impl Prepared {
    /// A client that knows one address: each one that is tried has a line of its own.
    #[allow(clippy::disallowed_methods, reason = "this is where HTTP clients are made")]
    fn client(&self, ip: IpAddr, connect: Duration, total: Duration) -> reqwest::Result<Client> {
        let host = self.url.host_str().unwrap_or_default().to_owned();
        Client::builder()
            .tls_backend_preconfigured(self.tls.as_ref().clone())
            .dns_resolver(Resolved { host, ip })
            .https_only(!crate::sabotage::off("api-tls"))
            .http1_only()
            .no_proxy()
            .referer(false)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(connect)
            .timeout(total)
            .build()
    }
}

/// Knows one host.
struct Resolved {
    host: String,
    ip: IpAddr,
}

impl Resolve for Resolved {
    fn resolve(&self, name: Name) -> Resolving {
        let found = if name.as_str().eq_ignore_ascii_case(&self.host) {
            // The port 0 stands for that of the URL.
            let all: Addrs = Box::new(core::iter::once(SocketAddr::new(self.ip, 0)));
            Ok(all)
        } else {
            Err(format!("{} was not asked for", name.as_str()).into())
        };
        Box::pin(core::future::ready(found))
    }
}

/// RFC 9110 section 6.6.1: when the hub says it answered.
fn date(headers: &HeaderMap) -> Option<Wall> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<Wall> {
    let at = httpdate::parse_http_date(text).ok()?;
    at.duration_since(std::time::UNIX_EPOCH).ok().map(Wall)
}

/// RFC 9110 section 10.2.3: seconds or a date.
fn retry_after(headers: &HeaderMap, now: Wall) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        http_date(text)?.0.saturating_sub(now.0)
    };
    Some(wait.min(MOST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::egress::ledger::Line;
    use crate::egress::testing::{Pki, device_permit, gate, lines, permit, pki, resolver, target};
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    /// Serves one request with `answer`, then closes; nothing when empty. Returns what was asked.
    async fn hub(pki: &Pki, answer: String) -> (u16, JoinHandle<String>) {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&pki.server));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut tls) = acceptor.accept(stream).await else { return String::new() };
            let mut asked = Vec::new();
            while !asked.ends_with(b"}") {
                let mut more = [0; 1024];
                let n = tls.read(&mut more).await.unwrap();
                asked.extend_from_slice(&more[..n]);
            }
            if answer.is_empty() {
                core::future::pending::<()>().await;
            }
            // The client may hang up in the middle of a body that is too long.
            let _ = tls.write_all(answer.as_bytes()).await;
            let _ = tls.shutdown().await;
            String::from_utf8(asked).unwrap()
        });
        (port, asked)
    }

    fn http(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
    }

    fn https(tls: Arc<rustls::ClientConfig>, total: Duration) -> Https {
        let tls = HubTls { anonymous: tls, device: None, session: None };
        Https { total, ..Https::new(tls, resolver(), crate::egress::testing::clock()) }
    }

    async fn ask(answer: String) -> (Result<Reply, SendError>, Line, JoinHandle<String>) {
        let pki = pki(crate::wire::API_ALPN);
        let (port, asked) = hub(&pki, answer).await;
        let gate = gate(target("hub.example.test", port));
        let https = https(Arc::clone(&pki.trusting), Duration::from_millis(400));
        let reply = https.carry(permit(&gate)).await;
        (reply, lines(&gate).pop().unwrap(), asked)
    }

    #[tokio::test]
    async fn a_message_goes_with_the_declared_headers_and_nothing_else() {
        let (reply, line, asked) = ask(http("200 OK", "", r#"{"a":1}"#)).await;
        let body = json!({ "a": 1 });
        assert_eq!(reply, Ok(Reply { status: 200, body, retry_after: None }));
        let asked = asked.await.unwrap();
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, r#"{"word":"hello"}"#);
        assert!(head.starts_with("POST /v1/ask HTTP/1.1\r\n"));
        let names = head.lines().skip(1).map(|line| line.split(':').next().unwrap());
        let names: Vec<&str> = names.collect();
        assert_eq!(names, crate::card::HTTP_HEADERS);
        assert_eq!(line.result, "ok 200");
        assert!(line.up > 300 && line.down > 500, "with TLS and headers: {line:?}");
        assert!((6..20).contains(&line.up_packets) && line.down_packets >= 4, "{line:?}");
        assert_eq!(line.ip, Some("127.0.0.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_refusal_is_a_reply_with_its_wait() {
        let (reply, line, _) =
            ask(http("429 Slow", "retry-after: 9\r\n", r#"{"error":"slow down"}"#)).await;
        let error = reply.unwrap().read::<Value>().unwrap_err();
        assert_eq!(error.to_string(), "the hub declined (429): slow down");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
        assert_eq!(line.result, "declined 429");
        let portal = http("302 Found", "location: http://portal.test/\r\n", "<html>");
        assert_eq!(ask(portal).await.0.unwrap().body, Value::Null);
        assert_eq!(ask(http("204 No Content", "", "")).await.0.unwrap().body, Value::Null);
    }

    #[tokio::test]
    async fn a_body_too_long_or_not_json_is_not_understood() {
        for body in ["x".repeat(MAX_BODY + 1), "<html>".into()] {
            let (reply, line, _) = ask(http("200 OK", "", &body)).await;
            assert!(matches!(reply, Err(SendError::NotUnderstood(_))), "{reply:?}");
            assert!(line.down > 0 && line.result.starts_with("the hub's answer"));
        }
    }

    #[tokio::test]
    async fn a_hanging_hub_times_out_and_a_closed_port_is_unreachable() {
        let (reply, line, _) = ask(String::new()).await;
        assert!(matches!(reply, Err(SendError::TimedOut { .. })), "{reply:?}");
        assert!(line.up > 300 && line.up_packets > 4, "the question left: {line:?}");
        let gate = gate(target("hub.example.test", 1));
        let https = https(pki(b"http/1.1").trusting, TOTAL);
        let reply = https.carry(permit(&gate)).await;
        assert!(matches!(reply, Err(SendError::Unreachable { .. })), "{reply:?}");
        let line = lines(&gate).pop().unwrap();
        assert_eq!((line.up, line.up_packets, line.down_packets), (0, 1, 1), "SYN and RST");
    }

    #[tokio::test]
    async fn an_unknown_certificate_is_not_trusted_and_gets_no_byte_of_the_body() {
        let pki = pki(crate::wire::API_ALPN);
        let (port, asked) = hub(&pki, http("200 OK", "", "")).await;
        let gate = gate(target("hub.example.test", port));
        let reply = https(Arc::clone(&pki.distrusting), TOTAL).carry(permit(&gate)).await;
        assert!(matches!(reply, Err(SendError::NotTrusted { .. })), "{reply:?}");
        assert_eq!(asked.await.unwrap(), "");
        let line = lines(&gate).pop().unwrap();
        assert!(line.up > 100 && line.down > 100, "the handshake left all the same: {line:?}");
    }

    #[tokio::test]
    async fn without_its_certificate_the_device_does_not_speak() {
        let gate = gate(target("hub.example.test", 1));
        let https = https(pki(b"http/1.1").trusting, TOTAL);
        let error = https.carry(device_permit(&gate)).await.unwrap_err();
        assert!(error.to_string().ends_with("no certificate of the hub yet"), "{error}");
    }

    #[tokio::test]
    async fn what_the_hub_says_of_the_time_vouches_for_the_clock() {
        let pki = pki(crate::wire::API_ALPN);
        let built = crate::clock::BUILT.rfc3339();
        for (said, wanted) in [
            ("date: Sun, 22 Nov 2026 09:00:00 GMT\r\n", "2026-11-22T09:00:00Z"),
            ("date: Sun, 22 Nov 2099 09:00:00 GMT\r\n", "2026-11-22T10:00:00Z"),
            ("date: noon\r\n", built.as_str()),
        ] {
            let (port, _) = hub(&pki, http("200 OK", said, "{}")).await;
            let gate = gate(target("hub.example.test", port));
            let clock = Clock::above(Wall::default(), || crate::egress::testing::WALL);
            let tls = HubTls { anonymous: Arc::clone(&pki.trusting), device: None, session: None };
            Https::new(tls, resolver(), clock.clone()).carry(permit(&gate)).await.unwrap();
            assert_eq!(clock.vouched().rfc3339(), wanted, "{said}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_capped() {
        let now = crate::egress::testing::WALL;
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 22 Nov 2026 10:02:00 GMT"), Some(120));
        assert_eq!(read("Sun, 22 Nov 2026 09:00:00 GMT"), Some(0));
        assert_eq!(read("999999999"), Some(3600));
        assert_eq!(read("soon"), None);
    }
}
