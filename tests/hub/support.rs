//! A hub in a process of its own, and a device that speaks to it.

use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::hub::config::Config;
use qcloud_agent::hub::seal::Seal;
use qcloud_agent::hub::seal_key;
use qcloud_agent::hub::store::sqlite::SqliteStore;
use qcloud_agent::secret::Secret;
use qcloud_agent::wire::registration::{Membership, Polled, Started, poll_message};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

pub const HOST: &str = "hub.example.test";

pub struct TempDir(pub PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let random: [u8; 8] = qcloud_agent::hub::keys::random().unwrap();
        let name = format!("qcloud-hub-test-{}", data_encoding::HEXLOWER.encode(&random));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Hub {
    child: Child,
    pub listen: SocketAddr,
    pub dns: SocketAddr,
    pub dir: PathBuf,
    _temp: TempDir,
}

pub fn command(args: &[&str], dir: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qcloud-hub"));
    command.args(args).arg("--dir").arg(dir).stdin(Stdio::null()).output().unwrap()
}

fn serve(dir: &Path) -> (Child, SocketAddr, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_qcloud-hub"))
        .args(["serve", "--ready", "--dir"])
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let at = |key: &str| ready[key].as_str().unwrap().parse().unwrap();
    (child, at("listen"), at("dns"))
}

/// What seals the stores that tests open themselves.
pub fn seal() -> Arc<Seal> {
    Arc::new(Seal::new(&Secret::new([7; 64])).unwrap())
}

impl Hub {
    /// Its store, beside the process that serves it.
    pub fn store(&self) -> SqliteStore {
        let config = Config::load(&self.dir).unwrap();
        let seal = Arc::new(seal_key::load(&self.dir, &config).unwrap());
        seal_key::open_store(&self.dir, &config, &seal).unwrap()
    }

    pub fn start() -> Self {
        Self::start_with(&["--sandbox"])
    }

    pub fn start_with(more: &[&str]) -> Self {
        let temp = TempDir::new();
        let dir = temp.0.join("hub");
        let loopback = "127.0.0.1:0";
        let mut args = vec!["init", "--zone", "example.test", "--address", "127.0.0.1"];
        args.push("--seal-key-beside-data");
        args.extend(["--listen", loopback, "--dns", loopback]);
        args.extend(more);
        let made = command(&args, &dir);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let (child, listen, dns) = serve(&dir);
        Self { child, listen, dns, dir, _temp: temp }
    }

    /// Kills the hub without a word and starts it again where it was.
    pub fn crash(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let path = self.dir.join("hub.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let fixed = format!("listen = \"{}\"", self.listen);
        std::fs::write(&path, text.replace("listen = \"127.0.0.1:0\"", &fixed)).unwrap();
        (self.child, self.listen, self.dns) = serve(&self.dir);
    }

    pub fn command(&self, args: &[&str]) -> Output {
        command(args, &self.dir)
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.command(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.dir.join("server-ca.crt")).unwrap()).unwrap();
        roots
    }

    /// Asks the hub to stop; its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
pub struct Device {
    key: Arc<Ed25519KeyPair>,
    pkcs8: Vec<u8>,
    pub member: Option<Membership>,
}

impl Device {
    pub fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        Self { key: Arc::new(key), pkcs8: pkcs8.as_ref().to_vec(), member: None }
    }

    pub fn spki(&self) -> Vec<u8> {
        let prefix: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";
        [prefix, self.key.public_key().as_ref()].concat()
    }

    pub fn sign(&self, message: &[u8]) -> String {
        BASE64URL_NOPAD.encode(self.key.sign(message).as_ref())
    }

    pub fn tls(&self, hub: &Hub) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(hub.roots());
        let Some(member) = &self.member else { return builder.with_no_client_auth() };
        let chain = vec![CertificateDer::from_pem_slice(member.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.clone()));
        builder.with_client_auth_cert(chain, key).unwrap()
    }

    pub fn client(&self, hub: &Hub) -> reqwest::Client {
        let client = reqwest::Client::builder().tls_backend_preconfigured(self.tls(hub));
        client.resolve(HOST, hub.listen).no_proxy().build().unwrap()
    }

    pub async fn post(&self, hub: &Hub, path: &str, body: &impl Serialize) -> (u16, Value) {
        let body = serde_json::to_string(body).unwrap();
        let url = format!("https://{HOST}:{}{path}", hub.listen.port());
        let request = self.client(hub).post(url).header("content-type", "application/json");
        let response = request.body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn begin(&self, hub: &Hub, name: &str) -> Started {
        let body = serde_json::json!({"spki": BASE64URL_NOPAD.encode(&self.spki()), "name": name});
        let (status, answer) = self.post(hub, "/v1/register/start", &body).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    /// Asks for a code with an auth key.
    pub async fn knock(&self, hub: &Hub, name: &str, key: &str) -> (u16, Value) {
        let spki = BASE64URL_NOPAD.encode(&self.spki());
        let body = serde_json::json!({"spki": spki, "name": name, "auth_key": key});
        self.post(hub, "/v1/register/start", &body).await
    }

    pub async fn poll(&self, hub: &Hub, device_code: &str) -> Polled {
        let signature = self.sign(&poll_message(device_code));
        let body = serde_json::json!({"device_code": device_code, "signature": signature});
        let (status, answer) = self.post(hub, "/v1/register/poll", &body).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_value(answer).unwrap()
    }

    pub async fn registered(hub: &Hub, name: &str) -> Self {
        let mut device = Self::new();
        let started = device.begin(hub, name).await;
        let approved = hub.command(&["approve", &started.user_code, "--yes"]);
        assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
        let Polled::Approved(member) = device.poll(hub, &started.device_code).await else {
            panic!("not approved")
        };
        device.member = Some(*member);
        device
    }
}
