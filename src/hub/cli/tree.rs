//! The command tree.

use super::fleet;
use clap::{Arg, ArgAction, Command, value_parser};
use core::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// All commands of `qcloud-hub`.
pub fn tree() -> Command {
    Command::new("qcloud-hub")
        .about("The self-hosted other side of qcloud-agent: registration, DNS zone and relay")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(init())
        .subcommand(
            command("serve", "Serve until SIGTERM")
                .arg(flag("ready", "Print one line of JSON on stdout when everything listens"))
                .arg(flag("debug", "Log what happens in detail; addresses are masked there too")),
        )
        .subcommand(
            command("approve", "Let a device in, after comparing its four check words")
                .arg(code())
                .arg(
                    Arg::new("words")
                        .long("words")
                        .value_name("WORDS")
                        .conflicts_with("yes")
                        .help("The four words the device shows, instead of the question"),
                )
                .arg(flag("yes", "Do not compare the words")),
        )
        .subcommand(command("deny", "Refuse a device").arg(code()))
        .subcommand(revoke())
        .subcommand(authkey())
        .subcommand(command("devices", "List the registered devices").arg(json()))
        .subcommand(people())
        .subcommand(release())
        .subcommand(command("pending", "List the devices that wait to be let in").arg(json()))
        .subcommand(
            command("access-log", "Show who connected to the hub, where hub.toml has that kept")
                .arg(json()),
        )
        .subcommands(super::keeping::commands())
        .subcommand(super::license::command())
        .subcommand(device())
        .subcommand(audit())
        .subcommand(
            command("health", "Say whether the serving hub is well: 0, or 3 with reasons")
                .arg(json()),
        )
}

fn release() -> Command {
    command("release", "Lift the quarantine of a device whose disk was copied or restored")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required_unless_present("all")
                .help("The name of the device"),
        )
        .arg(
            flag("all", "Release every device: the hub's own database is an older copy")
                .conflicts_with("name"),
        )
}

fn revoke() -> Command {
    command("revoke", "Close a device's sessions, erase what is kept of it, refuse its key")
        .arg(name())
        .arg(flag("yes", "Do not ask"))
        .arg(json())
}

fn people() -> Command {
    let email = || Arg::new("email").value_name("EMAIL").required(true).help("The mail address");
    let who = || {
        let help = "The mail address, or the number of the account";
        Arg::new("email").value_name("EMAIL").required(true).help(help)
    };
    let on = |name, about| command(name, about).arg(who()).arg(reason()).arg(json());
    Command::new("user")
        .about("The people who may sign in at the pages")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            command("add", "Invite somebody, or let somebody set another password")
                .visible_alias("invite")
                .arg(email())
                .arg(json()),
        )
        .subcommand(command("list", "List the accounts").arg(reason()).arg(json()))
        .subcommand(on("show", "Show one account"))
        .subcommand(on("lock", "Have nobody sign in to an account, and sign it out everywhere"))
        .subcommand(on("unlock", "Let its holder sign in again"))
        .subcommand(on("reset-second", "Remove a second factor that was lost, and sign out"))
        .subcommand(on("sign-out", "Sign an account out everywhere"))
}

fn device() -> Command {
    Command::new("device")
        .about("The registered devices")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(command("list", "List the registered devices").arg(json()))
        .subcommand(command("show", "Show one device").arg(name()).arg(reason()).arg(json()))
        .subcommand(revoke())
        .subcommand(release().arg(json()))
}

fn audit() -> Command {
    Command::new("audit")
        .about("What operators did, and to whom")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(command("list", "List what was noted within the last 365 days").arg(json()))
        .subcommand(command("verify", "Find lines that were altered or taken out").arg(json()))
}

fn name() -> Arg {
    Arg::new("name").value_name("NAME").required(true).help("The device's name")
}

fn reason() -> Arg {
    Arg::new("reason")
        .long("reason")
        .value_name("TEXT")
        .help("Why it is shown unmasked; it stands in the audit log")
}

