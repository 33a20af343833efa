//! `qcloud-hub init`.

use super::{Failure, clock, dir, print};
use crate::card::Exit;
use crate::hub::config::{AccessLog, Alerts, Config, FILE, Pages};
use crate::hub::keys::{Keys, write_new};
use crate::hub::seal_key;
use clap::ArgMatches;
use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub(super) fn init(args: &ArgMatches) -> Result<Exit, Failure> {
    let dir = dir(args);
    let config = config(args)?;
    config.check().map_err(|e| Failure::of(&e))?;
    if config.seal_key.is_none() && !config.seal_key_beside_data {
        let what = "where shall the key be that seals the data? Not on the filesystem of the data, so that no copy \
                    of that one opens it";
        let hint = "init with --seal-key /PATH/ON/ANOTHER/FILESYSTEM, or, giving that up, --seal-key-beside-data";
        return Err(Failure { exit: Exit::Usage, ..Failure::new(what).hint(hint) });
    }
    make_dir(&dir)?;
    seal_key::make(&dir, &config).map_err(|e| Failure::of(&e).hint(e.hint()))?;
    // The configuration is written last: a directory with one is complete.
    Keys::make(&dir, clock().now().wall).map_err(|e| Failure::of(&e))?;
    write_new(&dir.join(FILE), config.to_toml().as_bytes()).map_err(|e| Failure::of(&e))?;
    let keys = Keys::load(&dir).map_err(|e| Failure::of(&e))?;
    print(&next_steps(&dir, &config, &keys.pin()));
    Ok(Exit::Done)
}

fn config(args: &ArgMatches) -> Result<Config, Failure> {
    let text = |name| args.get_one::<String>(name).cloned();
    let at = |name| args.get_one::<SocketAddr>(name).copied();
    let zone = text("zone").unwrap_or_default();
    let zone = zone.trim_end_matches('.').to_ascii_lowercase();
    let missing = |what: &str| Failure::new(format!("--{what} is missing"));
    Ok(Config {
        host: text("host").map_or_else(|| format!("hub.{zone}"), |host| host.to_ascii_lowercase()),
        zone,
        listen: at("listen").ok_or_else(|| missing("listen"))?,
        dns: at("dns").ok_or_else(|| missing("dns"))?,
        addresses: args.get_many::<IpAddr>("address").unwrap_or_default().copied().collect(),
        contact: text("contact"),
        region: text("region"),
        seal_key: args.get_one::<PathBuf>("seal-key").cloned(),
        seal_key_beside_data: args.get_flag("seal-key-beside-data") || args.get_flag("sandbox"),
        sandbox: args.get_flag("sandbox"),
        pages: text("pages").map(|host| Pages {
            host: host.to_ascii_lowercase(),
            certificate: None,
            key: None,
        }),
        mail: None,
        access_log: AccessLog::default(),
        oidc: Vec::new(),
        operators: BTreeMap::new(),
        alerts: Alerts::default(),
        metrics: None,
    })
}

fn make_dir(dir: &Path) -> Result<(), Failure> {
    let failed = |e| Failure::new(format!("{} cannot be made: {e}", dir.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    if dir.read_dir().map_err(failed)?.next().is_some() {
        let what = format!("{} is not empty; a hub's keys are never overwritten", dir.display());
        return Err(Failure::new(what).hint("qcloud-hub init --zone ZONE --dir ANOTHER-DIR"));
    }
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o700)).map_err(failed)
}

fn next_steps(dir: &Path, config: &Config, pin: &str) -> String {
    let Config { zone, host, .. } = config;
    let dir = dir.display();
    let parent = zone.split_once('.').map_or(".", |(_, parent)| parent);
    let glue: Vec<String> =
        config.addresses.iter().map(|ip| format!("  ns1.{zone}. {}\n", record(*ip))).collect();
    let no_address = "  (run init with --address to let the zone answer with this machine)\n";
    let glue = if glue.is_empty() { no_address.into() } else { glue.concat() };
    let nobody = "\nOwners are not told whom to write to: add contact = \"…\" to hub.toml.\n";
    let nobody = if config.contact.is_some() { "" } else { nobody };
    format!(
        "{dir} holds the hub of {zone}.\n\
         hub pin: {pin}\n\
         \n\
         In the zone {parent}, delegate {zone}:\n\
         \x20 {zone}. NS ns1.{zone}.\n\
         {glue}\
         Start it:\n\
         \x20 qcloud-hub serve --dir {dir}\n\
         On the NAS:\n\
         \x20 qcloud-agent register --hub https://{host} --hub-pin {pin}\n\
         {nobody}"
    )
}

fn record(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => format!("A {v4}"),
        IpAddr::V6(v6) => format!("AAAA {v6}"),
    }
}
