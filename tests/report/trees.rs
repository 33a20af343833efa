//! Reports of the boxes in `tests/roots/`.

use super::{agent, entries, made, report, scratch};
use serde_json::Value;
use std::path::Path;

#[test]
fn every_tree_gives_a_whole_report_that_can_be_checked() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let listed = std::fs::read_dir(tests.join("roots")).unwrap().map(|entry| entry.unwrap().path());
    let mut boxes: Vec<_> = listed.filter(|dir| dir.join("root").is_dir()).collect();
    boxes.push(tests.join("report/sick"));
    let mut altered = Vec::new();
    for dir in boxes {
        let tree = dir.join("root");
        let out = scratch("tree");
        let output = report(&tree, &out);
        let (said, path) = made(&output);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}: {output:?}", tree.display());
        assert!(said["sections"].as_u64().unwrap() >= 40, "{said}");
        let viewed = agent(&["report", "view", path.to_str().unwrap(), "--json"]).output().unwrap();
        assert!(viewed.status.success(), "{}", String::from_utf8_lossy(&viewed.stderr));
        let listed: Vec<Value> = serde_json::from_slice(&viewed.stdout).unwrap();
        let wrong = listed.iter().find(|entry| entry["verified"] == false);
        assert!(wrong.is_none(), "{wrong:?}");
        for needed in ["README.txt", "report.txt", "summary.json", "findings.json", "manifest.json"]
        {
            assert!(listed.iter().any(|entry| entry["path"] == needed), "{needed}");
        }
        let name = dir.file_name().unwrap().to_str().unwrap();
        altered.extend(against_golden(name, &short(&path)));
    }
    assert!(altered.is_empty(), "{}\nBLESS=1 writes them anew", altered.join("\n"));
}

/// What a box of the same files always gets: its parts, how they came out, what was taken out of them and found.
fn short(path: &Path) -> String {
    let all = entries(path);
    let json = |wanted: &str| -> Value {
        let (_, bytes) = all.iter().find(|(name, _)| name == wanted).unwrap();
        serde_json::from_slice(bytes).unwrap()
    };
    let mut text = String::new();
    for entry in json("manifest.json")["entries"].as_array().unwrap() {
        let word = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        if word("status") == "absent" {
            continue;
        }
        text += &format!(
            "{} {} {} {}",
            word("path"),
            word("status"),
            word("sensitivity"),
            word("truncated")
        );
        for (kind, count) in entry["redactions"].as_object().unwrap() {
            text += &format!(" {kind}={count}");
        }
        text += "\n";
    }
    for finding in json("findings.json").as_array().unwrap() {
        text += &format!(
            "{} {}\n",
            finding["severity"].as_str().unwrap(),
            finding["code"].as_str().unwrap()
        );
    }
    text
}

/// What differs from the kept one, which `BLESS=1` writes anew.
fn against_golden(name: &str, now: &str) -> Option<String> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/report/{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let lost = kept.lines().filter(|line| !now.lines().any(|other| other == *line));
    let new = now.lines().filter(|line| !kept.lines().any(|other| other == *line));
    let lines: Vec<String> =
        lost.map(|line| format!("-{line}")).chain(new.map(|line| format!("+{line}"))).collect();
    (kept != now).then(|| format!("{name}:\n{}", lines.join("\n")))
}

#[test]
fn this_machine_gives_at_least_forty_sections() {
    let out = scratch("live");
    let output = report(Path::new("/"), &out);
    let (said, path) = made(&output);
    assert!(said["sections"].as_u64().unwrap() >= 40, "{said}");
    let all = entries(&path);
    let (_, manifest) = all.iter().find(|(name, _)| name == "manifest.json").unwrap();
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let listed = manifest["entries"].as_array().unwrap();
    let failed: Vec<_> =
        listed.iter().filter(|e| e["status"] == "error" || e["status"] == "timeout").collect();
    assert!(failed.is_empty(), "{failed:?}");
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 2 << 20, "{size} bytes");
}
