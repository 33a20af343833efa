//! What a report promises to hold (X1, X2, X3), whatever somebody does to the box.

use super::{agent, entries, made, report, scratch, sick};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use std::fs;
use std::process::Command;

fn manifest(all: &[(String, Vec<u8>)]) -> Value {
    let (_, manifest) = all.iter().find(|(name, _)| name == "manifest.json").unwrap();
    serde_json::from_slice(manifest).unwrap()
}

fn of<'a>(manifest: &'a Value, path: &str) -> &'a Value {
    let mut entries = manifest["entries"].as_array().unwrap().iter();
    entries.find(|entry| entry["path"] == path).unwrap_or_else(|| panic!("no {path}"))
}

/// Guard: `report-section`: what fails in a section is its own.
///
/// The attack: somebody who wants no log to be seen puts other things in the places of files that come before.
#[test]
fn x1_the_system_who_signed_in_and_what_happened_are_in_it() {
    let all = sick::texts("x1");
    for (path, line) in [
        ("system/release.txt", "VERSION_ID=\"12\""),
        ("system/boot.txt", "not shut down before"),
        ("system/memory.txt", "MemTotal:        3965432 kB"),
        ("services/users.txt", "user anna uid=1000"),
        ("logs/access.txt", "Failed password for invalid user admin from 203.0.113.7"),
        ("logs/system.txt", "Out of memory: Killed process 9912 (mysqld)"),
    ] {
        assert!(all[path].contains(line), "{line} is not in {path}:\n{}", all[path]);
    }
    let dir = scratch("x1-attack");
    let (root, out) = (dir.join("root"), dir.join("out"));
    for made in
        ["etc/os-release", "proc/meminfo", "proc/mdstat", "var/log", "etc/network/interfaces"]
    {
        fs::create_dir_all(root.join(made)).unwrap();
    }
    mkfifo(&root.join("etc/passwd"), Mode::S_IRWXU).unwrap();
    mkfifo(&root.join("var/log/syslog"), Mode::S_IRWXU).unwrap();
    fs::write(root.join("var/log/messages"), "Nov 21 06:00:11 nas kernel: it is still seen\n")
        .unwrap();
    fs::create_dir_all(&out).unwrap();
    let (_, path) = made(&report(&root, &out));
    let all = entries(&path);
    let (_, log) = all.iter().find(|(name, _)| name == "logs/system.txt").unwrap();
    assert!(String::from_utf8_lossy(log).contains("it is still seen"));
    let manifest = manifest(&all);
    let (failed, log) = (of(&manifest, "system/release.txt"), of(&manifest, "logs/system.txt"));
    assert_eq!(
        (&failed["status"], &log["status"]),
        (&"error".into(), &"partial".into()),
        "{failed} {log}"
    );
    assert!(log["reason"].as_str().unwrap().contains("/var/log/syslog"), "{log}");
}

/// Guard: `report-recipe`: every section there is belongs to a report.
///
/// The attack: lists that are not as they should be: without an end of line, with bytes that are no text, and with a
/// password in the middle of what must be shown.
#[test]
fn x2_the_lists_of_parameters_and_the_network_are_in_it() {
    let dir = scratch("x2");
    let (root, out) = (dir.join("root"), dir.join("out"));
    let lists: [(&str, &[u8], &str, &str); 6] = [
        (
            "etc/config/uLinux.conf",
            b"[System]\nModel = TS-453D\n\xff\0[SMTP]\nPassword = Kellerassel9\nTLS = 1",
            "services/parameters.txt",
            "TLS = 1",
        ),
        ("etc/synoinfo.conf", b"maxdisks=\"4\"\n", "services/parameters.txt", "maxdisks=\"4\""),
        (
            "etc/config/system",
            b"config system\n\toption hostname 'attic'\n",
            "services/parameters.txt",
            "option hostname 'attic'",
        ),
        (
            "etc/config/network",
            b"config interface 'lan'\n\toption proto 'static'\n",
            "network/settings.txt",
            "option proto 'static'",
        ),
        (
            "etc/network/interfaces",
            b"iface eth0 inet static\n address 192.168.0.7/24\n",
            "network/settings.txt",
            "address 192.168.0.7/24",
        ),
        (
            "etc/sysctl.d/9.conf",
            b"net.ipv4.ip_forward=1",
            "system/kernel_settings.txt",
            "net.ipv4.ip_forward=1",
        ),
    ];
    for (path, bytes, _, _) in lists {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), bytes).unwrap();
    }
    fs::create_dir_all(&out).unwrap();
    let (_, path) = made(&report(&root, &out));
    let all = entries(&path);
    for (from, _, path, line) in lists {
        let found = all.iter().find(|(name, _)| name == path);
        let (_, bytes) = found.unwrap_or_else(|| panic!("there is no {path}"));
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains(line), "{line} of {from} is not in {path}:\n{text}");
        assert!(!text.contains("Kellerassel9"));
    }
}

/// Guard: `report-picture`: without a picture there is a report all the same.
///
/// The attack: what stands in the places of display devices is none: another device, a FIFO, a link to a file.
#[test]
fn x3_what_the_display_shows_is_in_it_or_why_it_is_not_and_how_the_box_is() {
    let dir = scratch("x3");
    let script = format!(
        "mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/urandom c 1 9 && mkdir /dev/dri \
         && mknod /dev/dri/card0 c 1 5 && mkfifo /dev/dri/card1 && mknod /dev/fb0 c 1 3 && ln -s /etc/shadow /dev/vcsa \
         && exec {} report --out {} --exclude 'logs/*' --json",
        env!("CARGO_BIN_EXE_qcloud-agent"),
        dir.display()
    );
    let ran = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let all = entries(&made(&ran).1);
    let text = |path: &str| {
        let found = all.iter().find(|(name, _)| name == path);
        found.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
    };
    let why = text("image/NO_DISPLAY.txt").unwrap();
    for device in
        ["/dev/dri/card0: ", "/dev/dri/card1: not a device", "/dev/fb0: ", "/dev/vcs: not a device"]
    {
        assert!(why.contains(device), "{device} is not in {why}");
    }
    let situation = text("system/situation.txt").unwrap();
    assert!(situation.contains("load: ") && situation.contains("MemAvailable: "), "{situation}");
    assert_eq!(of(&manifest(&all), "image/NO_DISPLAY.txt")["status"], "absent");
}

#[test]
fn x3_this_machines_display_is_shown_in_one_of_three_ways_and_not_at_all_when_unwanted() {
    let dir = scratch("x3-here");
    let out = dir.to_str().unwrap();
    let run = |more: &[&str]| {
        let mut args = vec!["report", "--out", out, "--json"];
        for part in ["logs/*", "services/*", "network/*", "storage/*"] {
            args.extend(["--exclude", part]);
        }
        args.extend(more);
        let (_, path) = made(&agent(&args).output().unwrap());
        let all = entries(&path);
        fs::remove_file(&path).unwrap();
        all
    };
    let images = |all: &[(String, Vec<u8>)]| -> Vec<String> {
        let names = all.iter().map(|(name, _)| name.clone());
        names.filter(|name| name.starts_with("image/")).collect()
    };
    let all = run(&[]);
    let [image] = &*images(&all) else { panic!("{:?}", images(&all)) };
    assert!(["image/screen.png", "image/console.txt", "image/NO_DISPLAY.txt"].contains(&&**image));
    assert_eq!(images(&run(&["--no-image"])), Vec::<String>::new());
}
