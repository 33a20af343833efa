//! The stage: the processes, the page, the gateway, and the directory they live in.

use super::browser::PAGES;
use super::gateway::Gateway;
use super::license;
use super::page::Page;
use crate::cli::text;
use crate::daemon::control::{self, DAEMON, Request};
use crate::daemon::feature::Answer;
use crate::platform::exec::{Exec, Limits, Output};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use serde_json::{Value, json};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

/// The zone of the stage; `.test` names nothing real (RFC 6761 section 6.2).
const ZONE: &str = "try.test";
/// The name of the device.
pub(super) const NAME: &str = "box";
/// The line's first outside address, and the one it changes to.
pub(super) const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// See [`FIRST`].
pub(super) const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
/// The key of the issuer of licenses.
const ISSUER: &str = "issuer.key";
/// The longest a process may take to be ready.
const READY: Duration = Duration::from_secs(10);

/// Everything that runs for `try`. Nothing of it listens outside loopback.
pub(super) struct Stage {
    program: PathBuf,
    hub: Child,
    hub_address: SocketAddr,
    dns: SocketAddr,
    agent: Child,
    pub(super) page: Page,
    pub(super) gateway: Gateway,
    pin: String,
    // The last to go: what runs writes into it.
    dir: Scratch,
}

/// A directory that goes when the stage does, or cannot be set.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            crate::cli::print::err(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}