fn init() -> Command {
    command("init", "Make the directory of a new hub: configuration and keys")
        .arg(
            Arg::new("zone")
                .long("zone")
                .value_name("ZONE")
                .required(true)
                .help("The DNS zone the hub answers for, such as nas.example.net"),
        )
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("NAME")
                .help("The name agents reach the hub by [default: hub.ZONE]"),
        )
        .arg(address("listen", "0.0.0.0:443", "Where HTTPS (TCP) and sessions (UDP) are served"))
        .arg(address("dns", "0.0.0.0:53", "Where DNS is served, on UDP and TCP"))
        .arg(
            Arg::new("address")
                .long("address")
                .value_name("IP")
                .action(ArgAction::Append)
                .value_parser(value_parser!(IpAddr))
                .help("A public address of this machine; once for IPv4, once for IPv6"),
        )
        .arg(
            Arg::new("contact")
                .long("contact")
                .value_name("TEXT")
                .help("Whom owners write to, shown to them before they register"),
        )
        .arg(
            Arg::new("region")
                .long("region")
                .value_name("TEXT")
                .help("Where the hub stands, shown to owners before they register"),
        )
        .arg(
            Arg::new("pages")
                .long("pages")
                .value_name("NAME")
                .help("The name of the pages people sign in at, on another domain than the zone"),
        )
        .arg(
            Arg::new("seal-key")
                .long("seal-key")
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Where the key goes that seals the data: on another filesystem than DIR"),
        )
        .arg(flag(
            "seal-key-beside-data",
            "Leave that key beside the data: whoever copies the disk can read it",
        ))
        .arg(flag(
            "sandbox",
            "For trying it on one machine: loopback only, the key beside the data",
        ))
}

fn authkey() -> Command {
    let expires = Arg::new("expires")
        .long("expires")
        .value_name("DAYS")
        .default_value("7")
        .value_parser(value_parser!(u64).range(1..=fleet::MOST_DAYS))
        .help("How long it lets devices in: 1 to 90 days");
    let name = Arg::new("name")
        .long("name")
        .value_name("PATTERN")
        .default_value("*")
        .value_parser(fleet::pattern)
        .help("The only names it lets devices have; `*` stands for any characters");
    let id = Arg::new("id").value_name("ID").required(true).help("Its id, as in `authkey list`");
    Command::new("authkey")
        .about("Keys that let boxes in which nobody stands beside")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            command("new", "Make a key, and print it this once")
                .arg(flag("reusable", "For any number of devices, not for one"))
                .arg(expires)
                .arg(name)
                .arg(json()),
        )
        .subcommand(command("list", "List the keys that have not expired").arg(json()))
        .subcommand(command("revoke", "Have a key let nobody in any more").arg(id))
}

pub(super) fn command(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).arg(
        Arg::new("dir")
            .long("dir")
            .value_name("DIR")
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help("The hub's directory"),
    )
}

pub(super) fn flag(name: &'static str, about: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(about)
}

pub(super) fn json() -> Arg {
    flag("json", "Print JSON")
}

fn code() -> Arg {
    Arg::new("code").value_name("CODE").required(true).help("The code the device shows: BCDF-GHJK")
}

fn address(name: &'static str, default: &'static str, about: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("IP:PORT")
        .default_value(default)
        .value_parser(value_parser!(SocketAddr))
        .help(about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_holds_together() {
        tree().debug_assert();
    }

    /// One key in 64 begins with a hyphen, one in 4096 with two.
    #[test]
    fn a_key_may_begin_with_hyphens() {
        for key in ["-pQ_0", "-ohv", "--Zt"] {
            for words in [
                &["certify", key, "--root", "FILE", "-o", "FILE"][..],
                &["certify", "--root", "FILE", key],
                &["signer", "install", "FILE", "--root", key, "--dir", "DIR"],
                &["signer", "drop", key, "--json", "--dir", "DIR"],
            ] {
                let words = ["qcloud-hub", "license"].iter().chain(words);
                let read = tree().try_get_matches_from(words.clone());
                assert!(read.is_ok(), "{}", read.unwrap_err());
            }
        }
    }
}
