//! What a report says of this machine is what the tools of the trade say, read at the same time.

use super::{entries, made, report, scratch};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn json(program: &str, args: &[&str]) -> Value {
    let ran =
        Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("{program} {args:?}: {e}"))
}

/// What was compared, and what was not the same.
#[derive(Default)]
struct Compared {
    equal: usize,
    different: Vec<String>,
}

impl Compared {
    fn is(&mut self, what: &str, ours: Option<&str>, theirs: &str) {
        if ours == Some(theirs) {
            self.equal += 1;
        } else {
            self.different.push(format!("{what}: {ours:?}, not {theirs:?}"));
        }
    }

    fn has(&mut self, what: &str, text: &str, line: &str) {
        if text.lines().any(|known| known == line) {
            self.equal += 1;
        } else {
            self.different.push(format!("{what}: no line {line:?}"));
        }
    }
}

/// `path: value` lines.
fn values(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(": ")).collect()
}

/// Sizes, kinds and names of the disks, as `lsblk` has them.
fn disks(text: &str, compared: &mut Compared) {
    let ours = values(text);
    let columns = "NAME,SIZE,RO,RM,ROTA,MODEL,SERIAL,TYPE";
    let listed = json("lsblk", &["--json", "--bytes", "--nodeps", "--output", columns]);
    for disk in listed["blockdevices"].as_array().unwrap() {
        let name = disk["name"].as_str().unwrap();
        let of = |key: &str| ours.get(&*format!("/sys/block/{name}/{key}")).copied();
        let sectors = disk["size"].as_u64().unwrap() / 512;
        compared.is(&format!("{name} size"), of("size"), &sectors.to_string());
        for (key, field) in [("ro", "ro"), ("removable", "rm"), ("queue/rotational", "rota")] {
            let theirs = if disk[field] == true { "1" } else { "0" };
            compared.is(&format!("{name} {key}"), of(key), theirs);
        }
        if let Some(model) = disk["model"].as_str() {
            compared.is(&format!("{name} model"), of("device/model").map(str::trim), model.trim());
        }
    }
}

/// Links and their addresses, and the routes, as `ip` has them.
fn network(all: &BTreeMap<String, String>, compared: &mut Compared) {
    let ours = values(&all["network/interfaces.txt"]);
    for link in json("ip", &["-json", "address"]).as_array().unwrap() {
        let name = link["ifname"].as_str().unwrap();
        let of = |key: &str| ours.get(&*format!("/sys/class/net/{name}/{key}")).copied();
        compared.is(&format!("{name} mtu"), of("mtu"), &link["mtu"].to_string());
        let state = link["operstate"].as_str().unwrap().to_lowercase();
        compared.is(&format!("{name} state"), of("operstate"), &state);
        if let Some(address) = link["address"].as_str() {
            compared.is(&format!("{name} address"), of("address"), address);
        }
        for one in link["addr_info"].as_array().unwrap() {
            let [family, local] = ["family", "local"].map(|key| one[key].as_str().unwrap());
            let line = format!("{name} {family} {local}/{}", one["prefixlen"]);
            compared.has("addresses", &all["network/addresses.txt"], &line);
        }
    }
    for route in json("ip", &["-json", "route"]).as_array().unwrap() {
        let target = route["dst"].as_str().unwrap();
        let target = if target == "default" || target.contains('/') {
            target.into()
        } else {
            format!("{target}/32")
        };
        let mut line = target;
        if let Some(gateway) = route["gateway"].as_str() {
            line += &format!(" via {gateway}");
        }
        line += &format!(" dev {}", route["dev"].as_str().unwrap());
        if let Some(metric) = route["metric"].as_u64().filter(|metric| *metric > 0) {
            line += &format!(" metric {metric}");
        }
        compared.has("routes", &all["network/routes.txt"], &line);
    }
}

/// Mounts, their devices and kinds, as `findmnt` has them, and the room that `df` sees.
fn mounts(all: &BTreeMap<String, String>, compared: &mut Compared) {
    let listed = json("findmnt", &["--json", "--list", "--output", "TARGET,SOURCE,FSTYPE,MAJ:MIN"]);
    // Other tests make network namespaces meanwhile.
    let stays = |mount: &&serde_json::Value| {
        !mount["target"].as_str().unwrap_or_default().starts_with("/run/netns")
    };
    for mount in listed["filesystems"].as_array().unwrap().iter().filter(stays) {
        let [target, kind, number] =
            ["target", "fstype", "maj:min"].map(|key| mount[key].as_str().unwrap_or_default());
        let found = all["storage/mounts.txt"].lines().find(|line| {
            line.split(' ').nth(4) == Some(target) && line.split(' ').nth(2) == Some(number)
        });
        let ours = found.and_then(|line| line.split_once(" - ")).map(|(_, rest)| rest);
        let ours: Vec<_> = ours.unwrap_or_default().split(' ').collect();
        compared.is(&format!("{target} number"), found.map(|_| number), number);
        compared.is(&format!("{target} kind"), ours.first().copied(), kind);
        let source = mount["source"].as_str().unwrap_or_default();
        // It adds a directory of the file system, where one is mounted.
        let source = source.split('[').next().unwrap_or_default();
        compared.is(&format!("{target} device"), ours.get(1).copied(), source);
    }
    let listed = json("findmnt", &["--json", "--bytes", "--output", "TARGET,SIZE", "/"]);
    let size = &listed["filesystems"][0]["size"];
    let size = size.as_u64().or_else(|| size.as_str()?.parse().ok()).unwrap();
    let line = all["storage/space.txt"].lines().find(|line| line.ends_with(" /")).unwrap();
    let ours = line.split_whitespace().next();
    compared.is("/ size", ours, &(size / 1024).to_string());
}

#[test]
fn x1_at_least_fifty_facts_are_what_lsblk_ip_and_findmnt_say() {
    let out = scratch("equal");
    let (_, path) = made(&report(Path::new("/"), &out));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let all = entries(&path).into_iter().map(|(name, bytes)| (name, text(bytes))).collect();
    let mut compared = Compared::default();
    let all: BTreeMap<String, String> = all;
    disks(&all["storage/disks.txt"], &mut compared);
    network(&all, &mut compared);
    mounts(&all, &mut compared);
    // Other tests make networks and mounts of their own meanwhile.
    let (equal, different) = (compared.equal, &compared.different);
    assert!(equal >= 50, "only {equal} are equal: {different:#?}");
    assert!(different.len() * 20 <= equal, "{different:#?}");
    tell(equal, different);
}

#[allow(clippy::print_stdout, reason = "read by the bench")]
fn tell(equal: usize, different: &[String]) {
    println!("\nEQUAL {equal} DIFFERENT {} {different:?}", different.len());
}
