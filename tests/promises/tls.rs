//! S2, S3: the hub's certificate under attack, and clocks that are wrong.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::hub::{Hub, ZONE};
use crate::common::impostor::Impostor;
use crate::common::net::{DEVICE, Line, Place};
use crate::common::process::{Process, tool, until};
use nix::time::{ClockId, clock_gettime, clock_settime};
use qcloud_agent::cli::tree;
use qcloud_agent::clock::system_wall;
use qcloud_agent::features::ALL;
use qcloud_agent::wire::SESSION_ALPN;
use quinn::crypto::rustls::QuicServerConfig;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(86_400);
const SOON: Duration = Duration::from_secs(20);

/// What a server shows, in PEM: its certificate and key, and what it sends along.
#[derive(Clone)]
struct Shown {
    what: &'static str,
    certificate: String,
    key: String,
    along: String,
    /// Words of the refusal; none when it is good.
    words: Option<&'static str>,
}

impl Shown {
    fn tls(&self, alpn: &[u8]) -> ServerConfig {
        let chain = self.certificate.clone() + &self.along;
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain.expect("a chain"), key)
            .expect("a certificate that fits");
        tls.alpn_protocols = vec![alpn.to_vec()];
        tls
    }
}

/// Who has the hub's own authority, and uses it for what should not be.
struct Forger {
    authority: String,
    key_path: PathBuf,
    path: PathBuf,
    scratch: PathBuf,
}

impl Forger {
    fn new(world: &World) -> Self {
        let path = world.hub.dir().join("server-ca.crt");
        let authority = std::fs::read_to_string(&path).expect("the hub's authority");
        let key_path = world.hub.dir().join("server-ca.key");
        Self { authority, key_path, path, scratch: world.scratch.dir().into() }
    }

    fn issuer(&self) -> Issuer<'static, KeyPair> {
        let key = std::fs::read_to_string(&self.key_path).expect("its key");
        issuer(KeyPair::from_pem(&key).expect("a key"))
    }

    /// Good for this name from `begin` to `end`, in Unix time.
    fn signed(&self, name: &str, begin: Duration, end: Duration) -> Shown {
        signed(&self.issuer(), &self.authority, name, begin, end)
    }

    /// By `openssl`, which does what rcgen does not.
    fn by_openssl(&self, what: &'static str, bits: &str, hash: &str, words: &'static str) -> Shown {
        let at = |end: &str| self.scratch.join(format!("{what}.{end}")).display().to_string();
        let (key, csr, crt) = (at("key"), at("csr"), at("crt"));
        let subject = format!("subjectAltName=DNS:hub.{ZONE}");
        let request = ["req", "-new", "-newkey", bits, "-nodes", "-subj", "/CN=hub", "-addext"];
        tool("openssl", request.iter().chain(&[subject.as_str(), "-keyout", &key, "-out", &csr]));
        let (ca, ca_key) = (self.path.display().to_string(), self.key_path.display().to_string());
        let sign = ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-set_serial", "7"];
        let how = ["-days", "30", hash, "-copy_extensions", "copy", "-out", &crt];
        tool("openssl", sign.iter().chain(&how));
        let read = |path: &str| std::fs::read_to_string(path).expect("PEM");
        let (certificate, key) = (read(&crt), read(&key));
        Shown { what, certificate, key, along: self.authority.clone(), words: Some(words) }
    }

    /// Everything that must be refused, and what must not.
    fn all(&self) -> Vec<Shown> {
        let (now, host) = (system_wall().0, format!("hub.{ZONE}"));
        let known = |shown: Shown, what, words| Shown { what, words, ..shown };
        let good = || self.signed(&host, now - DAY, now + DAY);
        let other = KeyPair::generate().expect("a key");
        let pem = authority().self_signed(&other).expect("a certificate").pem();
        let foreign = signed(&issuer(other), &pem, &host, now - DAY, now + DAY);
        let pinned = "no certificate with the pinned key";
        let behind = Shown { along: foreign.along.clone() + &self.authority, ..foreign.clone() };
        let own = self_signed(&host, now);
        let mut all = vec![
            known(good(), "good", None),
            known(
                self.signed(&host, now - 9 * DAY, now - DAY),
                "expired",
                Some("its certificate ended at "),
            ),
            known(
                self.signed(&host, now + DAY, now + 9 * DAY),
                "of the future",
                Some("is not valid yet: it begins at "),
            ),
            known(
                self.signed("other.example.test", now - DAY, now + DAY),
                "for another name",
                Some("is for another name than hub."),
            ),
            known(foreign, "of another authority", Some(pinned)),
            known(behind, "of another authority, the real one behind it", Some(" its certificate")),
            known(own, "self-signed", Some(pinned)),
        ];
        all.push(self.by_openssl("sha1", "rsa:2048", "-sha1", "such as SHA-1"));
        all
    }
}

fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "qcloud hub server");
    params
}

fn issuer(key: KeyPair) -> Issuer<'static, KeyPair> {
    Issuer::new(authority(), key)
}

fn params(name: &str, begin: Duration, end: Duration) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (epoch + begin, epoch + end);
    params
}

fn signed(
    issuer: &Issuer<'_, KeyPair>,
    along: &str,
    name: &str,
    begin: Duration,
    end: Duration,
) -> Shown {
    let key = KeyPair::generate().expect("a key");
    let made = params(name, begin, end).signed_by(&key, issuer).expect("a certificate");
    let (certificate, key) = (made.pem(), key.serialize_pem());
    Shown { what: "signed", certificate, key, along: along.into(), words: None }
}

fn self_signed(name: &str, now: Duration) -> Shown {
    let key = KeyPair::generate().expect("a key");
    let made = params(name, now - DAY, now + DAY).self_signed(&key).expect("a certificate");
    let (certificate, key) = (made.pem(), key.serialize_pem());
    Shown { what: "self-signed", certificate, key, along: String::new(), words: None }
}

/// `openssl s_server` in the hub's place, with words such as `-tls1_1`. It answers each line turned round.
fn s_server(place: &Place, dir: &Path, shown: &Shown, words: &[&str]) -> (u16, Process, PathBuf) {
    let free = place.inside(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port"));
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let log = dir.join(format!("s_server-{port}.log"));
    let mut command = place.command("openssl");
    command.args(["s_server", "-rev", "-cipher", "DEFAULT@SECLEVEL=0", "-accept"]);
    command.arg(port.to_string()).args(words);
    command.arg("-cert").arg(write("shown.crt", &shown.certificate));
    command.arg("-key").arg(write("shown.key", &shown.key));
    if !shown.along.is_empty() {
        command.arg("-cert_chain").arg(write("along.crt", &shown.along));
    }
    let process = Process::spawn("s_server", command, &log);
    until("s_server", SOON, || {
        let listens = place.tool("ss", &["-Hltn", &format!("sport = :{port}")]);
        (!listens.is_empty()).then_some(())
    });
    (port, process, log)
}

/// Registers at whoever stands in the hub's place. Gives exit code and words.
fn registers(agent: &Agent, hub: &Hub, pin: Option<&str>) -> (Option<i32>, String) {
    let url = hub.url();
    let mut args = vec!["register", "--name", "box", "--hub", &url];
    args.extend(pin.iter().flat_map(|pin| ["--hub-pin", pin]));
    let ran = agent.command(&args);
    (ran.code, ran.stdout + &ran.stderr)
}

/// Guard: `tls-verify`, the verdict over the server's certificate.
///
/// The attacks: certificates that are over, not yet begun, for another name, of another authority, self-signed,
/// signed with SHA-1, or for an RSA key of 1024 bits; and TLS 1.1, which both sides of this machine's OpenSSL speak.
#[test]
fn s3_a_bad_certificate_gets_no_word_of_a_registration() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start();
    let forger = Forger::new(&world);
    let (hub, dir) = (&world.hub, world.scratch.dir());
    let mut all = forger.all();
    let few = "an RSA key of fewer than 2048 bits";
    all.push(forger.by_openssl("rsa1024", "rsa:1024", "-sha256", few));
    for shown in &all {
        let (port, mut server, log) = s_server(&world.net.hub, dir, shown, &[]);
        world.net.divert(port, 9);
        let (code, said) = registers(&agent, hub, Some(&hub.pin));
        let (_, unpinned) = registers(&agent, hub, None);
        world.net.undivert();
        server.kill();
        let log = std::fs::read_to_string(&log).expect("a log");
        let met = log.contains("CONNECTION ESTABLISHED");
        match shown.words {
            // What it answers is no HTTP; but it was spoken to.
            None => assert!(met && !said.contains("not trusted"), "{}: {said} {log}", shown.what),
            Some(words) => {
                assert!(!met, "{} was let pass: {said} {log}", shown.what);
                assert!(said.contains(words) && said.contains("hint: "), "{}: {said}", shown.what);
                assert_eq!(code, Some(1), "{}: {said}", shown.what);
            }
        }
        assert!(unpinned.contains("not trusted"), "{} without a pin: {unpinned}", shown.what);
    }

    let old = s_server(&world.net.hub, dir, &all[0], &["-tls1_1"]);
    world.net.divert(old.0, 9);
    let said = registers(&agent, hub, Some(&hub.pin)).1;
    world.net.undivert();
    assert!(said.contains("speaks no TLS that is safe today"), "{said}");
    assert!(
        is_tls_1_1(&world.net.hub, old.0),
        "this machine's openssl does not speak TLS 1.1 at all"
    );
    agent.register(hub, "box");
}

