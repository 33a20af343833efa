//! What `try` does and checks, step by step. Each step checks for itself what it claims, from outside.

use super::browser::{self, Browser};
use super::stage::{FIRST, NAME, SECOND, Stage};
use super::visitor::{self, Answered};
use crate::card::Exit;
use crate::cli::print::chain;
use crate::cli::text;
use crate::daemon::control::DAEMON;
use crate::daemon::feature::Answer;
use crate::egress::ledger;
use crate::platform::exec::{Exec, Limits};
use crate::wire::receipt::{self, Demand, Receipt};
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// The longest a step waits for what it expects; what DNS is allowed is one second.
const SOON: Duration = Duration::from_secs(5);
const PROMPTLY: Duration = Duration::from_secs(1);
/// What a report may take is a minute, on a machine that does nothing else.
const REPORT: Duration = Duration::from_secs(120);

/// One step and how it went.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Step {
    /// Its name, stable.
    pub(super) name: &'static str,
    /// Whether what it claims was seen.
    pub(super) ok: bool,
    /// How long it took.
    pub(super) ms: u64,
    /// What was seen.
    pub(super) detail: String,
}

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Break {
    Hub,
    Dns,
    Service,
    Receipt,
    Report,
}

impl Break {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "hub" => Some(Self::Hub),
            "dns" => Some(Self::Dns),
            "service" => Some(Self::Service),
            "receipt" => Some(Self::Receipt),
            "report" => Some(Self::Report),
            _ => None,
        }
    }
}

/// Runs all steps in order, whatever becomes of each.
pub(super) async fn all(
    stage: &mut Stage,
    broken: Option<Break>,
    tell: impl Fn(&Step),
) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut add = |step: Step| {
        tell(&step);
        steps.push(step);
    };
    let dns = if broken == Some(Break::Dns) { closed_port() } else { stage.dns() };
    let begun = Instant::now();
    let registered = register_with(stage).await;
    let keys = registered.as_ref().ok().cloned();
    add(step(
        "registered",
        begun,
        registered.map(|keys| format!("as {NAME}, device {}", keys.device)),
    ));
    let begun = Instant::now();
    if let Err(why) = switch_on_with(stage).await {
        add(step("switched-on", begun, Err(why)));
    }
    match broken {
        Some(Break::Hub) => stage.kill_hub().await,
        Some(Break::Service) => {
            let _ = stage.ask("link", "unpublish", json!({ "name": "web" })).await;
        }
        Some(Break::Dns | Break::Receipt | Break::Report) | None => {}
    }
    let begun = Instant::now();
    add(step("name-answers", begun, name_answers(stage, dns, FIRST).await));
    let begun = Instant::now();
    add(step("page-through-relay", begun, page(stage).await));
    let begun = Instant::now();
    let device = keys.as_ref().map(|keys| keys.device.as_str()).unwrap_or_default();
    add(step("device-page", begun, browser::device_page(stage, device).await));
    let begun = Instant::now();
    add(step("unpublished-refused", begun, unpublished(stage).await));
    let begun = Instant::now();
    add(step("address-followed", begun, address_followed(stage, dns).await));
    let begun = Instant::now();
    add(step("ledger-verified", begun, ledger_verified(stage).await));
    let begun = Instant::now();
    let tamper = broken == Some(Break::Report);
    add(step("report", begun, report(stage, tamper).await));
    let begun = Instant::now();
    add(step("switch-off-erases", begun, switch_off(stage, dns, keys.as_ref()).await));
    let begun = Instant::now();
    let tamper = broken == Some(Break::Receipt);
    add(step("unregistered", begun, unregister(stage, keys.as_ref(), tamper).await));
    steps
}

/// The step "registered" by itself.
pub(super) async fn register(stage: &Stage) -> Step {
    let begun = Instant::now();
    let result = register_with(stage).await;
    step("registered", begun, result.map(|keys| format!("as {NAME}, device {}", keys.device)))
}

/// DDNS and link on, one service published, and the certificate put where `curl` finds it.
pub(super) async fn switch_on(stage: &Stage) -> Step {
    let begun = Instant::now();
    let result = match switch_on_with(stage).await {
        Ok(()) => match page(stage).await {
            Ok(detail) => name_answers(stage, stage.dns(), FIRST).await.map(|_| detail),
            Err(why) => Err(why),
        },
        Err(why) => Err(why),
    };
    step("switched-on", begun, result)
}

