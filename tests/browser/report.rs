//! The page of a report, as somebody opens it who was sent the archive: without any network.

use crate::axe;
use crate::common::net::{Line, Net};
use crate::common::scratch::Scratch;
use crate::person::Person;
use crate::tour::SIZES;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a report of a box with many faults, and unpacks it.
fn unpacked(dir: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/sick/root");
    let exe = env!("CARGO_BIN_EXE_qcloud-agent");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (root, out) = (text(&root), text(&dir.join("report.zip")));
    let made = Command::new(exe).args(["report", "--root", &root, "--out", &out]).output();
    let made = made.expect("the agent");
    assert!(matches!(made.status.code(), Some(0 | 3)), "{made:?}");
    let archive = std::fs::File::open(&out).expect("an archive");
    let there = dir.join("unpacked");
    zip::ZipArchive::new(archive).and_then(|mut zip| zip.extract(&there)).expect("it unpacks");
    there.join("index.html")
}

#[test]
fn a_report_is_one_page_that_everybody_can_read_and_that_asks_nobody_for_anything() {
    let scratch = Scratch::new();
    let page = unpacked(scratch.dir());
    let net = Net::new(Line::Direct);
    net.cut();
    let profile = scratch.path("browser");
    std::fs::create_dir(&profile).expect("a directory");
    let mut person = Person::new(&net.visitor, &profile, &[]);
    let url = format!("file://{}", page.display());
    person.go(&url);
    person.sees("cellar-nas");
    person.sees("A member of a RAID array is faulty");
    // Charts tell in words what they show.
    for chart in ["Memory in use: 96 % of 3.8 GiB", "coretemp Package id 0: 101 degrees Celsius"] {
        assert_eq!(person.all("image", chart).len(), 1, "{chart}");
    }
    let mut faults = Vec::new();
    for (size, width, height) in SIZES {
        person.sit_before(width, height);
        let over = person.overflow();
        if over > 0.0 {
            faults.push(format!("{size}: {over} px too wide"));
        }
        faults.extend(
            axe::judge(&mut person, &["light", "dark"])
                .iter()
                .map(|bad| format!("{size}: {bad:?}")),
        );
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    person.find("link", "logs/system.txt:27");
    assert_eq!(person.watch.asked, [url].into(), "asked for more than the page");
    assert!(person.watch.complaints.is_empty(), "{:#?}", person.watch.complaints);
}