/// Whether the server speaks it with a client that does.
fn is_tls_1_1(place: &Place, port: u16) -> bool {
    let (to, old) = (format!("127.0.0.1:{port}"), "DEFAULT@SECLEVEL=0");
    let mut command = place.command("openssl");
    command.args(["s_client", "-connect", &to, "-tls1_1", "-cipher", old]);
    let said = crate::common::process::run(command, SOON);
    said.stdout.contains("Protocol  : TLSv1.1")
}

/// Guard: `tls-verify`, likewise for the session.
///
/// No QUIC server here can show a key of 1024 bits; the verifier is the same as for the API.
#[test]
fn s3_a_bad_certificate_gets_no_session() {
    let world = World::new(Line::Direct);
    let mut agent = world.member("box", "[link]\nenabled = true");
    agent.wait_for_link();
    for shown in Forger::new(&world).all() {
        agent.kill();
        let server = Quic::open(&world.net.hub, &shown);
        world.net.divert(9, server.port);
        agent.start();
        match shown.words {
            None => until("a session", SOON, || server.met().then_some(())),
            Some(words) => until(shown.what, SOON, || {
                assert!(!server.met(), "{} was let pass", shown.what);
                agent.status()["warnings"].to_string().contains(words).then_some(())
            }),
        }
        world.net.undivert();
    }
    agent.wait_for_link();
}

/// A QUIC server with this certificate that remembers whether anybody ended a handshake with it.
struct Quic {
    port: u16,
    met: Arc<AtomicBool>,
    _runtime: tokio::runtime::Runtime,
}

