//! Every parser that reads bytes from outside, as a function that must take any bytes without a panic, and must
//! keep the property written beside it. One list for libFuzzer, for the replay in every test run, and for `run`.

use qcloud_agent::daemon::config;
use qcloud_agent::egress::{ledger, resolver};
use qcloud_agent::identity::{Identity, pin::HubPin};
use qcloud_agent::platform::facts::{arrays, mounts, text};
use qcloud_agent::platform::root::Root;
use qcloud_agent::report::scrub::Scrubber;
use qcloud_agent::report::scrub::dictionary::Dictionary;
use qcloud_agent::report::scrub::stream::Scrubbed;
use qcloud_agent::state::StateDir;
use qcloud_agent::wire::label::{Label, printable};
use qcloud_agent::wire::link::{ToDevice, ToHub, Visitor};
use qcloud_agent::wire::receipt::{self, Demand, Forgotten};
use qcloud_agent::wire::registration::{Membership, Poll, Polled, Start, Started};
use qcloud_agent::wire::{address, ddns, frame, link, lookup, privacy};
use qcloud_agent::{
    clock::{Clock, Wall},
    features, fuzz,
};
use serde::{Serialize, de::DeserializeOwned};
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll as Ready, Waker};

/// A target: its name is that of its directory in `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

/// The targets of the agent.
const AGENT: &[Target] = &[
    ("agent_config", agent_config),
    ("board_table", board_table),
    ("certificate", certificate),
    ("configuration_files", configuration_files),
    ("control_request", control_request),
    ("dns_answer", dns_answer),
    ("frame", frames),
    ("hub_answer", hub_answer),
    ("hub_request", hub_request),
    ("hub_url", hub_url),
    ("label", label),
    ("license", license_documents),
    ("ledger", ledger_lines),
    ("mdstat", mdstat),
    ("mountinfo", mountinfo),
    ("netlink", netlink),
    ("pin", pin_text),
    ("receipt", signed_receipt),
    ("report_line", report_line),
    ("resolv_conf", resolv_conf),
    ("service_url", service_url),
    ("sock_diag", sock_diag),
    ("state_document", state_document),
];

/// The targets of the hub.
#[cfg(feature = "hub")]
const HUB: &[Target] = &[
    ("accept_language", hub::accept_language),
    ("backup_archive", hub::backup_archive),
    ("dns_question", hub::dns_question),
    ("hub_config", hub::hub_config),
    ("id_token", hub::id_token),
    ("tls_hello", hub::tls_hello),
];
#[cfg(not(feature = "hub"))]
const HUB: &[Target] = &[];

/// All of them.
pub fn all() -> impl Iterator<Item = Target> {
    AGENT.iter().chain(HUB).copied()
}

/// Runs a target by its name.
#[allow(dead_code, reason = "for libFuzzer's programs, each of which is one target")]
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = all().find(|(known, _)| *known == name).expect("a target of the list");
    target(data);
}

/// The answer of a future that waits for nothing but bytes in memory.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Ready::Ready(answer) => answer,
        Ready::Pending => panic!("bytes in memory were waited for"),
    }
}

fn text_of(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// What was understood is understood again from what it is written as.
fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(data) {
        let again = serde_json::to_vec(&value).expect("what was read can be written");
        assert_eq!(serde_json::from_slice::<T>(&again).expect("and read again"), value);
    }
}

fn agent_config(data: &[u8]) {
    // An error is shown to a person: one line, which carries no escape sequence along.
    if let Err(error) = config::parse(&text_of(data), Path::new("c.toml"), features::ALL) {
        let shown = error.to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
}

fn board_table(data: &[u8]) {
    let text = text_of(data);
    if let Ok(value) = text::believable(&text) {
        assert!(value.len() <= 128 && !value.chars().any(char::is_control), "{value:?}");
        assert_eq!(text::believable(value), Ok(value));
    }
    assert_eq!(text::is_placeholder(&text), text::no_placeholder(&text).is_err());
}

fn certificate(data: &[u8]) {
    let _ = HubPin::of_certificate(&data.into());
    let identity = static_identity();
    let membership = Membership {
        name: Label::parse("box").expect("a label"),
        zone: "example.test".into(),
        certificate: text_of(data),
        receipt_key: String::new(),
        certificate_until: Wall::default(),
        device: String::new(),
        operator: None,
    };
    // Whoever answers has not this device's key, so only its own certificate would pass.
    let _ = identity.hub_tls(None, Some(&membership));
}

fn static_identity() -> &'static Identity {
    static IDENTITY: LazyLock<Identity> = LazyLock::new(|| {
        Identity::open(
            Arc::new(StateDir::memory()),
            Clock::system(Wall::from_unix_seconds(0)),
            Root::new("/nowhere"),
        )
        .expect("a key in memory")
    });
    &IDENTITY
}

