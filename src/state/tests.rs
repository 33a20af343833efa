use super::directory::{STEPS, Step};
use super::document::{Read, decode, encode, encode_as};
use super::*;
use crate::platform::root::tests::scratch;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

/// A private directory, and the state in it.
fn fresh(name: &str) -> (PathBuf, StateDir) {
    let path = scratch(name).join("state");
    let state = StateDir::open(&path).unwrap();
    (path, state)
}

fn directory(state: &StateDir) -> &Directory {
    match &state.place {
        Place::Directory(directory) => directory,
        Place::Memory(_) => panic!("in memory"),
    }
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn body(state: &StateDir) -> Value {
    state.load("ddns").unwrap().unwrap().body
}

#[test]
fn what_was_saved_is_loaded_from_disk_and_from_memory() {
    for state in [fresh("saved").1, StateDir::memory()] {
        assert_eq!(state.load("ddns").unwrap(), None);
        for number in 0..5 {
            state.save("ddns", &json!({ "number": number })).unwrap();
            let loaded = state.load("ddns").unwrap().unwrap();
            assert_eq!(loaded, Loaded { body: json!({ "number": number }), damaged: None });
        }
        state.remove("ddns").unwrap();
        assert_eq!(state.load("ddns").unwrap(), None);
    }
}

#[test]
fn saving_the_same_again_writes_nothing() {
    let (path, state) = fresh("same");
    state.save("ddns", &json!(1)).unwrap();
    state.save("ddns", &json!(1)).unwrap();
    assert!(!path.join("ddns.1.json").exists());
}

#[test]
fn a_place_that_others_can_read_is_refused_by_name() {
    let (path, state) = fresh("loose");
    state.write_once("device.key", b"secret").unwrap();
    state.save("ddns", &json!(1)).unwrap();
    for name in ["device.key", "ddns.0.json"] {
        mode(&path.join(name), 0o640);
    }
    let error = state.read_private("device.key").unwrap_err().to_string();
    assert!(error.contains("device.key is a file of uid"), "{error}");
    assert!(error.contains("mode 0640, and must be a file of uid"), "{error}");
    assert!(matches!(state.load("ddns"), Err(StateError::Unsafe { .. })));
    drop(state);
    mode(&path, 0o750);
    assert!(matches!(StateDir::open(&path), Err(StateError::Unsafe { .. })));
    mode(&path, 0o700);
    assert!(StateDir::open(&path).is_ok());
    std::fs::write(path.join("not-a-directory"), "").unwrap();
    assert!(StateDir::open(path.join("not-a-directory")).is_err());
}

#[test]
fn a_file_takes_anothers_place_and_that_ones_bytes_are_gone() {
    let (path, state) = fresh("replace");
    for state in [&state, &StateDir::memory()] {
        state.write_once("device.key", b"old secret").unwrap();
        state.write_once("device.key.next", b"new secret").unwrap();
        if state.path().is_some() {
            // A second name shows what becomes of the blocks.
            std::fs::hard_link(path.join("device.key"), path.join("kept")).unwrap();
        }
        state.replace("device.key", "device.key.next").unwrap();
        assert_eq!(state.read_private("device.key").unwrap().unwrap(), b"new secret");
        assert_eq!(state.read_private("device.key.next").unwrap(), None);
    }
    assert_eq!(std::fs::read(path.join("kept")).unwrap(), [0; 10]);
    assert!(state.replace("device.key", "device.key.next").is_err(), "there is none");
    assert_eq!(state.read_private("device.key").unwrap().unwrap(), b"new secret");
}

#[test]
fn a_second_process_finds_it_busy() {
    let (path, state) = fresh("busy");
    let error = StateDir::open(&path).err().unwrap();
    assert!(matches!(error, StateError::Busy { .. }));
    assert_eq!(error.exit(), Exit::Busy);
    drop(state);
    assert!(StateDir::open(&path).is_ok());
}

#[test]
fn names_cannot_leave_the_directory() {
    let state = StateDir::memory();
    for bad in ["", "..", "../x", "a/b", ".hidden", "lock", "A", "a\0"] {
        assert!(matches!(state.load(bad), Err(StateError::Name(_))), "{bad}");
    }
}

#[test]
fn a_flipped_bit_or_a_cut_anywhere_falls_back_to_the_older_generation() {
    let (path, state) = fresh("flip");
    state.save("ddns", &json!({"generation": "old"})).unwrap();
    state.save("ddns", &json!({"generation": "new"})).unwrap();
    let newest = path.join("ddns.1.json");
    let older = std::fs::read(path.join("ddns.0.json")).unwrap();
    let whole = std::fs::read(&newest).unwrap();
    let falls_back = |bytes: &[u8], what: &str| {
        std::fs::write(&newest, bytes).unwrap();
        let loaded = state.load("ddns").unwrap().unwrap();
        assert_eq!(loaded.body, json!({"generation": "old"}), "{what}");
        assert!(loaded.damaged.unwrap().contains("ddns.1.json"), "{what}");
        assert_eq!(std::fs::read(path.join("ddns.0.json")).unwrap(), older, "{what}");
        assert_eq!(std::fs::read(&newest).unwrap(), bytes, "{what}");
    };
    for position in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[position] ^= 1 << bit;
            falls_back(&bytes, &format!("bit {bit} of byte {position}"));
        }
        falls_back(&whole[..position], &format!("cut at {position}"));
    }
    state.save("ddns", &json!({"generation": "third"})).unwrap();
    assert_eq!(std::fs::read(path.join("ddns.0.json")).unwrap(), older, "the good one stays");
    assert_eq!(state.load("ddns").unwrap().unwrap().damaged, None);
    assert_eq!(body(&state), json!({"generation": "third"}));
}