fn step(name: &'static str, begun: Instant, result: Result<String, String>) -> Step {
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (ok, detail) = match result {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    Step { name, ok, ms, detail }
}

/// What later receipts are verified with.
#[derive(Clone)]
struct Keys {
    device: String,
    receipt_key: Vec<u8>,
}

/// Registers, and approves by itself after the words of both sides were the same.
async fn register_with(stage: &Stage) -> Result<Keys, String> {
    let (invited, mut invitation) = mpsc::channel::<Value>(1);
    let args = json!({ "hub": stage.hub_url(), "hub-pin": stage.pin(), "name": NAME });
    let asking = stage.ask_watching("registration", "register", args, |answer| {
        // There is one invitation, and room for it; before it the hub may say who runs it.
        if answer.json.get("user_code").is_some() {
            let _ = invited.try_send(answer.json);
        }
    });
    let approving = async {
        let invitation = invitation.recv().await.ok_or("the hub gave no code")?;
        let (code, words) = (text(&invitation, "user_code"), text(&invitation, "check_words"));
        let link = browser::link(stage, "/").await?;
        let (browser, _) = Browser::open(stage, &link).await?;
        browser.approve(stage, code, words).await
    };
    tokio::pin!(asking);
    let answer = tokio::select! {
        answer = &mut asking => answer?,
        approved = approving => {
            approved?;
            asking.await?
        }
    };
    let answer = done(answer)?;
    let receipt_key = BASE64URL_NOPAD.decode(text(&answer, "receipt_key").as_bytes());
    let device = text(&stage.status().await?, "device").to_string();
    Ok(Keys { device, receipt_key: receipt_key.map_err(|e| e.to_string())? })
}

async fn switch_on_with(stage: &Stage) -> Result<(), String> {
    done(stage.ask("ddns", "on", json!({})).await?)?;
    done(stage.ask("link", "on", json!({})).await?)?;
    let url = format!("http://{}", stage.page.address());
    done(stage.ask("link", "publish", json!({ "name": "web", "url": url })).await?)?;
    until(SOON, || async {
        let link = &stage.status().await?["features"];
        let up = link.as_array().into_iter().flatten().any(|f| f["facts"]["up"] == true);
        if up { Ok(()) } else { Err("the session does not stand".into()) }
    })
    .await?;
    let certificate = done(stage.ask("link", "certificate", json!({})).await?)?;
    let path = stage.certificate_path();
    std::fs::write(&path, text(&certificate, "pem")).map_err(|e| format!("{}: {e}", path.display()))
}

async fn name_answers(stage: &Stage, dns: SocketAddr, wanted: Ipv4Addr) -> Result<String, String> {
    let host = stage.ddns_host();
    until(SOON, || async {
        let (udp, tcp) = (visitor::ask_udp(dns, &host).await?, visitor::ask_tcp(dns, &host).await?);
        let wanted = Answered::Address(wanted);
        if udp == wanted && tcp == wanted {
            Ok(())
        } else {
            Err(format!("UDP {udp:?}, TCP {tcp:?}"))
        }
    })
    .await?;
    Ok(format!("{host} is {wanted} over UDP and TCP"))
}

async fn page(stage: &Stage) -> Result<String, String> {
    let host = stage.link_host();
    let path = stage.certificate_path();
    let certificate =
        std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let body = visitor::fetch(stage.hub(), &host, &certificate).await?;
    if body != stage.page.body() {
        return Err(format!(
            "{} bytes came, which are not the page's {}",
            body.len(),
            stage.page.body().len()
        ));
    }
    Ok(format!("https://{host}/: {} bytes, equal to the page's", body.len()))
}

async fn unpublished(stage: &Stage) -> Result<String, String> {
    let host = format!("files.{}", stage.link_host());
    visitor::is_refused(stage.hub(), &host).await?;
    Ok(format!("{host}: unrecognized_name"))
}

async fn address_followed(stage: &Stage, dns: SocketAddr) -> Result<String, String> {
    stage.gateway.change_address(SECOND);
    name_answers(stage, dns, SECOND).await
}

async fn ledger_verified(stage: &Stage) -> Result<String, String> {
    let answer = done(stage.ask(DAEMON, "checkpoint", json!({})).await?)?;
    let lines: Vec<&str> =
        answer["lines"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let head = ledger::verify(lines.iter().copied()).map_err(|e| e.to_string())?;
    for parcel in ["registration.start", "registration.poll", "ddns.update", "link.session"] {
        if !lines.iter().any(|line| line.contains(&format!("\"parcel\":\"{parcel}\""))) {
            return Err(format!("{parcel} left and is not in the ledger"));
        }
    }
    Ok(format!("{} lines follow each other", head.seq))
}

/// Makes a report of this machine, and holds every part of it against its manifest.
async fn report(stage: &Stage, tamper: bool) -> Result<String, String> {
    let [program, state_dir, path] =
        [stage.program().to_path_buf(), stage.state_dir(), stage.dir().join("report.zip")]
            .map(|path| path.display().to_string());
    let run = async |args: &[&str]| {
        let argv: Vec<&str> = [&*program, "report"].iter().chain(args).copied().collect();
        let limits = Limits { timeout: REPORT, output_bytes: 4 << 20 };
        let output = Exec.run(&argv, limits).await.map_err(|e| chain(&e))?;
        let code = output.status.and_then(|status| status.code());
        // An ordinary user's report misses what only root can read.
        if !matches!(code, Some(0 | 3)) {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            return Err(format!("`report {}` ended with {code:?}: {said}", args.join(" ")));
        }
        serde_json::from_slice::<Value>(&output.stdout).map_err(|e| e.to_string())
    };
    let made = run(&["--state", &state_dir, "--out", &path, "--no-image", "--json"]).await?;
    if tamper {
        let mut bytes = std::fs::read(&path).map_err(|e| e.to_string())?;
        let middle = bytes.len() / 2;
        bytes.iter_mut().skip(middle).take(16).for_each(|byte| *byte = !*byte);
        std::fs::write(&path, bytes).map_err(|e| e.to_string())?;
    }
    let listed = run(&["view", &path, "--json"]).await?;
    let entries = listed.as_array().ok_or("there is no list of its parts")?;
    let checked = entries.iter().filter(|entry| entry["verified"] == true).count();
    // The manifest itself is read over the telephone.
    if checked + 1 != entries.len() {
        return Err(format!("{checked} of {} parts are what the manifest says", entries.len()));
    }
    Ok(format!(
        "{checked} parts are what the manifest says, {} KiB",
        made["bytes"].as_u64().unwrap_or_default() / 1024
    ))
}

async fn switch_off(stage: &Stage, dns: SocketAddr, keys: Option<&Keys>) -> Result<String, String> {
    let ddns = verified(stage.ask("ddns", "off", json!({})).await?, keys)?;
    let host = stage.ddns_host();
    until(PROMPTLY, || async {
        match visitor::ask_udp(dns, &host).await? {
            Answered::NoSuchName => Ok(()),
            still @ (Answered::Address(_) | Answered::NoAddress) => {
                Err(format!("DNS still says {still:?}"))
            }
        }
    })
    .await?;
    let link = verified(stage.ask("link", "off", json!({})).await?, keys)?;
    let link_host = stage.link_host();
    until(PROMPTLY, || visitor::is_refused(stage.hub(), &link_host)).await?;
    let rows = |receipt: &Receipt| receipt.rows.values().sum::<u64>();
    if rows(&ddns) == 0 {
        return Err("the receipt says that there was nothing to erase".into());
    }
    Ok(format!(
        "{host} is gone, the relay refuses; receipts over {} and {} rows",
        rows(&ddns),
        rows(&link)
    ))
}

async fn unregister(stage: &Stage, keys: Option<&Keys>, tamper: bool) -> Result<String, String> {
    let mut answer = stage.ask("registration", "unregister", json!({})).await?;
    if tamper {
        let document = text(&answer.json, "document").to_string();
        // The first letters of the signature: the last one may carry no bits.
        let at = document.rfind('.').map_or(0, |dot| dot + 1);
        let other = if document[at..].starts_with('A') { "B" } else { "A" };
        let end = document.len().min(at + 1);
        answer.json["document"] = format!("{}{other}{}", &document[..at], &document[end..]).into();
    }
    let receipt = verified(answer, keys)?;
    let listed = stage.hub_command(&["devices", "--json"]).await?;
    let devices: Value = serde_json::from_slice(&listed.stdout).map_err(|e| e.to_string())?;
    if devices["devices"].as_array().is_none_or(|devices| !devices.is_empty()) {
        return Err(format!("the hub still knows devices: {devices}"));
    }
    let rows: u64 = receipt.rows.values().sum();
    Ok(format!("a signed receipt over {rows} rows; the hub knows no device"))
}

/// Verifies the receipt of an answer with the keys of the registration.
fn verified(answer: Answer, keys: Option<&Keys>) -> Result<Receipt, String> {
    let json = done(answer)?;
    let keys = keys.ok_or("never registered")?;
    let (feature, nonce) = (text(&json["receipt"], "feature"), text(&json["receipt"], "nonce"));
    let demand = Demand { device: &keys.device, feature, nonce };
    receipt::verify(text(&json, "document"), &keys.receipt_key, demand).map_err(|e| e.to_string())
}

fn done(answer: Answer) -> Result<Value, String> {
    match answer.exit {
        Some(Exit::Done) => Ok(answer.json),
        Some(_) | None => Err(answer.text),
    }
}

/// Tries until it succeeds or the time is over; the last failure tells why.
async fn until<F: Future<Output = Result<(), String>>>(
    at_most: Duration,
    mut check: impl FnMut() -> F,
) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match check().await {
            Ok(()) => return Ok(()),
            Err(why) if begun.elapsed() >= at_most => return Err(why),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// A loopback port that nothing listens on: tcpmux, which nobody has run for decades.
fn closed_port() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1))
}