/// What stands between a section and a key, or a name and the file, in the data of [`configuration_files`].
fn configuration_files(data: &[u8]) {
    let all = text_of(data);
    let (first, file) = all.split_once('\n').unwrap_or(("", &all));
    let (section, key) = first.split_once('/').unwrap_or(("", first));
    let found = text::section(file, section, key);
    let first = text::entries(file)
        .find(|(of, name, _)| of.eq_ignore_ascii_case(section) && name.eq_ignore_ascii_case(key));
    assert_eq!(found.as_deref(), first.map(|(_, _, value)| value));
    if let Some(value) = text::variable(file, key) {
        assert!(value.len() <= file.len() && !value.contains('\n'), "{value:?}");
    }
    let _ = text::by_number(file);
}

fn control_request(data: &[u8]) {
    if let Ok(request) = at_once(fuzz::read_request(data)) {
        let mut line = serde_json::to_vec(&request).expect("what was read can be written");
        line.push(b'\n');
        // A request is at most 16 KiB; escapes can make it longer when written again.
        if line.len() < 16 * 1024 {
            assert_eq!(at_once(fuzz::read_request(&*line)).expect("read again"), request);
        }
    }
}

fn dns_answer(data: &[u8]) {
    if let Some((addresses, _)) = fuzz::dns_answer(data, "hub.example.test") {
        assert!(!addresses.is_empty() && addresses.iter().all(std::net::IpAddr::is_ipv4));
    }
}

fn frames(data: &[u8]) {
    fn one<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(mut data: &[u8]) {
        while let Ok(value) = at_once(frame::read::<T>(&mut data)) {
            let mut written = Vec::new();
            if at_once(frame::write(&mut written, &value)).is_ok() {
                assert_eq!(at_once(frame::read::<T>(&mut &*written)).expect("again"), value);
            }
        }
    }
    one::<ToHub>(data);
    one::<ToDevice>(data);
    one::<Visitor>(data);
}

fn hub_answer(data: &[u8]) {
    survives::<Polled>(data);
    survives::<Started>(data);
    survives::<ddns::Updated>(data);
    survives::<Forgotten>(data);
    survives::<privacy::Page>(data);
    survives::<privacy::Restrictions>(data);
}

fn hub_request(data: &[u8]) {
    survives::<Start>(data);
    survives::<Poll>(data);
    survives::<ddns::Update>(data);
    survives::<link::Origin>(data);
    survives::<lookup::Lookup>(data);
    survives::<privacy::Export>(data);
    survives::<privacy::Fix>(data);
    survives::<privacy::Restrict>(data);
}

fn hub_url(data: &[u8]) {
    let Some((host, port)) = fuzz::hub_url(&text_of(data)) else { return };
    let odd = |c: char| c.is_control() || c.is_whitespace() || "/@#?\\".contains(c);
    assert!(port > 0 && !host.is_empty() && !host.contains(odd), "{host:?}");
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    assert_eq!(fuzz::hub_url(&format!("https://{shown}:{port}")), Some((host, port)));
}

fn label(data: &[u8]) {
    let text = text_of(data);
    match Label::parse(&text) {
        Ok(label) => assert_eq!(label.as_str(), text),
        Err(error) => assert!(!error.to_string().chars().any(char::is_control)),
    }
    let shown = printable(&text, 40);
    assert!(shown.chars().count() <= 40 && !shown.chars().any(char::is_control));
}

fn ledger_lines(data: &[u8]) {
    let text = text_of(data);
    let _ = ledger::head_after(&text);
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > 2 && ledger::verify(lines.iter().copied()).is_ok() {
        let without_second = lines[..1].iter().chain(&lines[2..]).copied();
        assert!(ledger::verify(without_second).is_err(), "a line can be taken out");
    }
}

fn mdstat(data: &[u8]) {
    for array in arrays(&text_of(data)) {
        assert!(array.name.starts_with("md") && !array.name.contains(' '), "{array:?}");
        let _ = array.is_degraded();
    }
}

