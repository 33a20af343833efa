//! `authkey new|list|revoke`: keys that let boxes in which nobody stands beside.

use super::admin::open;
use super::{Failure, clock, dir, print, say};
use crate::card::Exit;
use crate::clock::Wall;
use crate::hub::config::Config;
use crate::hub::keys::{Keys, random};
use crate::hub::store::{AuthKeyRow, Hash, Store, StoreError};
use crate::hub::tls;
use crate::wire::authkey::AuthKey;
use clap::ArgMatches;
use core::time::Duration;
use data_encoding::BASE32_NOPAD;
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(86_400);
/// The longest a key may live, in days.
pub(super) const MOST_DAYS: u64 = 90;
/// The longest pattern: that of a name (RFC 1035 section 2.3.4).
const MAX_PATTERN: usize = 63;

pub(super) async fn authkey(args: &ArgMatches) -> Result<Exit, Failure> {
    match args.subcommand() {
        Some(("new", args)) => new(args).await,
        Some(("list", args)) => list(args).await,
        Some(("revoke", args)) => revoke_key(args).await,
        Some(_) | None => Err(Failure::new("no such command")),
    }
}

fn kept(error: StoreError) -> Failure {
    Failure::of(&error)
}

async fn new(args: &ArgMatches) -> Result<Exit, Failure> {
    let store = open(args)?;
    let days = args.get_one::<u64>("expires").copied().unwrap_or_default().min(MOST_DAYS);
    let made_at = clock().now().wall;
    let lives = DAY.saturating_mul(u32::try_from(days).unwrap_or_default());
    let id = text(&random::<5>().map_err(|e| Failure::of(&e))?);
    let secret = text(&random::<20>().map_err(|e| Failure::of(&e))?);
    let row = AuthKeyRow {
        id: id.clone(),
        hash: hash(&secret)?,
        pattern: args.get_one::<String>("name").cloned().unwrap_or_else(|| "*".into()),
        reusable: args.get_flag("reusable"),
        uses: 0,
        expires_at: Wall(made_at.0.saturating_add(lives)),
        made_at,
    };
    store.add_auth_key(row.clone()).await.map_err(kept)?;
    let key = AuthKey::of(&id, &secret);
    if args.get_flag("json") {
        let mut json = shown(&row, made_at);
        json["key"] = key.expose().into();
        print(&format!("{json}\n"));
        return Ok(Exit::Done);
    }
    print(&format!("{}\n", key.expose()));
    let (config, keys) = (Config::load(&dir(args)), Keys::load(&dir(args)));
    let host = config.map_or_else(|_| "HOST".into(), |config| config.host);
    let pin = keys.map_or_else(|_| "PIN".into(), |keys| keys.pin());
    let devices = if row.reusable { "any number of devices" } else { "one device" };
    say(&format!(
        "This is the only time it is shown. It lets in {devices} named {} until {}.\n\
         With it in a file of mode 0600 on the NAS:\n  qcloud-agent register --hub https://{host} --hub-pin {pin} --auth-key-file FILE\n",
        row.pattern,
        row.expires_at.rfc3339()
    ));
    Ok(Exit::Done)
}

/// Random bytes as letters and digits that need no quoting.
fn text(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn hash(secret: &str) -> Result<Hash, Failure> {
    tls::hash(secret.as_bytes()).ok_or_else(|| Failure::new("SHA-256 is not 32 bytes here"))
}

/// Whether a text is a pattern of names.
pub(super) fn pattern(text: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'*');
    if text.is_empty() || text.len() > MAX_PATTERN || !text.bytes().all(allowed) {
        return Err("a pattern is 1 to 63 of a-z, 0-9, `-` and `*`, such as office-*".into());
    }
    Ok(text.into())
}

fn shown(row: &AuthKeyRow, now: Wall) -> Value {
    json!({
        "id": row.id,
        "name": row.pattern,
        "reusable": row.reusable,
        "uses": row.uses,
        "good": row.is_good(now),
        "made": row.made_at.rfc3339(),
        "expires": row.expires_at.rfc3339(),
    })
}

async fn list(args: &ArgMatches) -> Result<Exit, Failure> {
    let rows = open(args)?.auth_keys().await.map_err(kept)?;
    let now = clock().now().wall;
    if args.get_flag("json") {
        let rows: Vec<Value> = rows.iter().map(|row| shown(row, now)).collect();
        print(&format!("{}\n", json!({ "auth_keys": rows })));
        return Ok(Exit::Done);
    }
    for row in &rows {
        let kind = if row.reusable { "reusable" } else { "one-off" };
        let state = match (row.is_good(now), row.expires_at <= now) {
            (true, _) => "good",
            (false, true) => "expired",
            (false, false) => "used up",
        };
        let expires = row.expires_at.rfc3339();
        let AuthKeyRow { id, uses, pattern, .. } = row;
        print(&format!("{id}  {expires}  {kind:<8}  used {uses}  {state:<7}  {pattern}\n"));
    }
    Ok(Exit::Done)
}

async fn revoke_key(args: &ArgMatches) -> Result<Exit, Failure> {
    let id = args.get_one::<String>("id").cloned().unwrap_or_default();
    if !open(args)?.revoke_auth_key(id.clone()).await.map_err(kept)? {
        let what = format!("there is no auth key {}", crate::wire::label::printable(&id, 60));
        return Err(Failure::new(what).hint("qcloud-hub authkey list"));
    }
    print(&format!("{id} lets nobody in any more; who is in stays in\n"));
    Ok(Exit::Done)
}