impl Quic {
    fn open(place: &Place, shown: &Shown) -> Self {
        let socket = place.inside(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port"));
        let port = socket.local_addr().expect("an address").port();
        let tls = QuicServerConfig::try_from(shown.tls(SESSION_ALPN)).expect("a cipher of QUIC");
        let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        let met = Arc::new(AtomicBool::new(false));
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        let seen = Arc::clone(&met);
        runtime.spawn(async move {
            let of = quinn::EndpointConfig::default();
            let with = Arc::new(quinn::TokioRuntime);
            let endpoint = quinn::Endpoint::new(of, Some(config), socket, with).expect("a server");
            while let Some(incoming) = endpoint.accept().await {
                if incoming.await.is_ok() {
                    seen.store(true, Ordering::Relaxed);
                }
            }
        });
        Self { port, met, _runtime: runtime }
    }

    fn met(&self) -> bool {
        self.met.load(Ordering::Relaxed)
    }
}

/// Guard: `tls-verify`.
///
/// To a box whose clock is behind, the hub's certificate begins in the future. It says so, tries again, believes
/// nothing meanwhile, and goes on by itself when the time has come, at once when the clock is set.
#[test]
fn s3_a_certificate_of_the_future_is_a_clock_problem_and_heals_by_itself() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let forger = Forger::new(&world);
    // Certificates count whole seconds.
    let begins = Duration::from_secs(system_wall().0.as_secs() + 12);
    let shown = forger.signed(&format!("hub.{ZONE}"), begins, begins + DAY);
    let answer = json!({"a": DEVICE, "aaaa": null, "observed": DEVICE});
    let server =
        Impostor::open(&world.net.hub, shown.tls(b"http/1.1"), move |_, _| (200, answer.clone()));
    world.net.divert(server.port, 9);
    let clock = |agent: &Agent| {
        let status = agent.status();
        let warnings = status["warnings"].as_array().expect("a list");
        warnings.iter().find(|warning| warning["code"] == "daemon-clock").cloned()
    };
    assert_eq!(clock(&agent), None);
    agent.ok(&["ddns", "on"]);
    let warning = until("the warning", SOON, || clock(&agent));
    let details = warning["details"].as_str().expect("details");
    assert!(details.contains("not valid yet") && details.contains("clock says"), "{warning}");
    loop {
        let asked = server.asked();
        if system_wall().0 >= begins {
            break;
        }
        assert_eq!(asked, Vec::<String>::new(), "it was believed before its time");
        std::thread::sleep(Duration::from_millis(200));
    }
    // The next try of its own may be ten seconds away; a clock that is set brings it now.
    let begun = Instant::now();
    set_the_wall_clock();
    until("the update", Duration::from_secs(3), || {
        (agent.feature("ddns")["facts"]["a"] == DEVICE).then_some(())
    });
    assert!(begun.elapsed() < Duration::from_secs(3));
    until("the warning's end", SOON, || clock(&agent).is_none().then_some(()));
    assert_eq!(agent.status()["warnings"], Value::from(Vec::<Value>::new()));
    world.net.undivert();
}

/// To what it shows: every program that waits for that is told.
fn set_the_wall_clock() {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("the wall clock");
    clock_settime(ClockId::CLOCK_REALTIME, now).expect("root may set the wall clock");
}

/// There is no way to ask for less: no flag, no word of the configuration.
#[test]
fn s3_no_flag_or_key_accepts_what_is_not_good() {
    let words = ["insecure", "skip", "accept", "verify", "trust", "unsafe", "ignore"];
    let bad = |text: &str| words.iter().any(|word| text.to_lowercase().contains(word));
    let mut seen = 0;
    let mut root = tree::command(ALL);
    root.build();
    let mut commands = vec![root];
    while let Some(command) = commands.pop() {
        let name = command.get_name().to_owned();
        // The ledger's own chain is verified by `egress verify`.
        assert!(name == "verify" || !bad(&name), "the command {name}");
        for arg in command.get_arguments() {
            seen += 1;
            let long = arg.get_long().unwrap_or_default();
            assert!(!bad(long) && !bad(arg.get_id().as_str()), "{name} --{long}");
        }
        commands.extend(command.get_subcommands().cloned());
    }
    assert!(seen > 30, "only {seen} arguments were looked at");

    // Unknown keys are refused, so that a key which is not named in the source does not exist.
    let world = World::new(Line::Direct);
    let agent = world.agent("");
    for key in ["insecure", "skip_verify", "accept_invalid_certs", "verify"] {
        agent.configure(&format!("{key} = true"));
        let ran = agent.command(&["status"]);
        assert!(ran.code == Some(2) && ran.stdout.contains(key), "[agent] {key}: {ran:?}");
        for section in
            ["[registration]", "[ddns]\nenabled = true", "[link]\nenabled = true", "[privacy]"]
        {
            agent.configure(&format!("{section}\n{key} = true"));
            let ran = agent.command(&["status"]);
            assert!(ran.code == Some(2) && ran.stdout.contains(key), "{section} {key}: {ran:?}");
        }
    }
}