fn mountinfo(data: &[u8]) {
    let text = text_of(data);
    assert!(mounts(&text).len() <= text.lines().count());
}

fn netlink(data: &[u8]) {
    let (_, addresses) = fuzz::kernel_messages(data);
    assert!(addresses.v6.iter().all(|v6| address::publishable((*v6).into())));
    assert!(addresses.v4.iter().all(|v4| !v4.is_loopback()));
    let _ = fuzz::traffic_report(data);
}

fn pin_text(data: &[u8]) {
    if let Ok(pin) = text_of(data).parse::<HubPin>() {
        assert_eq!(pin.to_string().parse::<HubPin>(), Ok(pin));
    }
}

/// The document of the golden files, which is the only one its key has ever signed.
fn signed_receipt(data: &[u8]) {
    static GOLDEN: LazyLock<(String, Vec<u8>)> = LazyLock::new(|| {
        use ring::signature::{Ed25519KeyPair, KeyPair};
        let text = include_str!("../golden/wire/receipt-answer.json");
        let forgotten: Forgotten = serde_json::from_str(text).expect("the golden receipt");
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed is 32 bytes");
        (forgotten.receipt, key.public_key().as_ref().to_vec())
    });
    let (golden, key) = &*GOLDEN;
    let demand = Demand {
        device: "abcdefghijklmnopqrstuvwxyz",
        feature: "ddns",
        nonce: receipt::EXAMPLE_NONCE,
    };
    let text = text_of(data);
    let holds = receipt::verify(text.trim_end(), key, demand).is_ok();
    assert_eq!(holds, text.trim_end() == golden, "{text}");
}

/// Nothing but the documents of the golden files is taken, as their keys have signed no others; and what devices say of
/// themselves, and files of other makers, are read without a panic.
fn license_documents(data: &[u8]) {
    use qcloud_agent::wire::license::{
        Documents, Entitlement, Lease, Release, Request, Revocations, SignedTime, Trust, bundle,
        jws,
    };
    static GOLDEN: LazyLock<(Vec<String>, [u8; 32])> = LazyLock::new(|| {
        use ring::signature::{Ed25519KeyPair, KeyPair};
        let text = include_str!("../golden/wire/license.renew-answer.json");
        let golden: Documents = serde_json::from_str(text).expect("the golden documents");
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("a seed is 32 bytes");
        (golden.documents, key.public_key().as_ref().try_into().expect("32 bytes"))
    });
    let (golden, key) = &*GOLDEN;
    let text = text_of(data);
    let lines = bundle(&text).unwrap_or_default();
    let mut trust = Trust::pinned([*key]);
    trust.vouch_all([golden[0].as_str()]);
    for line in lines {
        let taken = [
            trust.open::<Entitlement>(line).is_ok(),
            trust.open::<Lease>(line).is_ok(),
            trust.open::<Revocations>(line).is_ok(),
            trust.open::<SignedTime>(line).is_ok(),
            Trust::pinned([*key]).vouch(line).is_ok(),
        ];
        assert_eq!(taken.contains(&true), golden.iter().any(|known| known == line), "{line}");
    }
    let _ = (jws::open_own::<Request>(&text), jws::open_own::<Release>(&text));
    fuzz::foreign_license(&text);
}

/// A text is the same in whatever pieces it comes, also where a line is longer than the window; a known secret is
/// never in it; and it grows by no more than a mark for each byte.
fn report_line(data: &[u8]) {
    let mut dictionary = Dictionary::default();
    dictionary.add(b"Wolke7kranich");
    dictionary.add_user(b"anna");
    let scrubber = Scrubber::new(dictionary, &[7; 32]);
    let paths =
        ["", "/etc/fstab", "/etc/config/network", "/etc/docker/daemon.json", "/etc/samba/smb.conf"];
    let path = paths[data.len() % paths.len()];
    let written = |pieces: usize, window: usize| {
        let mut to = Scrubbed::windowed(&scrubber, Vec::new(), window);
        to.begins(path);
        data.chunks(pieces).for_each(|piece| to.write_all(piece).expect("memory"));
        to.finish().expect("memory").0
    };
    for window in [512, 64 * 1024] {
        let whole = written(data.len().max(1), window);
        assert_eq!(written(7, window), whole);
        assert!(!whole.windows(13).any(|part| part == b"Wolke7kranich"));
        assert!(whole.len() <= 32 * (data.len() + 2));
    }
}

