//! What a license check costs: one verification, its memory, and the answer of the agent's control socket. Prints
//! figures, and fails only when a check costs much more than its signatures, measured in the same run.
//!
//! `cargo bench --bench license`. With `AGENT="qemu-arm PATH"` in the environment it asks that agent instead of
//! the one it was built with.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::clock::{Wall, system_wall};
use qcloud_agent::wire::license::jws::{self, Claims, fingerprint};
use qcloud_agent::wire::license::{
    Binding, Entitlement, Facts, GRACE, KeyCertificate, LEASE, Lease, LicenseId, Model, NEXT, Plan,
    Product, Request, Revocations, Trust, Use,
};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

const ROOT: u8 = 1;
const HUB: u8 = 2;
const ROUNDS: u32 = 1000;
/// A check is its signatures and little else.
const MOST_TIMES_THE_SIGNATURES: u32 = 4;
const PRODUCT: &str = "surveillance";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> [u8; 32] {
    pair(seed).public_key().as_ref().try_into().unwrap()
}

fn signed<C: Claims>(claims: &C, seed: u8) -> String {
    jws::sign(claims, &pair(seed), &public(seed))
}

/// Key certificate, entitlement, lease and list, as a hub gives them.
fn documents(bind: Binding) -> [String; 4] {
    let now = Wall::from_unix_seconds(system_wall().unix_seconds());
    let later = |by: Duration| Wall(now.0 + by);
    let key = BASE64URL_NOPAD.encode(&public(HUB));
    let uses = vec![Use::Entitlement, Use::Lease, Use::Revocations, Use::Time];
    let certificate = KeyCertificate { v: 1, key, uses, nbf: now, exp: later(2 * LEASE) };
    let lid = LicenseId::of([9; 16]);
    let entitlement = Entitlement {
        v: 1,
        lid: lid.clone(),
        holder: "A".repeat(22),
        product: Product::parse(PRODUCT).unwrap(),
        plan: Plan::Perpetual,
        model: Model::Device,
        seats: 1,
        features: [("channels".into(), "8".into())].into(),
        iat: now,
        nbf: now,
        exp: None,
        maintained_until: None,
        transferable: true,
        offline: true,
    };
    let entitlement = signed(&entitlement, HUB);
    let lease = Lease {
        v: 1,
        lid,
        entitlement: fingerprint(&entitlement),
        bind,
        seat: 1,
        seq: 1,
        offline: true,
        iat: now,
        next: later(NEXT),
        exp: later(LEASE),
        grace_until: later(LEASE + GRACE),
        epoch: 1,
    };
    let void: std::collections::BTreeSet<_> = (0..100).map(|n| LicenseId::of([n; 16])).collect();
    let lids = void.into_iter().filter(|id| *id != lease.lid).collect();
    let list = Revocations { v: 1, epoch: 1, iat: now, lids, kids: Vec::new() };
    [signed(&certificate, ROOT), entitlement, signed(&lease, HUB), signed(&list, HUB)]
}

/// Everything that a check rests on, from the text of the documents.
fn verify(documents: &[String; 4], facts: &Facts) {
    let mut trust = Trust::pinned([public(ROOT)]);
    trust.vouch(&documents[0]).unwrap();
    let entitlement = trust.open::<Entitlement>(&documents[1]).unwrap().claims;
    let lease = trust.open::<Lease>(&documents[2]).unwrap().claims;
    let list = trust.open::<Revocations>(&documents[3]).unwrap().claims;
    assert!(lease.bind.fits(facts) && lease.entitlement == fingerprint(&documents[1]));
    assert!(!list.lids.contains(&entitlement.lid));
}

fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB").parse().unwrap()
}

