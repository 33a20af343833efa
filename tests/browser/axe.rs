//! axe-core's judgement of a page (WCAG 2 A and AA, and its best practices).

use crate::person::Person;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What it says of how bad something is, from the worst.
const BAD: [&str; 2] = ["critical", "serious"];

/// A finding.
#[derive(Debug)]
pub struct Finding {
    /// `critical`, `serious`, `moderate` or `minor`.
    pub impact: String,
    /// Its rule, what it says, and where.
    pub text: String,
}

impl Finding {
    /// Whether a page may not have it.
    pub fn is_bad(&self) -> bool {
        BAD.contains(&self.impact.as_str())
    }
}

/// The build directory of these tests.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the build directory").into()
}

/// The script, fetched once.
fn script() -> &'static str {
    static SCRIPT: OnceLock<String> = OnceLock::new();
    SCRIPT.get_or_init(|| {
        let dir = target().join("axe-core");
        let fetch = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/fetch-axe");
        let done = Command::new(fetch).arg(&dir).output().expect("bash");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "no axe-core: {said}\nhint: tests/run, with a network");
        std::fs::read_to_string(dir.join("axe.min.js")).expect("it was fetched")
    })
}

/// Every finding on the page as it is shown now, in each of these colour schemes.
pub fn judge(person: &mut Person, schemes: &[&str]) -> Vec<Finding> {
    const RUN: &str = "axe.run(document, {resultTypes: ['violations'], preload: false})
        .then(found => found.violations)";
    let mut findings = Vec::new();
    // The first time makes its world.
    person.beside().compute(&format!("{}; 0", script()));
    for scheme in schemes {
        person.prefer(scheme);
        let found = person.beside().compute(RUN);
        let found = found.as_array().expect("a list");
        findings.extend(found.iter().map(|violation| finding(scheme, violation)));
    }
    findings
}

fn finding(scheme: &str, violation: &Value) -> Finding {
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    let places: Vec<_> =
        nodes.map(|node| format!("{} {}", node["html"], node["failureSummary"])).collect();
    let text = format!("{scheme}: {} {} {places:?}", violation["id"], violation["help"]);
    let impact = violation["impact"].as_str().unwrap_or("critical").into();
    Finding { impact, text }
}