#[test]
fn two_damaged_generations_are_an_error_that_names_both_and_deletes_nothing() {
    let (path, state) = fresh("both");
    state.save("ddns", &json!(1)).unwrap();
    state.save("ddns", &json!(2)).unwrap();
    for name in ["ddns.0.json", "ddns.1.json"] {
        std::fs::write(path.join(name), "rubbish").unwrap();
    }
    for error in [state.load("ddns").unwrap_err(), state.save("ddns", &json!(3)).unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("ddns.0.json") && text.contains("ddns.1.json"), "{text}");
    }
    assert_eq!(std::fs::read(path.join("ddns.1.json")).unwrap(), b"rubbish");
}

#[test]
fn a_document_of_a_later_version_is_refused_and_kept() {
    let (path, state) = fresh("future");
    state.save("ddns", &json!(1)).unwrap();
    let future = encode_as(SCHEMA + 1, 2, &json!(2));
    std::fs::write(path.join("ddns.1.json"), &future).unwrap();
    mode(&path.join("ddns.1.json"), 0o600);
    assert!(matches!(state.load("ddns"), Err(StateError::Future { schema: 2, .. })));
    assert!(matches!(state.save("ddns", &json!(3)), Err(StateError::Future { .. })));
    assert_eq!(std::fs::read(path.join("ddns.1.json")).unwrap(), future);
}

#[test]
fn a_crash_after_any_step_leaves_the_old_or_the_new_state() {
    for generations in 0..3 {
        for steps in 0..=STEPS.len() {
            let (path, state) = fresh(&format!("kill-{generations}-{steps}"));
            for number in 0..generations {
                state.save("ddns", &json!(number)).unwrap();
            }
            directory(&state).save_until("ddns", &json!("new"), &STEPS[..steps]).unwrap();
            drop(state);
            let state = StateDir::open(&path).unwrap();
            let found = state.load("ddns").unwrap();
            let renamed = STEPS[..steps].contains(&Step::Rename);
            let expected = if renamed { Some(json!("new")) } else { None };
            let expected = expected.or((generations > 0).then(|| json!(generations - 1)));
            assert_eq!(found.as_ref().map(|found| found.body.clone()), expected);
            assert!(found.is_none_or(|found| found.damaged.is_none()));
            // Without fsync of the bytes, a rename may come to the disk alone: an empty file.
            if renamed {
                let slot = path.join(format!("ddns.{}.json", generations % 2));
                std::fs::write(&slot, "").unwrap();
                if generations > 0 {
                    assert_eq!(body(&state), json!(generations - 1));
                }
            }
            if !renamed || generations > 0 {
                state.save("ddns", &json!("after")).unwrap();
                assert_eq!(body(&state), json!("after"));
            }
        }
    }
}

#[test]
fn the_ledger_is_appended_to_and_rotated_once() {
    for state in [fresh("ledger").1, StateDir::memory()] {
        assert!(!state.rotate("ledger.jsonl", 4).unwrap());
        for line in [b"one\n", b"two\n"] {
            state.append("ledger.jsonl", line).unwrap();
        }
        assert_eq!(state.read_private("ledger.jsonl").unwrap().unwrap(), b"one\ntwo\n");
        assert!(!state.rotate("ledger.jsonl", 8).unwrap());
        assert!(state.rotate("ledger.jsonl", 7).unwrap());
        assert_eq!(state.read_private("ledger.jsonl").unwrap(), None);
        assert_eq!(state.read_private("ledger.jsonl.1").unwrap().unwrap(), b"one\ntwo\n");
        state.remove("ledger.jsonl").unwrap();
        assert_eq!(state.read_private("ledger.jsonl.1").unwrap(), None);
    }
}

#[test]
fn a_secret_is_written_once_and_for_its_owner_only() {
    let (path, state) = fresh("once");
    for state in [&state, &StateDir::memory()] {
        assert_eq!(state.read_private("device.key").unwrap(), None);
        state.write_once("device.key", b"secret").unwrap();
        let again = state.write_once("device.key", b"other");
        assert!(matches!(again, Err(StateError::Exists { .. })));
        assert_eq!(state.read_private("device.key").unwrap().unwrap(), b"secret");
    }
    let found = std::fs::metadata(path.join("device.key")).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    std::os::unix::fs::symlink("/etc/hostname", path.join("link.key")).unwrap();
    assert!(state.read_private("link.key").is_err());
}

#[test]
fn random_bytes_are_damage() {
    let good = encode(7, &json!(null));
    assert_eq!(decode(&good), Read::Good { generation: 7, body: json!(null) });
    for bytes in [b"".as_slice(), b"\n", b"{}\n", &[0xff; 99], &good[1..]] {
        assert!(matches!(decode(bytes), Read::Bad(_)));
    }
}

#[test]
fn a_directory_that_is_another_one_now_is_not_written_to_and_the_old_one_is_still_read() {
    let tree = scratch("state-gone");
    let (path, aside) = (tree.join("state"), tree.join("aside"));
    let state = StateDir::open(&path).unwrap();
    state.save("document", &json!(1)).unwrap();
    state.write_once("key", b"a key").unwrap();
    std::fs::rename(&path, &aside).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(state.save("document", &json!(2)), Err(StateError::Gone { .. })));
    assert!(matches!(state.write_once("other", b""), Err(StateError::Gone { .. })));
    assert!(matches!(state.append("lines", b""), Err(StateError::Gone { .. })));
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    let contents = state.contents().unwrap();
    assert_eq!(contents.documents, [("document".to_owned(), json!(1))]);
    assert_eq!(contents.files, [("key".to_owned(), b"a key".to_vec())]);
}
