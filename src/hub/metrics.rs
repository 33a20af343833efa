//! What the hub counts, as Prometheus text (promises S18, Y3).
//!
//! Counters of the process, each with labels out of a list in this file: nobody's name, address, device or
//! browser can get into one. What a detector knows of whom it concerns is summed up before it is shown.

use super::state::Hub;
use super::watch::{Kind, Subject};
use core::fmt::Write as _;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use tokio::time::timeout;

/// How long the store is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Counters that differ in one label.
pub struct Family<const N: usize> {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: [&'static str; N],
    counts: [AtomicU64; N],
}

impl<const N: usize> Family<N> {
    const fn new(
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: [&'static str; N],
    ) -> Self {
        Self { name, help, label, values, counts: [const { AtomicU64::new(0) }; N] }
    }

    /// Counts one; what is not in the list counts for its last word.
    pub fn count(&self, value: &str) {
        if crate::sabotage::off("metrics-count") {
            return;
        }
        let at = self.values.iter().position(|known| *known == value);
        if let Some(counter) = at.and_then(|at| self.counts.get(at)).or(self.counts.last()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many there were of a word of the list.
    pub fn of(&self, value: &str) -> u64 {
        let at = self.values.iter().position(|known| *known == value);
        at.and_then(|at| self.counts.get(at)).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn write(&self, text: &mut String) {
        head(text, self.name, "counter", self.help);
        for (value, count) in self.values.iter().zip(&self.counts) {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(text, "{}{{{}=\"{value}\"}} {count}", self.name, self.label);
        }
    }
}

/// Handshakes of sessions.
pub static HANDSHAKES: Family<4> = Family::new(
    "qcloud_hub_handshakes_total",
    "Handshakes of devices' sessions, by what they came to.",
    "result",
    ["ok", "unknown", "late", "failed"],
);
/// Answers of the API other than yes, by their status.
pub static REFUSALS: Family<12> = Family::new(
    "qcloud_hub_refusals_total",
    "Requests of the API that were refused, by HTTP status.",
    "status",
    ["400", "401", "403", "404", "408", "409", "410", "413", "429", "500", "503", "other"],
);
/// Requests for registration.
pub static REGISTRATIONS: Family<2> = Family::new(
    "qcloud_hub_registrations_total",
    "Requests for registration, by what they came to.",
    "result",
    ["begun", "bounded"],
);
/// Answers of the name server.
pub static DNS: Family<7> = Family::new(
    "qcloud_hub_dns_answers_total",
    "Answers of the name server, by response code; none for a question that deserves none.",
    "rcode",
    ["noerror", "formerr", "nxdomain", "notimp", "refused", "none", "other"],
);
/// Connections to the front door.
pub static CONNECTIONS: Family<5> = Family::new(
    "qcloud_hub_connections_total",
    "Connections on TCP, by whom they were meant for.",
    "to",
    ["api", "pages", "device", "tripwire", "nobody"],
);
/// Visits of devices.
pub static VISITS: Family<2> = Family::new(
    "qcloud_hub_visits_total",
    "Visitors of devices' services, by what became of them.",
    "result",
    ["carried", "refused"],
);
/// Sign-ins at the pages.
pub static SIGN_INS: Family<2> = Family::new(
    "qcloud_hub_sign_ins_total",
    "Sign-ins at the pages, by what they came to.",
    "result",
    ["ok", "failed"],
);
/// What could not be served.
pub static ERRORS: Family<2> = Family::new(
    "qcloud_hub_errors_total",
    "Requests that failed inside the hub.",
    "at",
    ["api", "pages"],
);
/// Devices of which two were found.
pub static CLONES: Family<1> = Family::new(
    "qcloud_hub_clones_total",
    "Devices that were set aside because two boxes used one identity.",
    "result",
    ["quarantined"],
);
/// Anomalies that were raised.
pub static ANOMALIES: Family<8> = Family::new(
    "qcloud_hub_anomalies_total",
    "Anomalies that were raised, by kind.",
    "kind",
    Kind::WORDS,
);

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [(&str, u64); 10] = [
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("1", 1_000_000),
    ("5", 5_000_000),
];

/// How long calls of the store took.
pub struct Latency {
    kind: &'static str,
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

impl Latency {
    const fn new(kind: &'static str) -> Self {
        let buckets = [const { AtomicU64::new(0) }; BOUNDS.len()];
        Self { kind, buckets, count: AtomicU64::new(0), micros: AtomicU64::new(0) }
    }

    /// Notes one.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        for ((_, bound), bucket) in BOUNDS.iter().zip(&self.buckets) {
            if micros <= *bound {
                bucket.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn write(&self, text: &mut String) {
        let (name, kind) = (STORE, self.kind);
        // A call that ends meanwhile must not make the last bucket larger than the count.
        let count = self.count.load(Ordering::Relaxed);
        for ((bound, _), bucket) in BOUNDS.iter().zip(&self.buckets) {
            let below = bucket.load(Ordering::Relaxed).min(count);
            let _ = writeln!(text, "{name}_bucket{{kind=\"{kind}\",le=\"{bound}\"}} {below}");
        }
        let sum = Duration::from_micros(self.micros.load(Ordering::Relaxed)).as_secs_f64();
        let _ = writeln!(text, "{name}_bucket{{kind=\"{kind}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{name}_sum{{kind=\"{kind}\"}} {sum}");
        let _ = writeln!(text, "{name}_count{{kind=\"{kind}\"}} {count}");
    }
}

const STORE: &str = "qcloud_hub_store_seconds";
/// Calls that read.
pub static READS: Latency = Latency::new("read");
/// Calls that write.
pub static WRITES: Latency = Latency::new("write");
/// Calls that erase.
pub static ERASURES: Latency = Latency::new("erase");

/// When the sweep was last done, in Unix seconds; zero before the first one.
pub static SWEPT_AT: AtomicU64 = AtomicU64::new(0);

/// Counts an answer of the name server by its header (RFC 1035 section 4.1.1).
pub fn dns(answer: Option<&[u8]>) {
    let code = answer.map(|bytes| bytes.get(3).map_or(0, |byte| byte & 0x0f));
    DNS.count(match code {
        None => "none",
        Some(0) => "noerror",
        Some(1) => "formerr",
        Some(3) => "nxdomain",
        Some(4) => "notimp",
        Some(5) => "refused",
        Some(_) => "other",
    });
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl core::fmt::Display) {
    head(text, name, "gauge", help);
    let _ = writeln!(text, "{name} {value}");
}

/// Everything, as Prometheus reads it (exposition format, version 0.0.4).
pub async fn render(hub: &Hub) -> String {
    let mut text = String::new();
    HANDSHAKES.write(&mut text);
    REFUSALS.write(&mut text);
    REGISTRATIONS.write(&mut text);
    DNS.write(&mut text);
    CONNECTIONS.write(&mut text);
    VISITS.write(&mut text);
    SIGN_INS.write(&mut text);
    ERRORS.write(&mut text);
    CLONES.write(&mut text);
    ANOMALIES.write(&mut text);
    head(&mut text, STORE, "histogram", "How long calls of the store took, the commit included.");
    for latency in [&READS, &WRITES, &ERASURES] {
        latency.write(&mut text);
    }
    anomalies(&mut text, &hub.watch.raised());
    of_hub(&mut text, hub).await;
    of_process(&mut text);
    text
}

/// How many are raised of each kind, and never of whom.
fn anomalies(text: &mut String, raised: &[(Kind, Subject)]) {
    let name = "qcloud_hub_anomalies";
    head(text, name, "gauge", "Anomalies that are raised now, by kind.");
    if crate::sabotage::off("metrics-aggregate") {
        for (kind, subject) in raised {
            let _ = writeln!(text, "{name}{{kind=\"{}\",of=\"{subject:?}\"}} 1", kind.word());
        }
        return;
    }
    for kind in Kind::ALL {
        let count = raised.iter().filter(|(other, _)| *other == kind).count();
        let _ = writeln!(text, "{name}{{kind=\"{}\"}} {count}", kind.word());
    }
}

async fn of_hub(text: &mut String, hub: &Hub) {
    let now = hub.clock.now().wall;
    gauge(text, "qcloud_hub_sessions", "Devices that have a session.", hub.presence.count());
    // A store that does not answer is a matter of the health; here it shows as nothing waiting for long.
    let letters = timeout(PATIENCE, hub.store.letters_waiting()).await;
    let letters = letters.ok().and_then(Result::ok).unwrap_or_default();
    gauge(text, "qcloud_hub_outbox_letters", "Letters that wait to be sent.", letters);
    let oldest = timeout(PATIENCE, hub.store.oldest("outbox")).await;
    let oldest = oldest.ok().and_then(Result::ok).flatten();
    let age = oldest.map_or(0, |at| now.unix_seconds().saturating_sub(at.unix_seconds()));
    gauge(text, "qcloud_hub_outbox_oldest_seconds", "Age of the oldest letter that waits.", age);
    let swept = SWEPT_AT.load(Ordering::Relaxed);
    let age = if swept == 0 { 0 } else { now.unix_seconds().saturating_sub(swept) };
    gauge(text, "qcloud_hub_sweep_age_seconds", "Time since the retention sweep was done.", age);
    let stuck = "Erasures that were begun and are not finished.";
    gauge(text, "qcloud_hub_stuck_deletions", stuck, hub.stuck_deletions());
    let name = "qcloud_hub_certificate_seconds";
    head(text, name, "gauge", "Time until a certificate of the hub is over.");
    for (face, over) in hub.certificates() {
        let left = over.map_or(0, |at| at.unix_seconds().saturating_sub(now.unix_seconds()));
        let _ = writeln!(text, "{name}{{face=\"{face}\"}} {left}");
    }
    let health = super::health::of(hub).await;
    let fine = u8::from(health.is_empty());
    gauge(
        text,
        "qcloud_hub_healthy",
        "1 when nothing is wrong, 0 when the health says what.",
        fine,
    );
    let name = "qcloud_hub_degraded";
    head(text, name, "gauge", "1 for each reason why the hub is not well.");
    for code in super::health::CODES {
        let is = u8::from(health.iter().any(|reason| reason.code == code));
        let _ = writeln!(text, "{name}{{reason=\"{code}\"}} {is}");
    }
}

fn of_process(text: &mut String) {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    let size = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096);
    let resident = pages.unwrap_or_default().saturating_mul(size);
    let name = "process_resident_memory_bytes";
    gauge(text, name, "Resident memory size in bytes.", resident);
    // The directory that is being read is one of them.
    let open =
        std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
    gauge(text, "process_open_fds", "Number of open file descriptors.", open);
}
