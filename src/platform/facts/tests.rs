use super::super::root::tests::scratch;
use super::*;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

fn roots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/roots")
}

fn tree(name: &str) -> Root {
    Root::new(roots().join(name).join("root"))
}

#[test]
fn every_tree_tells_what_is_expected_of_it() {
    let names = Root::new(roots()).names("/").unwrap();
    let trees: Vec<_> = names.into_iter().filter(|name| name != "README.md").collect();
    assert!(trees.len() >= 26, "{trees:?}");
    let mut wrong = Vec::new();
    for name in &trees {
        let expected = std::fs::read_to_string(roots().join(name).join("expected.json"))
            .unwrap_or_else(|error| panic!("{name} has no expectation: {error}"));
        let expected: Map<String, Value> = serde_json::from_str(&expected).unwrap();
        assert!(expected.len() >= 3, "{name} expects nothing");
        let read = Facts::read(&tree(name));
        let rows = read.rows().map(|(key, row)| (key.to_owned(), row));
        let facts = serde_json::to_value(&read).unwrap().as_object().unwrap().clone();
        assert_eq!(facts, Map::from_iter(rows), "every fact is among the rows");
        for (key, wanted) in expected {
            let fact = facts.get(&key).unwrap_or_else(|| panic!("{name}: there is no fact {key}"));
            if fact["value"] != wanted {
                wrong.push(format!("{name}: {key} is {fact}, not {wanted}"));
            }
        }
        for (key, fact) in facts {
            let (value, source, error) = (&fact["value"], &fact["source"], &fact["error"]);
            let said = source.is_string() == error.is_null();
            let unread = value.is_null() == source.is_null() || key == "mac";
            assert!(said && unread, "{name}: {key} has neither source nor error: {fact}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_fact_says_where_it_stands() {
    let qts = Facts::read(&tree("qts-3disk"));
    let source = |fact: &Fact<String>| fact.source.clone().unwrap();
    assert_eq!(source(&qts.model), "/etc/platform.conf [MISC] DISPLAY_NAME");
    assert_eq!(source(&qts.firmware), "/etc/config/uLinux.conf [System] Version");
    assert_eq!(source(&qts.serial), "/sbin/get_hwsn");
    assert_eq!(source(&qts.mac), "/var/MacAddress [MAC]");
    let debian = Facts::read(&tree("debian-raid"));
    assert_eq!(source(&debian.firmware), "/etc/os-release VERSION_ID");
    let error = debian.internal_model.error.unwrap();
    assert!(error.contains("board_name: `Default string` is a placeholder"), "{error}");
    let error = Facts::read(&tree("nothing")).serial.error.unwrap();
    assert!(error.contains("/sys/class/dmi/id/product_serial: it does not exist"), "{error}");
}

#[test]
fn a_serial_number_is_the_same_by_its_short_way() {
    assert_eq!(serial(&tree("qts-3disk")).as_deref(), Some("Q123I45678"));
    assert_eq!(serial(&tree("dsm72")).as_deref(), Some("2040SBRA1B2C3"));
    assert_eq!(serial(&tree("dmi-placeholder-00")), None);
    assert_eq!(serial(&tree("nothing")), None);
}

#[test]
fn a_box_is_told_in_a_few_words() {
    assert_eq!(in_short(&tree("qts-3disk")).as_deref(), Some("TS-464, QTS 5.2.3"));
    assert_eq!(in_short(&tree("dmi-placeholder-00")).as_deref(), Some("Linux 12"));
    assert_eq!((in_short(&tree("nothing")), in_short(&tree("hostile"))), (None, None));
}

#[test]
fn no_program_of_a_tree_is_run() {
    let dir = scratch("facts-program");
    std::fs::create_dir_all(dir.join("etc/config")).unwrap();
    std::fs::create_dir_all(dir.join("sbin")).unwrap();
    std::fs::write(dir.join("etc/config/uLinux.conf"), "[System]\n").unwrap();
    for script in ["#!/bin/sh\necho $(touch /ran)\n", "#!/bin/sh\necho a; id\n", "\x7fELF"] {
        std::fs::write(dir.join("sbin/get_hwsn"), script).unwrap();
        let fact = Facts::read(&Root::new(&dir)).serial;
        assert_eq!(fact.value, None, "{script}");
        assert!(fact.error.unwrap().contains("is not run"), "{script}");
    }
}

#[test]
fn system_arrays_with_empty_slots_are_as_they_were_built() {
    let mdstat = std::fs::read_to_string(tree("qts-3disk").path("/proc/mdstat")).unwrap();
    let found = arrays(&mdstat);
    let md9 = found.iter().find(|array| array.name == "md9").unwrap();
    assert_eq!((md9.members, md9.is_degraded()), (Some((32, 3)), true));
    let facts = Facts::read(&tree("qts-3disk"));
    assert_eq!(facts.degraded_arrays.value, Some(vec![]));
    // Beside it: a data array of the same box with a member missing is one.
    let broken = mdstat.replace("[1/1] [U]", "[2/1] [U_]");
    let dir = scratch("facts-degraded");
    std::fs::create_dir_all(dir.join("etc/config")).unwrap();
    std::fs::create_dir_all(dir.join("proc")).unwrap();
    std::fs::write(dir.join("etc/config/uLinux.conf"), "[System]\nVersion = 5\n").unwrap();
    std::fs::write(dir.join("proc/mdstat"), broken).unwrap();
    let facts = Facts::read(&Root::new(&dir));
    let names = ["md3", "md2", "md1"].map(String::from).to_vec();
    assert_eq!(facts.degraded_arrays.value, Some(names));
}

#[test]
fn an_array_that_rebuilds_says_how_far_it_is() {
    let mdstat = std::fs::read_to_string(tree("debian-raid").path("/proc/mdstat")).unwrap();
    let found = arrays(&mdstat);
    let of = |name: &str| found.iter().find(|array| array.name == name).unwrap();
    assert_eq!(of("md127").at_work, Some(("recovery".into(), "22.8%".into())));
    assert_eq!(of("md0").at_work, Some(("resync".into(), "PENDING".into())));
    assert_eq!((of("md0").level.as_deref(), of("md0").members), (Some("raid1"), Some((2, 2))));
    assert!(!of("md6").is_degraded(), "a stripe has no redundancy to lose");
    assert_eq!((of("md5").level.clone(), of("md5").is_degraded()), (None, true));
}

#[test]
fn a_machine_id_is_seen_only_through_a_key() {
    let root = tree("debian-raid");
    let tag = machine_tag(b"one", &root).unwrap();
    assert_eq!((tag.len(), machine_tag(b"one", &root)), (64, Some(tag.clone())));
    assert_ne!(Some(&tag), machine_tag(b"two", &root).as_ref());
    let id = std::fs::read_to_string(root.path("/etc/machine-id")).unwrap();
    assert!(!tag.contains(id.trim()));
    let facts = serde_json::to_string(&Facts::read(&root)).unwrap();
    assert!(!facts.contains(id.trim()), "{facts}");
    // All zeros, and none at all.
    assert_eq!(machine_tag(b"one", &tree("dmi-placeholder-00")), None);
    assert_eq!(machine_tag(b"one", &tree("nothing")), None);
}

#[test]
fn placeholders_are_no_values_and_real_ones_are() {
    let none = [
        "",
        " ",
        "0",
        "00000000",
        "XXXXXXXX",
        "To Be Filled By O.E.M.",
        "-",
        "....",
        "FFFF-FFFF",
        "none",
    ];
    for text in none {
        assert!(text::is_placeholder(text), "{text}");
    }
    for text in ["Q123I45678", "1", "A", "TS-464", "1213245", "O.E.M. 7", "NONE-SUCH", "1111 2"] {
        assert!(!text::is_placeholder(text), "{text}");
    }
}

#[test]
fn files_of_facts_are_read_as_their_own_systems_do() {
    let conf =
        "Platform = X\n[system]\nVersion=1\nVersion = 2\n# Version = 3\n[Other]\nVersion = 4\n";
    let get = |section, key| text::section(conf, section, key);
    assert_eq!(get("", "platform").as_deref(), Some("X"));
    assert_eq!(get("System", "VERSION").as_deref(), Some("1"));
    assert_eq!(get("Other", "version").as_deref(), Some("4"));
    assert_eq!(get("None", "version"), None);
    let shell = "A=1\nA='t w o'\nB=\"q\\\"uote\\$\"\nC=\nexport=x\n  D=d\nE='open\n#F=1";
    let get = |name| text::variable(shell, name);
    assert_eq!(get("A").as_deref(), Some("t w o"));
    assert_eq!(get("B").as_deref(), Some("q\"uote$"));
    assert_eq!(get("C").as_deref(), Some(""));
    assert_eq!(get("D").as_deref(), Some("d"));
    assert_eq!(get("E").as_deref(), Some("'open"));
    assert_eq!(get("F"), None);
}

#[test]
fn the_live_box_answers_without_a_panic() {
    let facts = Facts::read(&Root::system());
    assert!(facts.platform.value.is_some(), "{facts:?}");
    assert!(facts.volumes.value.is_some() && facts.hostname.value.is_some(), "{facts:?}");
}
