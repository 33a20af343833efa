//! What a report is given as: its forms, its name, its place, and what is said meanwhile.

use super::{agent, entries, made, scratch};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A small box whose owner is anna.
fn small(root: &Path) {
    for (path, text) in [
        ("etc/hostname", "kranichnest\n"),
        ("etc/hosts", "127.0.0.1 localhost\n192.168.44.7 kranichnest.home.example kranichnest\n"),
        (
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000:Anna Kranich,,,:/home/anna:/bin/sh\n",
        ),
        ("etc/os-release", "NAME=\"Test\"\nVERSION_ID=\"1\"\n"),
        (
            "var/log/syslog",
            "Nov 20 10:00:00 kranichnest sshd[7]: Accepted publickey for anna from 192.168.44.99 port 22\n\
             Nov 20 10:00:01 kranichnest kernel: eth0: 00:11:32:ab:cd:ef fe80::211:32ff:feab:cdef joined\n",
        ),
        ("var/log/auth.log", "Nov 20 10:00:00 kranichnest su: anna to root, 192.168.44.99\n"),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// A box, and a directory beside it.
fn place(name: &str) -> (PathBuf, PathBuf) {
    let dir = scratch(name);
    let (root, out) = (dir.join("root"), dir.join("out"));
    fs::create_dir_all(&out).unwrap();
    small(&root);
    (root, out)
}

fn run(root: &Path, out: &Path, more: &[&str]) -> Output {
    let mut args = vec!["report", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
    args.extend(more);
    agent(&args).output().unwrap()
}

fn view(file: &Path, more: &[&str]) -> Output {
    let mut args = vec!["report", "view", file.to_str().unwrap()];
    args.extend(more);
    agent(&args).output().unwrap()
}

#[test]
fn every_form_is_what_its_name_says_and_can_be_looked_into() {
    let (root, out) = place("forms");
    for (form, ending, first) in [
        ("text", ".txt", &b"----- "[..]),
        ("zip", ".zip", b"PK\x03\x04"),
        ("zip-image", ".zip", b"PK\x03\x04"),
        ("tar-all", ".tar.gz", b"\x1f\x8b"),
        ("kernel", ".tar.gz", b"\x1f\x8b"),
    ] {
        let out = out.join(form);
        fs::create_dir(&out).unwrap();
        let (said, path) = made(&run(&root, &out, &["--format", form, "--json"]));
        assert!(path.to_str().unwrap().ends_with(ending), "{form}: {said}");
        let bytes = fs::read(&path).unwrap();
        let begins = bytes.windows(first.len()).take(65_536).position(|part| part == first);
        assert!(if form == "text" { begins.is_some() } else { begins == Some(0) }, "{form}");
        let listed = view(&path, &["--json"]);
        assert!(listed.status.success(), "{form}: {listed:?}");
        let listed: Vec<Value> = serde_json::from_slice(&listed.stdout).unwrap();
        let wrong = listed.iter().find(|entry| entry["verified"] == false);
        assert!(wrong.is_none(), "{form}: {wrong:?}");
        let text = String::from_utf8(view(&path, &["report.txt"]).stdout).unwrap();
        assert!(text.contains("----- Firmware and system -----"), "{form}: {text}");
        // The kernel's form holds nothing else.
        assert_eq!(text.contains("Accepted publickey"), form != "kernel", "{form}");
        let checked = listed.iter().filter(|entry| entry["verified"] == true).count();
        assert!(form == "text" || checked >= 3, "{form}: {checked} of {}", listed.len());
    }
}

#[test]
fn a_packed_form_is_a_tar_as_others_read_it() {
    let (root, out) = place("tar");
    let (_, path) = made(&run(&root, &out, &["--format", "tar-all", "--json"]));
    let unpacked = Command::new("tar").arg("-xzOf").arg(&path).arg("logs/access.txt").output();
    let unpacked = unpacked.unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");
    let shown = view(&path, &["logs/access.txt"]).stdout;
    assert_eq!(
        String::from_utf8_lossy(&unpacked.stdout).trim(),
        String::from_utf8_lossy(&shown).trim()
    );
}

#[test]
fn x10_it_is_saved_where_it_is_asked_for_for_its_owner_alone_and_over_nothing() {
    let (root, out) = place("names");
    // Whoever may write there could have laid a link.
    let elsewhere = out.join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, out.join("link.zip")).unwrap();
    fs::write(out.join("old.zip"), "old").unwrap();
    for taken in ["old.zip", "link.zip"] {
        let ran = run(&root, &out.join(taken), &[]);
        assert_eq!(ran.status.code(), Some(1), "{ran:?}");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(said.contains("is there already") && said.contains("hint:"), "{said}");
    }
    assert_eq!(fs::read(out.join("old.zip")).unwrap(), b"old");
    assert!(!elsewhere.exists());

    let named = out.join("stick.zip");
    let exe = env!("CARGO_BIN_EXE_qcloud-agent");
    let line =
        format!("umask 000; exec {exe} report --root {} --out {}", root.display(), named.display());
    let ran = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    assert_eq!(fs::metadata(&named).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(entries(&named).iter().any(|(name, _)| name == "manifest.json"));

    for nowhere in ["none/there/a.zip", "none/"] {
        let ran = run(&root, &out.join(nowhere), &[]);
        assert_eq!(ran.status.code(), Some(2), "{ran:?}");
    }
}

#[test]
fn x9_every_entry_is_listed_and_shown_and_an_altered_one_is_told() {
    let (root, out) = place("view");
    let (_, path) = made(&run(&root, &out, &["--json"]));
    let listed = String::from_utf8(view(&path, &[]).stdout).unwrap();
    for (name, bytes) in entries(&path) {
        assert!(listed.contains(&name), "{name} is not listed: {listed}");
        let shown = view(&path, &[&name]);
        assert!(shown.status.success(), "{name}: {shown:?}");
        // A terminal is spared what acts on it, and gets an end of line.
        let plain: String = String::from_utf8_lossy(&bytes).trim().chars().take(20).collect();
        let plain = plain.lines().next().unwrap_or_default().to_owned();
        assert!(String::from_utf8_lossy(&shown.stdout).contains(&plain), "{name}");
    }
    let missing = view(&path, &["no/such.txt"]);
    assert_eq!(missing.status.code(), Some(1));

    // Somebody puts another text in, with a checksum of the archive's own that fits.
    let forged = out.join("forged.zip");
    let mut zip = zip::ZipWriter::new(fs::File::create(&forged).unwrap());
    for (name, bytes) in entries(&path) {
        zip.start_file(&*name, zip::write::SimpleFileOptions::default()).unwrap();
        let bytes = if name == "logs/system.txt" { b"all is well\n".to_vec() } else { bytes };
        std::io::Write::write_all(&mut zip, &bytes).unwrap();
    }
    zip.finish().unwrap();
    let told = view(&forged, &[]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(said.contains("ALTERED") && said.contains("logs/system.txt"), "{said}");
}

#[test]
fn progress_is_a_bar_on_a_terminal_lines_on_request_and_nothing_on_a_pipe() {
    let (root, out) = place("progress");
    let silent = run(&root, &out.join("silent.zip"), &[]);
    assert_eq!(String::from_utf8_lossy(&silent.stderr), "");
    let lines = run(&root, &out.join("lines.zip"), &["--json"]);
    let text = String::from_utf8(lines.stderr).unwrap();
    let all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(all.len() >= 40, "{text}");
    assert_eq!(all[0]["progress"]["done"], 0);
    assert!(all.iter().all(|line| line["progress"]["section"].is_string()), "{text}");
    let result: Value = serde_json::from_slice(&lines.stdout).unwrap();
    assert!(result["path"].is_string());

    let line = format!(
        "{} report --root {} --out {}",
        env!("CARGO_BIN_EXE_qcloud-agent"),
        root.display(),
        out.join("bar.zip").display()
    );
    let bar = Command::new("script").args(["-qec", &line, "/dev/null"]).output().unwrap();
    let text = String::from_utf8_lossy(&bar.stdout).into_owned();
    assert!(text.contains("[####") && text.contains("\r\u{1b}[K"), "{text:?}");
}

#[test]
fn with_pseudonyms_nobody_is_named_and_everybody_can_be_told_from_the_others() {
    let (root, out) = place("pseudonyms");
    let asked = ["--pseudonymize", "users,hosts,ips,macs", "--json"];
    let (_, path) = made(&run(&root, &out, &asked));
    let all = entries(&path);
    for (name, bytes) in &all {
        let text = String::from_utf8_lossy(bytes).to_lowercase();
        // The path of this test is in its arguments.
        for personal in ["anna", "kranich", "192.168.44", "00:11:32:ab", "211:32ff"] {
            assert!(!text.contains(personal), "{personal} in {name}: {text}");
        }
    }
    let text = |path: &str| {
        let found = all.iter().find(|(name, _)| name == path).unwrap();
        String::from_utf8(found.1.clone()).unwrap()
    };
    let (system, access) = (text("logs/system.txt"), text("logs/access.txt"));
    let marker = |text: &str, kind: &str| {
        let begin = format!("[{kind}:");
        let at = text.find(&begin).unwrap_or_else(|| panic!("no {kind}: {text}"));
        text[at..].split(']').next().unwrap().to_owned()
    };
    for kind in ["user", "host", "ip"] {
        assert_eq!(marker(&system, kind), marker(&access, kind), "{system}\n{access}");
    }
    assert!(system.contains("[mac:"), "{system}");
    let manifest: Value = serde_json::from_str(&text("manifest.json")).unwrap();
    let entry = manifest["entries"].as_array().unwrap().iter();
    let entry = entry.clone().find(|entry| entry["path"] == "logs/system.txt").unwrap();
    assert_eq!(entry["redactions"]["user"], 1, "{entry}");
    assert_eq!(entry["redactions"]["ip"], 2, "{entry}");
    assert_eq!(manifest["pseudonymized"].as_array().unwrap().len(), 4, "{manifest}");
    // And it can still be checked.
    assert!(view(&path, &[]).status.success());
}

#[test]
fn a_list_is_what_would_be_in_it_and_makes_none() {
    let (root, out) = place("list");
    let count = |more: &[&str]| {
        let listed = run(&root, &out, more);
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8(listed.stdout).unwrap().lines().count()
    };
    let (all, kernel) = (count(&["--list"]), count(&["--list", "--format", "kernel"]));
    assert!(all >= 40 && (3..10).contains(&kernel), "{all}, {kernel}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}
