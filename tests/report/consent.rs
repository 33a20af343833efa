//! Who agreed to a report, and for whom it is.

use super::{agent, entries, made, scratch};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// `report` with these arguments, on a terminal at which this is typed.
fn typed(args: &str, answer: &str) -> Output {
    let line = format!("{} {args}", env!("CARGO_BIN_EXE_qcloud-agent"));
    let shell = format!("printf '{answer}\\n' | script -qec '{line}' /dev/null");
    Command::new("sh").args(["-c", &shell]).output().unwrap()
}

fn manifest(path: &Path) -> Value {
    let all = entries(path);
    let (_, bytes) = all.iter().find(|(name, _)| name == "manifest.json").unwrap();
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn x8_without_a_yes_nothing_is_made_nothing_stays_and_nobody_asks_again() {
    let dir = scratch("refused");
    let out = dir.join("out");
    fs::create_dir(&out).unwrap();
    let args = format!("report --crash --root /nowhere-at-all --out {}", out.display());
    let nobody = agent(&args.split(' ').collect::<Vec<_>>()).output().unwrap();
    assert_eq!(nobody.status.code(), Some(4), "{nobody:?}");
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(said.contains("hint:") && said.contains("--yes"), "{said}");
    for wrong in ["no", "", "y", "CRASH IT"] {
        let ran = typed(&args, wrong);
        assert_eq!(ran.status.code(), Some(4), "{wrong}: {ran:?}");
        assert_eq!(String::from_utf8_lossy(&ran.stdout).matches("Type ").count(), 1, "asked again");
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    // What was refused is not remembered: the next one without it asks for nothing.
    let args = format!("report --root /nowhere-at-all --out {}", out.display());
    let plain = agent(&args.split(' ').collect::<Vec<_>>()).output().unwrap();
    assert!(matches!(plain.status.code(), Some(0 | 3)), "{plain:?}");
    assert!(!String::from_utf8_lossy(&plain.stdout).contains("crash"), "{plain:?}");
}

#[test]
fn x12_the_manifest_says_who_agreed_to_what_and_for_whom() {
    let dir = scratch("consent");
    let out = |name: &str| dir.join(name).display().to_string();
    let run = |more: &[&str]| {
        let mut args = vec!["report", "--root", "/nowhere-at-all", "--json", "--out"];
        args.extend(more);
        made(&agent(&args).output().unwrap()).1
    };
    let plain = manifest(&run(&[&out("plain.zip")]));
    assert_eq!(plain["consent"]["acknowledged"], "not_needed", "{plain}");
    let by = format!("uid {}", nix::unistd::getuid());
    assert_eq!(plain["consent"]["by"], by.as_str(), "{plain}");
    let note = plain["consent"]["note"].as_str().unwrap();
    assert!(note.contains("by hand") && note.contains("did not send it"), "{note}");
    assert_eq!(plain["recipients"], Value::Array(Vec::new()));

    let script = manifest(&run(&[&out("script.zip"), "--crash", "--yes"]));
    assert_eq!(script["consent"]["acknowledged"], "yes", "{script}");
    let args = format!("report --crash --root /nowhere-at-all --out {}", out("typed.zip"));
    let ran = typed(&args, "crash");
    assert!(matches!(ran.status.code(), Some(0 | 3)), "{ran:?}");
    let typed = manifest(&dir.join("typed.zip"));
    assert_eq!(typed["consent"]["acknowledged"], "typed", "{typed}");
    assert_eq!(typed["mode"], "crash");
}

#[test]
fn g3_a_report_is_made_by_a_command_of_somebody_and_says_so() {
    let dir = scratch("by-hand");
    let out = dir.join("a.zip");
    let args = ["report", "--root", "/nowhere-at-all", "--json", "--out", out.to_str().unwrap()];
    made(&agent(&args).output().unwrap());
    let said = manifest(&out);
    assert_eq!(said["consent"]["how"], "qcloud-agent report", "{said}");
    assert_eq!(said["argv"][0], "report", "{said}");
    // Nothing but the command line can have one made: no timer, no hub, no program at the agent's socket.
    let mut makers = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut makers);
    assert!(!makers.is_empty(), "nothing was found");
    let other = makers.iter().find(|path| !path.contains("/src/cli/report"));
    assert!(other.is_none(), "{other:?} can make a report");
    let asked = agent(&["--state", dir.to_str().unwrap(), "report", "make"]).output().unwrap();
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
}

/// The files outside the report's own directory that name its maker.
fn walk(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("src/report") {
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            if text.contains("report::make") || text.contains("report::{") && text.contains("make}")
            {
                found.push(path.display().to_string());
            }
        }
    }
}
