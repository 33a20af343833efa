//! Logs that were packed when they were put away.

use super::{entries, made, report, scratch};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

fn packed(program: &str, text: &[u8], to: &Path) {
    let from = to.with_extension("plain");
    fs::write(&from, text).unwrap();
    let ran = Command::new(program)
        .arg("-c")
        .stdin(File::open(&from).unwrap())
        .stdout(File::create(to).unwrap())
        .status();
    assert!(ran.unwrap().success());
    fs::remove_file(from).unwrap();
}

#[test]
fn packed_logs_are_read_and_none_of_them_fills_the_report() {
    let dir = scratch("rotated");
    let (root, out) = (dir.join("root"), dir.join("out"));
    let logs = root.join("var/log");
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(&out).unwrap();
    for (program, ending) in [("gzip", "gz"), ("xz", "xz"), ("zstd", "zst")] {
        let text = format!(
            "Nov 21 06:00:11 nas kernel: put away by {program}\nlogin with password=Kellerassel9\n"
        );
        packed(program, text.as_bytes(), &logs.join(format!("syslog.1.{ending}")));
        // A bomb: a hundred times what is taken of it.
        packed(program, &vec![b'A'; 100 << 20], &logs.join(format!("messages.1.{ending}")));
    }
    fs::write(logs.join("syslog.2.xz"), "this was never packed\n").unwrap();
    let (_, path) = made(&report(&root, &out));
    let all = entries(&path);
    let (_, bytes) = all.iter().find(|(name, _)| name == "logs/system.txt").unwrap();
    let text = String::from_utf8_lossy(bytes);
    for program in ["gzip", "xz", "zstd"] {
        assert!(text.contains(&format!("put away by {program}")), "{program}");
    }
    assert!(!text.contains("Kellerassel9") && bytes.len() < 6 << 20, "{}", bytes.len());
    let (_, manifest) = all.iter().find(|(name, _)| name == "manifest.json").unwrap();
    assert!(String::from_utf8_lossy(manifest).contains("syslog.2.xz"), "what failed is said");
}