fn verification() {
    let facts = Facts {
        key: vec![1; 32],
        serial: Some("Q205I01234".into()),
        macs: (0..4).map(|n| format!("24:5E:BE:00:00:0{n}")).collect(),
    };
    let documents = documents(facts.bound([7; 16]));
    // The highest resident memory from here on (proc(5), clear_refs).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    verify(&documents, &facts);
    let peak = status("VmHWM").saturating_sub(before);
    let mut times: Vec<_> = (0..ROUNDS).map(|_| timed(|| verify(&documents, &facts))).collect();
    times.sort();
    let sealed: Vec<_> = documents.iter().map(|text| text.rsplit_once('.').unwrap()).collect();
    let raw = |signature: &str| BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let keys = [public(ROOT), public(HUB), public(HUB), public(HUB)];
    let alone = || {
        for ((message, signature), key) in sealed.iter().zip(&keys) {
            assert!(jws::holds(key, message.as_bytes(), &raw(signature)));
        }
    };
    let mut bare: Vec<_> = (0..ROUNDS).map(|_| timed(alone)).collect();
    bare.sort();
    let (whole, signatures) = (times[500], bare[500]);
    let bytes: usize = documents.iter().map(String::len).sum();
    println!(
        "key certificate, entitlement, lease and list of 99 ({bytes} bytes), verified from their text:"
    );
    println!(
        "  median {whole:?}, 99th of 100 {:?}; its four signatures alone {signatures:?}",
        times[990]
    );
    println!("  memory: {peak} KiB more at its peak");
    assert!(
        whole < signatures * MOST_TIMES_THE_SIGNATURES,
        "a check costs more than its signatures"
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

struct Agent {
    words: Vec<String>,
    dir: PathBuf,
    daemon: Option<Child>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Agent {
    fn start() -> Self {
        let program =
            std::env::var("AGENT").unwrap_or_else(|_| env!("CARGO_BIN_EXE_qcloud-agent").into());
        let words = program.split(' ').map(String::from).collect();
        let dir = std::env::temp_dir().join(format!("qcloud-bench-license-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let root = BASE64URL_NOPAD.encode(&public(ROOT));
        // An emulator has threads of its own, with which no process gives up root.
        let config = format!("[agent]\nuser = \"root\"\n\n[license]\nissuers = [\"{root}\"]\n");
        std::fs::write(dir.join("config.toml"), config).unwrap();
        let mut agent = Self { words, dir, daemon: None };
        agent.daemon = Some(agent.command(&["run"]).spawn().unwrap());
        let begun = Instant::now();
        while UnixStream::connect(agent.socket()).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "the agent does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        agent
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("state/control.sock")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]).args(args);
        command.arg("--state").arg(self.dir.join("state"));
        command.arg("--config").arg(self.dir.join("config.toml"));
        command
    }

    fn ok(&self, args: &[&str]) {
        let output = self.command(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}");
    }

    /// What the agent answers to a check of this product.
    fn check(&self, product: &str) -> Value {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        let request = json!({ "noun": "license", "verb": "check", "args": { "product": product } });
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        let last = BufReader::new(stream).lines().last().unwrap().unwrap();
        serde_json::from_str(&last).unwrap()
    }

    fn times(&self, product: &str, state: &str) -> Vec<Duration> {
        let one = |_| timed(|| assert_eq!(self.check(product)["json"]["state"], state));
        let mut times: Vec<_> = (0..ROUNDS).map(one).collect();
        times.sort();
        times
    }
}

fn file(dir: &Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().into()
}

fn socket() {
    let agent = Agent::start();
    agent.ok(&["license", "on"]);
    let request = file(&agent.dir, "box.qclreq");
    agent.ok(&["license", "request", "-o", &request]);
    let text = std::fs::read_to_string(&request).unwrap();
    let (request, _) = jws::open_own::<Request>(&text).unwrap();
    let bundle = file(&agent.dir, "box.qcl");
    std::fs::write(&bundle, documents(request.bind).join("\n")).unwrap();
    agent.ok(&["license", "install", &bundle]);
    let (own, other) = (agent.times(PRODUCT, "valid"), agent.times("other", "none"));
    println!(
        "{}, `check` over its socket, {ROUNDS} times, a connection each:",
        agent.words.join(" ")
    );
    println!("  median {:?}, 99th of 100 {:?}", own[500], own[990]);
    println!("  without a license to verify: median {:?}, 99th {:?}", other[500], other[990]);
}

fn main() {
    verification();
    socket();
}
