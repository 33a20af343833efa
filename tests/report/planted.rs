//! No secret of a box is in its server report (promise X4), and what is none is.

use super::plant::{KEEPERS, lay};
use super::{entries, made, report, scratch};

const SEEDS: u64 = 20;

#[test]
fn x4_what_settings_keep_secret_is_found_where_nothing_gives_it_away() {
    let dir = scratch("known");
    let (root, out) = (dir.join("root"), dir.join("out"));
    for (path, text) in [
        ("etc/app.conf", "password = Wolke7kranich\n".to_owned()),
        (
            "etc/ssl/private/key.pem",
            "-----BEGIN PRIVATE KEY-----\nzweiundvierzigkraniche\n".to_owned(),
        ),
        (
            "var/log/syslog",
            format!(
                "he said Wolke7kranich aloud\nand {} too, zweiundvierzigkraniche\n",
                data_encoding::BASE64.encode(b"anna:Wolke7kranich")
            ),
        ),
    ] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }
    std::fs::create_dir_all(&out).unwrap();
    let (_, path) = made(&report(&root, &out));
    for (name, bytes) in entries(&path) {
        let text = String::from_utf8_lossy(&bytes);
        for secret in ["7kranich", "kraniche", "Wolke", "V29sa2U3"] {
            assert!(!text.contains(secret), "{secret} in {name}: {text}");
        }
    }
}

#[test]
fn x4_no_secret_of_twenty_boxes_is_in_their_reports_and_what_is_none_stays() {
    let (mut leaks, mut lost) = (Vec::new(), Vec::new());
    for seed in 1..=SEEDS {
        let dir = scratch(&format!("planted-{seed}"));
        let (root, out) = (dir.join("root"), dir.join("out"));
        std::fs::create_dir_all(&out).unwrap();
        let secrets = lay(&root, seed);
        let (_, path) = made(&report(&root, &out));
        let all = entries(&path);
        for secret in &secrets {
            for (name, bytes) in &all {
                let found = bytes.windows(secret.len()).position(|part| part == secret.as_bytes());
                if let Some(at) = found {
                    let from = at.saturating_sub(60);
                    let around = String::from_utf8_lossy(&bytes[from..at + secret.len()]);
                    leaks.push(format!("seed {seed}, {name}: {}", around.lines().last().unwrap()));
                }
            }
        }
        let text: Vec<u8> = all.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        for keeper in KEEPERS {
            if !text.windows(keeper.len()).any(|part| part == keeper.as_bytes()) {
                lost.push(format!("seed {seed}: {keeper}"));
            }
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
    leaks.sort();
    assert!(
        leaks.is_empty(),
        "{} leaks:\n{}",
        leaks.len(),
        leaks[..leaks.len().min(60)].join("\n")
    );
    let kept = KEEPERS.len() * usize::try_from(SEEDS).unwrap();
    assert!(
        lost.len() * 20 <= kept,
        "{} of {kept} lost:\n{}",
        lost.len(),
        lost[..lost.len().min(30)].join("\n")
    );
}