fn resolv_conf(data: &[u8]) {
    let text = text_of(data);
    assert!(resolver::servers_of(&text).iter().all(|server| server.port() == 53));
    let _ = resolver::hosts_of(&text);
}

fn service_url(data: &[u8]) {
    if let Some(url) = fuzz::service_url(&text_of(data)) {
        assert_eq!(fuzz::service_url(&url).as_ref(), Some(&url));
    }
}

fn sock_diag(data: &[u8]) {
    for connection in fuzz::socket_report(data) {
        assert_eq!(connection.local.is_ipv4(), connection.remote.is_ipv4());
    }
}

fn state_document(data: &[u8]) {
    if let Some((generation, body, again)) = fuzz::state_document(data) {
        let read = fuzz::state_document(&again).expect("what was written is read");
        assert_eq!((read.0, read.1), (generation, body));
    }
}

#[cfg(feature = "hub")]
mod hub {
    use super::{Path, at_once, text_of};
    use qcloud_agent::hub::config::Config;
    use qcloud_agent::hub::dns::answer::{Transport, answer};
    use qcloud_agent::hub::dns::zone::Zone;
    use qcloud_agent::hub::hello::{self, Opening};
    use qcloud_agent::hub::keeping::archive::Opened;
    use qcloud_agent::hub::oidc::token::{Expected, Keys, verify};
    use qcloud_agent::hub::seal::Seal;
    use qcloud_agent::hub::speech::Language;
    use qcloud_agent::secret::Secret;
    use std::io::Read;

    pub fn accept_language(data: &[u8]) {
        let asked = Language::asked(&text_of(data));
        assert!(Language::ALL.iter().any(|(_, _, known)| *known == asked));
    }

    /// Nobody here has the key: whatever opens was not sealed by this hub.
    pub fn backup_archive(data: &[u8]) {
        let seal = Seal::new(&Secret::new([7; 64])).expect("a key of the right length");
        if let Ok(mut opened) = Opened::begin(data, &seal) {
            let mut rows = Vec::new();
            assert!(opened.read_to_end(&mut rows).is_err(), "{} bytes opened", rows.len());
        }
    }

    /// A provider's keys, a line end, and its token: nobody here signs, so none is good.
    pub fn id_token(data: &[u8]) {
        let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
        let (document, token) = data.split_at(at);
        let expected = Expected {
            issuer: "https://id.example.org",
            client_id: "qcloud-hub",
            nonce: "AAAA",
            now: 1_800_000_000,
        };
        if let Some(keys) = Keys::read(document) {
            let token = text_of(token);
            assert!(verify(token.trim(), &keys, &expected).is_err(), "{token}");
        }
    }

    pub fn dns_question(data: &[u8]) {
        let hub = vec!["203.0.113.1".parse().expect("an address")];
        let zone = Zone::new("nas.example.test", "hub.nas.example.test", hub, 1);
        for (transport, most) in [(Transport::Udp, 1232), (Transport::Tcp, usize::from(u16::MAX))] {
            if let Some(said) = answer(&zone, data, transport) {
                assert!((12..=most).contains(&said.len()), "{} bytes", said.len());
                assert_eq!(said[..2], data[..2], "the id is the question's");
                // An answer to an answer would be a loop between two servers.
                assert_eq!(answer(&zone, &said, transport), None);
            }
        }
    }

    pub fn hub_config(data: &[u8]) {
        let parse = |text: &str| Config::parse(text, Path::new("hub.toml"));
        if let Ok(config) = parse(&text_of(data)) {
            let written = config.to_toml();
            let again = parse(&written).unwrap_or_else(|error| panic!("{error}: {written}"));
            assert_eq!(again.to_toml(), written);
        }
    }

    pub fn tls_hello(data: &[u8]) {
        match at_once(hello::read(&mut &*data)) {
            Ok(Opening::Tls { name, kept }) => {
                assert!(data.starts_with(&kept), "bytes of the visitor were lost or made up");
                assert!(name.is_none_or(|name| !name.chars().any(|c| c.is_ascii_uppercase())));
            }
            Ok(Opening::Tripwire(token)) => assert!(data[1..].starts_with(&token)),
            Err(_) => {}
        }
    }
}
