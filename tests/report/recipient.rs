//! A report for one reader: nobody else opens it, and nothing else of it is ever on the disk (promises X11, X12).

use super::{agent, entries, scratch};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A key pair of the program `age`: the file of the secret one, and the public one.
fn pair(dir: &Path, name: &str) -> (PathBuf, String) {
    let file = dir.join(name);
    let made = Command::new("age-keygen").arg("-o").arg(&file).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = fs::read_to_string(&file).unwrap();
    let public = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();
    (file, public.to_owned())
}

fn open(key: &Path, file: &Path, to: &Path) -> Output {
    let mut age = Command::new("age");
    age.args(["-d", "-i"]).arg(key).arg("-o").arg(to).arg(file).output().unwrap()
}

fn tree(root: &Path) {
    for (path, text) in [("etc/os-release", "NAME=\"canary-of-the-clear\"\n"), ("etc/passwd", "")] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    // More than one chunk of the format, and nothing that packs.
    let mut state = 7_u64;
    let mut log = String::new();
    for _ in 0..20_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        log.push_str(&format!("Nov 20 kernel: {}\n", state >> 33));
    }
    fs::create_dir_all(root.join("var/log")).unwrap();
    fs::write(root.join("var/log/syslog"), log).unwrap();
}

#[test]
fn x11_only_the_recipients_open_it_with_the_program_age() {
    let dir = scratch("age");
    let (root, out) = (dir.join("root"), dir.join("out"));
    fs::create_dir_all(&out).unwrap();
    tree(&root);
    let [(one, first), (two, second), (other, _)] = ["one", "two", "other"].map(|n| pair(&dir, n));
    let list = dir.join("recipients.txt");
    fs::write(&list, format!("# support\n\n{second}\n")).unwrap();
    for form in ["zip-image", "text", "tar-all"] {
        let out = out.join(form);
        fs::create_dir(&out).unwrap();
        let args = [
            "report",
            "--root",
            root.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--format",
            form,
            "--recipient",
            &first,
            "--recipient",
            list.to_str().unwrap(),
        ];
        let ran = agent(&args).output().unwrap();
        assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
        let all: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [file] = &*all else { panic!("{all:?}") };
        assert!(file.to_str().unwrap().ends_with(".age"), "{file:?}");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read(file).unwrap().starts_with(b"age-encryption.org/v1\n"));
        assert!(!open(&other, file, &dir.join("stolen")).status.success(), "anybody opens it");
        let [opened, again] = [&one, &two].map(|key| {
            let to = dir.join("opened");
            let ran = open(key, file, &to);
            assert!(ran.status.success(), "{form}: {ran:?}");
            fs::read(to).unwrap()
        });
        assert!(opened == again && opened.len() > 70_000, "{form}: {} bytes", opened.len());
        if form == "zip-image" {
            let plain = dir.join("plain.zip");
            fs::write(&plain, opened).unwrap();
            let all = entries(&plain);
            let (_, manifest) = all.iter().find(|(name, _)| name == "manifest.json").unwrap();
            let manifest: Value = serde_json::from_slice(manifest).unwrap();
            assert_eq!(manifest["recipients"], serde_json::json!([first, second]));
            let note = manifest["consent"]["note"].as_str().unwrap();
            assert!(note.contains("only they can open it"), "{note}");
        }
        let view = agent(&["report", "view", file.to_str().unwrap()]).output().unwrap();
        assert!(String::from_utf8_lossy(&view.stderr).contains("age -d"), "{view:?}");
    }
}

#[test]
fn x11_nothing_readable_is_ever_written_before_it_is_encrypted() {
    let dir = scratch("age-disk");
    let (root, out, log) = (dir.join("root"), dir.join("out"), dir.join("calls"));
    fs::create_dir_all(&out).unwrap();
    tree(&root);
    let (_, public) = pair(&dir, "key");
    let ran = Command::new("strace")
        .args(["-f", "-s", "10000000", "-e", "trace=write,pwrite64,writev,pwritev", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_qcloud-agent"))
        .args(["report", "--root", root.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .args(["--recipient", &public])
        .output()
        .unwrap();
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let calls = fs::read_to_string(&log).unwrap();
    assert!(calls.contains("age-encryption.org/v1"), "nothing was seen");
    for plain in ["canary-of-the-clear", "system/release.txt", "PK\\3\\4", "\"sha256\""] {
        let line = calls.lines().find(|line| line.contains(plain));
        assert!(line.is_none(), "{plain}: {}", &line.unwrap()[..200]);
    }
}

#[test]
fn a_recipient_that_is_none_is_refused_and_told_why() {
    let dir = scratch("age-bad");
    let out = dir.to_str().unwrap();
    let (secret, public) = pair(&dir, "key");
    let secret = fs::read_to_string(secret).unwrap();
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY")).unwrap();
    let cut = &public[..40];
    let empty = dir.join("empty");
    fs::write(&empty, "# none\n").unwrap();
    for (key, why) in [
        ("ssh-ed25519 AAAA", "does not begin with age1"),
        (secret, "secret key"),
        (cut, "40 letters"),
        (empty.to_str().unwrap(), "no key in this file"),
    ] {
        let args = ["report", "--root", "/nowhere-at-all", "--out", out, "--recipient", key];
        let ran = agent(&args).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{key}: {ran:?}");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(said.contains(why) && said.contains("hint:"), "{key}: {said}");
        assert!(!said.contains(secret), "it is shown once more: {said}");
    }
    assert!(
        !fs::read_dir(&dir).unwrap().any(|e| e
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .contains("report"))
    );
}
