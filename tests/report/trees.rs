//! Reports of the boxes in `tests/roots/`.

use super::{agent, entries, made, report, scratch};
use serde_json::Value;
use std::path::Path;

#[test]
fn every_tree_gives_a_whole_report_that_can_be_checked() {
    let roots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roots");
    for entry in std::fs::read_dir(roots).unwrap() {
        let tree = entry.unwrap().path().join("root");
        if !tree.is_dir() {
            continue;
        }
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
    }
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
