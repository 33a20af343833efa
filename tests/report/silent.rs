//! While a report is made nothing is sent and nobody is listened to (promises X7 and B1), whatever the box's own
//! programs do that are asked for a fact.

use super::scratch;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Stands for a program of the maker's, which is asked for the serial number: it tells the maker, and listens.
const TELLTALE: &str = r#"#!/usr/bin/python3
import socket
done = []
for family, kind, to in [
    (socket.AF_INET, socket.SOCK_DGRAM, ("203.0.113.9", 9)),
    (socket.AF_INET6, socket.SOCK_DGRAM, ("::1", 9)),
    (socket.AF_INET, socket.SOCK_STREAM, ("203.0.113.9", 9)),
]:
    try:
        one = socket.socket(family, kind)
        one.settimeout(0.2)
        done.append(family.name)
        one.connect(to)
        one.send(b"serial")
    except OSError:
        pass
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    done.append("listened")
except OSError:
    pass
open("/run/telltale", "w").write(" ".join(done))
print("Q123456789")
"#;

/// What it did, and how many packets left, in a network of its own that leads everywhere.
fn report(name: &str) -> (String, u64) {
    let dir = scratch(name);
    let (sbin, out) = (dir.join("sbin"), dir.join("out"));
    fs::create_dir_all(&sbin).unwrap();
    fs::create_dir_all(&out).unwrap();
    fs::write(sbin.join("get_hwsn"), TELLTALE).unwrap();
    fs::set_permissions(sbin.join("get_hwsn"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!(
        "set -e
        ip link set lo up
        ip link add wide type veth peer name far
        # What the kernel itself says to its neighbours is not counted here: IPv6 stays on this box.
        sysctl -qw net.ipv6.conf.wide.disable_ipv6=1 net.ipv6.conf.far.disable_ipv6=1
        ip addr add 203.0.113.1/24 dev wide
        ip link set far up
        ip link set wide up
        ip neigh add 203.0.113.9 lladdr 02:00:00:00:00:09 dev wide
        mount -t sysfs none /sys
        mount -t tmpfs none /run
        mount -t tmpfs none /etc
        mkdir /etc/config
        echo '[System]' > /etc/config/uLinux.conf
        mount --bind {sbin} /usr/sbin
        before=$(cat /sys/class/net/wide/statistics/tx_packets /sys/class/net/lo/statistics/tx_packets | {{ read a; read b; echo $((a + b)); }})
        {exe} report --out {out} --state {dir}/none > /dev/null || [ $? = 3 ]
        after=$(cat /sys/class/net/wide/statistics/tx_packets /sys/class/net/lo/statistics/tx_packets | {{ read a; read b; echo $((a + b)); }})
        echo $((after - before))
        cat /run/telltale",
        sbin = sbin.display(),
        out = out.display(),
        dir = dir.display(),
        exe = env!("CARGO_BIN_EXE_qcloud-agent"),
    );
    let ran = Command::new("unshare").args(["-m", "-n", "sh", "-c", &script]).output().unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let said = String::from_utf8(ran.stdout).unwrap();
    let (packets, done) = said.split_once('\n').unwrap();
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1, "there is a report");
    let file = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let all = super::entries(&file);
    let (_, summary) = all.iter().find(|(name, _)| name == "summary.json").unwrap();
    let summary: Value = serde_json::from_slice(summary).unwrap();
    assert!(summary.to_string().contains("Q123456789"), "it was not asked: {summary}");
    (done.to_owned(), packets.parse().unwrap())
}

#[test]
fn x7_no_packet_leaves_while_a_report_is_made_not_even_by_a_program_of_the_box() {
    let (done, packets) = report("silent");
    assert_eq!(packets, 0, "{done}");
}

#[test]
fn b1_no_report_listens_that_was_not_told_to() {
    let (done, _) = report("deaf");
    assert_eq!(done, "", "a socket was made");
}
