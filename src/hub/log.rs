//! The hub's own log, on stderr, where nobody is named (promises Y1, H5, N1).
//!
//! Devices stand in it by their ids, accounts not at all. Whatever a line is made of, a library's error or the answer
//! of a mail server among it, passes [`anonymous`] on its way out: it loses mail addresses, and of network
//! addresses the host part.

use crate::wire::address::masked;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::io::{self, Write};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What stands for a mail address.
const MAIL: &str = "(mail address)";

/// Starts the log; with `debug` also what happens in detail.
pub fn start(debug: bool) {
    let own = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let targets = Targets::new().with_default(LevelFilter::WARN).with_target("qcloud_agent", own);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Anonymous).with_ansi(false);
    // A second call in one process keeps the first subscriber.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}

/// stderr, for lines: each comes in one write.
struct Anonymous;

impl Write for Anonymous {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if crate::sabotage::off("hub-log-anonymous") {
            return io::stderr().write(line);
        }
        let text = anonymous(&String::from_utf8_lossy(line));
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The text without mail addresses, and with network addresses masked. Loopback addresses are nobody's.
pub fn anonymous(text: &str) -> String {
    // As in a mail address, both parts of it.
    let mail = |c: char| !c.is_control() && !c.is_whitespace() && !"\"<>,;:\\()[]".contains(c);
    replaced(
        text,
        mail,
        |word| is_mail(word).then(|| MAIL.to_owned()),
        |rest| {
            replaced(
                rest,
                |c| c.is_ascii_hexdigit() || c == ':' || c == '.',
                masked_ip,
                str::to_owned,
            )
        },
    )
}

/// Takes a text apart into words of certain characters and what is between them; a word that is not replaced is
/// treated as the rest is.
fn replaced(
    text: &str,
    belongs: impl Fn(char) -> bool,
    word: impl Fn(&str) -> Option<String>,
    rest: impl Fn(&str) -> String,
) -> String {
    let (mut out, mut plain, mut left) = (String::with_capacity(text.len()), 0, 0);
    while let Some(from) = text.get(left..).and_then(|t| t.find(&belongs)).map(|at| left + at) {
        let tail = text.get(from..).unwrap_or_default();
        let to = from + tail.find(|c| !belongs(c)).unwrap_or(tail.len());
        if let Some(other) = text.get(from..to).and_then(&word) {
            out.push_str(&rest(text.get(plain..from).unwrap_or_default()));
            out.push_str(&other);
            plain = to;
        }
        left = to;
    }
    out.push_str(&rest(text.get(plain..).unwrap_or_default()));
    out
}

fn is_mail(word: &str) -> bool {
    let parts = word.split_once('@').or_else(|| word.split_once("%40"));
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// A run of hexadecimal digits, colons and dots with the addresses in it masked; `None` when there is none.
fn masked_ip(run: &str) -> Option<String> {
    if run.matches(':').count() > 1
        && let Some((from, to, v6)) = find_v6(run)
    {
        let (before, after) = (run.get(..from)?, run.get(to..)?);
        return Some(format!("{before}{}{after}", hidden(v6.into())));
    }
    let quad = |word: &str| {
        let bare = word.trim_matches('.');
        let v4: Ipv4Addr = bare.parse().ok()?;
        Some(word.replace(bare, &hidden(v4.into())))
    };
    let out = replaced(run, |c| c.is_ascii_digit() || c == '.', quad, str::to_owned);
    (out != run).then_some(out)
}

/// The longest IPv6 address of the leftmost ones. Paths of Rust's modules look like some (`b::d`): one needs a digit.
fn find_v6(run: &str) -> Option<(usize, usize, Ipv6Addr)> {
    // The longest written one has 45 characters (RFC 4291 section 2.2), and a port may follow.
    (0..run.len()).take(64).find_map(|from| {
        let ends = (from + 2..=run.len().min(from + 45)).rev();
        ends.into_iter().find_map(|to| {
            let text =
                run.get(from..to).filter(|text| text.contains(|c: char| c.is_ascii_digit()))?;
            Some((from, to, text.parse().ok()?))
        })
    })
}

fn hidden(address: IpAddr) -> String {
    let address = address.to_canonical();
    let nobody = address.is_loopback() || address.is_unspecified();
    if nobody { address.to_string() } else { masked(address).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_left_in_a_line_and_all_else_is() {
        let lines = [
            (
                "550 5.1.1 <anna@example.net>: no such user",
                "550 5.1.1 <(mail address)>: no such user",
            ),
            ("Email(\"å.b+c=d@example.net\")", "Email(\"(mail address)\")"),
            ("to=anna@example.net, and anna%40example.net", "(mail address), and (mail address)"),
            ("from 192.0.2.177:4711.", "from 192.0.2.0:4711."),
            ("addr192.0.2.177.", "addr192.0.2.0."),
            ("from [2001:db8:9:1::7b3d]:4711", "from [2001:db8:9::]:4711"),
            ("from=2001:db8:9:1:2:3:4:5:4711", "from=2001:db8:9:::4711"),
            ("at2001:db8:9:1::7b3d", "at2001:db8:9::"),
            ("::ffff:192.0.2.177", "192.0.2.0"),
            ("[192.0.2.177, 198.51.100.7]", "[192.0.2.0, 198.51.100.0]"),
        ];
        for (line, wanted) in lines {
            assert_eq!(anonymous(line), wanted, "{line}");
        }
        for kept in [
            "2026-11-22T08:30:42.619294Z  INFO qcloud_agent::hub::dns: listen=127.0.0.1:443 [::]:53",
            "serde::de::Error, b::d, @, a@, @b, 1.2.3, 12:34:56, epoch=1795336253493231",
            "device=4f2e9c01d9 reason=\"this device was revoked by the hub's operator\"",
            "",
        ] {
            assert_eq!(anonymous(kept), kept);
        }
    }
}
