//! Each layer of the redaction finds what no other does (promise X4).

use super::{entries, made, report, scratch};
use qcloud_agent::report::bundle::{Bundle, leaks, without};
use qcloud_agent::report::scrub::Scrubber;
use qcloud_agent::report::scrub::dictionary::Dictionary;
use std::io::{Cursor, Read};

/// All of a report of a box with one file on it.
fn shown(name: &str, path: &str, text: &str) -> String {
    let dir = scratch(&format!("layer-{name}"));
    let (root, out) = (dir.join("root"), dir.join("out"));
    std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
    std::fs::create_dir_all(&out).unwrap();
    std::fs::write(root.join(path), text).unwrap();
    let (said, path) = made(&report(&root, &out));
    assert_eq!(said["removed"].as_array().unwrap().len(), 0, "{said}");
    let all = entries(&path);
    std::fs::remove_dir_all(&dir).unwrap();
    all.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect()
}

#[test]
fn x4_a_word_behind_a_secrets_name_is_hidden_however_plain_it_is() {
    let log = "Nov 22 10:00:01 nas app[1]: passwd=sommerwiese host=keller\n";
    let shown = shown("context", "var/log/syslog", log);
    assert!(!shown.contains("sommerwiese"), "{shown}");
    assert!(shown.contains("host=keller") && shown.contains("[redacted:password#"), "{shown}");
}

#[test]
fn x4_a_providers_token_is_hidden_by_its_prefix_alone() {
    let log = "Nov 22 10:00:01 nas app[1]: cloned with glpat-abcabcabcabcabcabc12 today\n";
    let shown = shown("shapes", "var/log/syslog", log);
    assert!(!shown.contains("abcabcabc"), "{shown}");
    assert!(shown.contains("[redacted:token#") && shown.contains("today"), "{shown}");
}

#[test]
fn x4_what_is_too_random_for_a_word_is_hidden_wherever_it_stands() {
    let log = "Nov 22 10:00:01 nas app[1]: saw Xk29fLq0ZvT7wMb4RsY8 and 9fceb02d0ae598e95dc970b74767f193 go by\n";
    let shown = shown("entropy", "var/log/syslog", log);
    assert!(!shown.contains("Xk29fLq0") && !shown.contains("9fceb02d"), "{shown}");
    assert!(shown.contains("[redacted:random#") && shown.contains("go by"), "{shown}");
}

#[test]
fn x4_of_a_known_format_an_unknown_key_is_shown_without_its_value() {
    let settings = "POLLFREQ 5\nNOTIFYCMD /sbin/upssched\nGREETING sommerwiese\n";
    let shown = shown("typed", "etc/nut/upsmon.conf", settings);
    assert!(!shown.contains("sommerwiese"), "{shown}");
    for kept in ["GREETING [redacted:setting#", "POLLFREQ 5", "NOTIFYCMD /sbin/upssched"] {
        assert!(shown.contains(kept), "{kept}: {shown}");
    }
}

#[test]
fn x4_the_second_look_removes_what_holds_a_secret_and_leaves_the_rest() {
    let mut dictionary = Dictionary::default();
    dictionary.add(b"Wolke7kranich");
    let scrubber = Scrubber::new(dictionary, &[7; 32]);
    let mut bundle = Bundle::new(Cursor::new(Vec::new()), None);
    // Where two reads of the second look meet, too.
    let cut = [vec![b'.'; (64 << 10) - 6], b"Wolke7kranich".to_vec()].concat();
    let encoded = data_encoding::BASE64.encode(b"anna:Wolke7kranich");
    let files: [(&str, &[u8]); 5] = [
        ("good.txt", b"-----BEGIN PRIVATE KEY-----[redacted:key#abc]\n-----END PRIVATE KEY-----\n"),
        ("plain.txt", b"he said Wolke7kranich"),
        ("cut.txt", &cut),
        ("encoded.txt", encoded.as_bytes()),
        ("key.txt", b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"),
    ];
    for (name, mut bytes) in files {
        bundle.plain(name, &mut bytes).unwrap();
    }
    let mut file = bundle.finish().unwrap();
    let found = leaks(&mut file, &scrubber).unwrap();
    assert_eq!(found, ["plain.txt", "cut.txt", "encoded.txt", "key.txt"]);
    let clean = without(&mut file, &found, Cursor::new(Vec::new())).unwrap();
    let mut archive = zip::ZipArchive::new(clean).unwrap();
    let mut all = String::new();
    for number in 0..archive.len() {
        archive.by_index(number).unwrap().read_to_string(&mut all).unwrap();
    }
    assert!(!all.contains("kranich") && !all.contains("MIIE") && all.contains("key#abc"), "{all}");
    assert_eq!(all.matches("removed:").count(), 4);
}