impl Stage {
    /// Starts the hub, then the agent: this program, or the one that is named.
    pub(super) async fn start(agent: Option<PathBuf>) -> Result<Self, String> {
        let program =
            std::env::current_exe().map_err(|e| format!("this program has no path: {e}"))?;
        let scratch = directory()?;
        let dir = &scratch.0;
        let page = Page::open().await.map_err(|e| format!("the page: {e}"))?;
        let gateway = Gateway::open(FIRST).await.map_err(|e| format!("the gateway: {e}"))?;
        let hub_dir = dir.join("hub");
        let loopback = "127.0.0.1:0";
        let init = [
            "init",
            "--zone",
            ZONE,
            "--listen",
            loopback,
            "--dns",
            loopback,
            "--address",
            "127.0.0.1",
            "--sandbox",
            "--pages",
            PAGES,
        ];
        let made = hub_once(&program, &hub_dir, &init).await?;
        if !made.succeeded() {
            return Err(format!("the hub: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        let (hub, ready) = serve(&program, &hub_dir, &dir.join("hub.log")).await?;
        let at = |name: &str| {
            text(&ready, name).parse::<SocketAddr>().map_err(|e| format!("the hub: {e}"))
        };
        let (hub_address, dns) = (at("listen")?, at("dns")?);
        gateway.lead_to(hub_address);
        let issuer = license::issuer(&program, &dir.join(ISSUER)).await?;
        let agent = start_agent(&agent.unwrap_or_else(|| program.clone()), dir, &issuer)?;
        let pin = text(&ready, "pin").to_string();
        let dir = scratch;
        let stage = Self { program, hub, hub_address, dns, agent, page, gateway, pin, dir };
        stage.wait_for_agent().await?;
        Ok(stage)
    }

    /// Ends the processes in order and removes the directory.
    pub(super) async fn strike(mut self) {
        for child in [&mut self.agent, &mut self.hub] {
            if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
                let pid = nix::unistd::Pid::from_raw(pid);
                // One that has ended already needs no signal.
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            }
            if timeout(Duration::from_secs(5), child.wait()).await.is_err() {
                let _ = child.kill().await;
            }
        }
    }

    /// Asks the agent, as its own commands do.
    pub(super) async fn ask(&self, noun: &str, verb: &str, args: Value) -> Result<Answer, String> {
        self.ask_watching(noun, verb, args, |_| {}).await
    }

    /// Asks the agent and hears what it says on the way.
    pub(super) async fn ask_watching(
        &self,
        noun: &str,
        verb: &str,
        args: Value,
        show: impl FnMut(Answer),
    ) -> Result<Answer, String> {
        let request = Request { noun: noun.into(), verb: verb.into(), args };
        let state_dir = self.state_dir();
        match timeout(Duration::from_secs(20), control::ask(&[state_dir], &request, show)).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err("the agent does not run".into()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the agent did not answer in 20 s".into()),
        }
    }

    /// The agent's status.
    pub(super) async fn status(&self) -> Result<Value, String> {
        Ok(self.ask(DAEMON, "status", json!({})).await?.json)
    }

    /// Runs a command of the hub, such as `approve`.
    pub(super) async fn hub_command(&self, args: &[&str]) -> Result<Output, String> {
        hub_once(&self.program, &self.dir().join("hub"), args).await
    }

    /// Kills the hub, as a crash would.
    pub(super) async fn kill_hub(&mut self) {
        let _ = self.hub.kill().await;
    }

    /// Completes with a name when one of the processes ends.
    pub(super) async fn somebody_died(&mut self) -> &'static str {
        tokio::select! {
            _ = self.hub.wait() => "hub",
            _ = self.agent.wait() => "agent",
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir.0
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.dir().join("agent")
    }

    /// The authority of the hub's own certificates, which no browser knows.
    pub(super) fn hub_authority(&self) -> PathBuf {
        self.dir().join("hub").join("server-ca.crt")
    }

    pub(super) fn certificate_path(&self) -> PathBuf {
        self.dir().join("device.pem")
    }

    /// The issuer's key, which is no business of the hub's.
    pub(super) fn issuer_path(&self) -> PathBuf {
        self.dir().join(ISSUER)
    }

    /// Where visitors reach the hub.
    pub(super) fn hub(&self) -> SocketAddr {
        self.hub_address
    }

    pub(super) fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// The hub as the agent is told of it: through the gateway.
    pub(super) fn hub_url(&self) -> String {
        format!("https://hub.{ZONE}:{}", self.gateway.inside().port())
    }

    pub(super) fn pin(&self) -> &str {
        &self.pin
    }

    pub(super) fn ddns_host(&self) -> String {
        format!("{NAME}.{ZONE}")
    }

    pub(super) fn link_host(&self) -> String {
        format!("{NAME}.link.{ZONE}")
    }

    async fn wait_for_agent(&self) -> Result<(), String> {
        let ready = async {
            while self.status().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(READY, ready).await.map_err(|_| "the agent is not ready after 10 s".into())
    }
}

/// A new directory that others can pass through and not list: the agent drops to a user of its own.
fn directory() -> Result<Scratch, String> {
    let dir = std::env::temp_dir().join(format!("qcloud-try-{}", std::process::id()));
    let made = std::fs::DirBuilder::new().mode(0o711).create(&dir);
    made.map_err(|e| format!("cannot make {}: {e}", dir.display()))?;
    Ok(Scratch(dir))
}

async fn hub_once(program: &Path, dir: &Path, args: &[&str]) -> Result<Output, String> {
    let dir = dir.to_string_lossy();
    program_once(program, &[args, &["--dir", dir.as_ref()]].concat()).await
}

/// Runs a command of the hub's program.
pub(super) async fn program_once(program: &Path, args: &[&str]) -> Result<Output, String> {
    let program = program.to_string_lossy();
    let argv = [&[program.as_ref(), "hub"], args].concat();
    Exec.run(&argv, Limits { timeout: READY, output_bytes: 64 * 1024 })
        .await
        .map_err(|e| e.to_string())
}

async fn serve(program: &Path, dir: &Path, log: &Path) -> Result<(Child, Value), String> {
    let (program, dir) = (program.to_string_lossy(), dir.to_string_lossy());
    let argv = [program.as_ref(), "hub", "serve", "--ready", "--dir", dir.as_ref()];
    let mut child = Exec.spawn(&argv, log).map_err(|e| format!("the hub: {e}"))?;
    let stdout = child.stdout.take().ok_or("the hub has no output")?;
    let line = timeout(READY, BufReader::new(stdout).lines().next_line()).await;
    match line {
        Ok(Ok(Some(line))) => {
            let ready =
                serde_json::from_str(&line).map_err(|e| format!("the hub said `{line}`: {e}"))?;
            Ok((child, ready))
        }
        Ok(_) => Err(format!("the hub ended at once; see {}", log.display())),
        Err(_) => Err("the hub is not ready after 10 s".into()),
    }
}

fn start_agent(program: &Path, dir: &Path, issuer: &str) -> Result<Child, String> {
    let config = dir.join("agent.toml");
    let text = format!(
        "[agent]\nhosts = {{ \"hub.{ZONE}\" = \"127.0.0.1\" }}\n\n[ddns]\naddresses = \"observed\"\n\n[link]\nheartbeat_seconds = 1\n\n[license]\nissuers = [\"{issuer}\"]\n"
    );
    std::fs::write(&config, text).map_err(|e| format!("cannot write {}: {e}", config.display()))?;
    let (state, config) = (dir.join("agent"), config.to_string_lossy().into_owned());
    let (program, state) = (program.to_string_lossy(), state.to_string_lossy());
    let argv = [program.as_ref(), "run", "--state", state.as_ref(), "--config", &config];
    Exec.spawn(&argv, &dir.join("agent.log")).map_err(|e| format!("the agent: {e}"))
}
