//! Boxes that register by themselves with an auth key, and boxes whose hub does not know them any more.

use super::driver::{DAY, HOUR, MINUTE, World, member};
use core::time::Duration;
use qcloud_agent::card::{Exit, MASKED};
use qcloud_agent::daemon::household::Household;
use qcloud_agent::daemon::supervisor::Sections;
use qcloud_agent::features::ALL;
use qcloud_agent::platform::root::Root;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const KEY: &str = "qk1_7z2m4kqa_5yvx3t7wq2nhd6rkfj4mzcgbasdfgh22";
const START: &str = "registration.start";
const POLL: &str = "registration.poll";

/// A box's files, gone with the test.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, mode: u32, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("qcloud-fleet-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("etc")).unwrap();
        let tree = Self(path);
        tree.write(mode, text);
        tree
    }

    fn write(&self, mode: u32, text: &str) {
        std::fs::write(self.file(), text).unwrap();
        std::fs::set_permissions(self.file(), PermissionsExt::from_mode(mode)).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.join("etc/key")
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn provided() -> Sections {
    let section = json!({ "hub": "https://hub.example.test", "auth_key_file": "/etc/key", "name": "office-1" });
    Sections { values: BTreeMap::from([("registration".into(), section)]), ..Sections::default() }
}

fn unpacked(tree: &Tree) -> World {
    let mut world = World::of(ALL, Household::default(), provided());
    world.root = Root::new(&tree.0);
    world.hub.lock().polls_to_approve = 0;
    world
}

#[tokio::test(start_paused = true)]
async fn a_box_with_hub_and_key_registers_by_itself_at_its_first_start() {
    let tree = Tree::new("first", 0o600, &format!("{KEY}\n"));
    let mut world = unpacked(&tree);
    world.run_for(MINUTE).await;
    assert_eq!(world.status().registered.unwrap().name, "box");
    let start = world.hub.bodies(START);
    assert_eq!((&start[0]["auth_key"], &start[0]["name"]), (&json!(KEY), &json!("office-1")));
    assert_eq!((start.len(), world.hub.bodies(POLL).len()), (1, 1), "the first poll is the last");
    assert_eq!(world.warnings(), Vec::<&str>::new());
    let mut world = world.restart();
    world.run_for(DAY).await;
    assert_eq!(world.hub.bodies(START).len(), 1, "a registered box does it no more");
}

#[tokio::test(start_paused = true)]
async fn a_hub_that_is_away_is_tried_until_it_is_there() {
    let tree = Tree::new("away", 0o600, KEY);
    let mut world = unpacked(&tree);
    world.hub.go_down();
    world.run_for(DAY).await;
    assert_eq!(world.warnings(), ["registration-key"]);
    let tries = world.hub.lock().handed;
    assert!((100..300).contains(&tries), "{tries} tries in a day");
    let first = world.hub.waits(START)[0];
    assert!(first <= Duration::from_secs(6), "soon at first: {first:?}");
    world.hub.come_back();
    world.run_for(Duration::from_secs(601)).await;
    assert!(world.status().registered.is_some());
    assert_eq!(world.warnings(), Vec::<&str>::new());
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_tried_once_an_hour_and_a_new_one_is_taken_up() {
    let tree = Tree::new("refused", 0o600, KEY);
    let mut world = unpacked(&tree);
    let no = json!({ "error": "this auth key does not let this device in" });
    for _ in 0..24 {
        world.hub.script(START, 403, no.clone(), None);
    }
    world.run_for(DAY - HOUR / 2).await;
    let tries = world.hub.bodies(START).len();
    assert!((23..=25).contains(&tries), "{tries}");
    assert_eq!(world.warnings(), ["registration-key"]);
    let other = KEY.replace("7z2m", "aaaa");
    tree.write(0o600, &other);
    world.run_for(2 * HOUR).await;
    assert_eq!(world.hub.bodies(START).pop().unwrap()["auth_key"], other.as_str());
    assert!(world.status().registered.is_some());
}

/// Guard: `private-file`.
#[tokio::test(start_paused = true)]
async fn a_key_file_that_others_can_read_is_not_used() {
    for mode in [0o640, 0o604, 0o620, 0o666] {
        let tree = Tree::new("open", mode, KEY);
        let mut world = unpacked(&tree);
        world.run_for(HOUR / 2).await;
        assert_eq!(world.hub.lock().handed, 0, "{mode:o}");
        let warnings = world.status().warnings;
        assert!(warnings[0].details.contains("must be 0600"), "{}", warnings[0].details);
    }
    let tree = Tree::new("nonsense", 0o600, "not a key");
    let mut world = unpacked(&tree);
    world.run_for(HOUR / 2).await;
    assert_eq!((world.hub.lock().handed, world.warnings()), (0, vec!["registration-key"]));
    assert!(!world.status().warnings[0].details.contains("not a key"), "its content is not shown");
}

#[tokio::test(start_paused = true)]
async fn a_box_its_owner_took_off_the_hub_does_not_come_back_by_itself() {
    let tree = Tree::new("left", 0o600, KEY);
    let mut world = unpacked(&tree);
    world.run_for(MINUTE).await;
    let answer = world.say("registration", "unregister").await;
    assert_eq!(answer.exit, Some(Exit::Done), "{}", answer.text);
    world.run_for(DAY).await;
    let mut world = world.restart();
    world.run_for(DAY).await;
    assert_eq!((world.hub.bodies(START).len(), world.status().registered.is_none()), (1, true));
    // When its owner registers it again, that is forgotten.
    world.say("registration", "register").await;
    world.run_for(MINUTE).await;
    assert!(world.status().registered.is_some());
    assert!(world.disk.switches.is_empty(), "{:?}", world.disk.switches);
}

#[tokio::test(start_paused = true)]
async fn a_person_with_a_key_sees_no_invitation_unless_the_hub_wants_a_word() {
    let ask = json!({ "hub": "https://hub.example.test", "name": "box", "auth-key": KEY });
    for pending in [0, 2] {
        let mut world = World::new();
        world.hub.lock().polls_to_approve = pending;
        let asked = world.ask("registration", "register", ask.clone());
        world.run_for(MINUTE).await;
        let answers = &world.answers[&asked];
        assert_eq!(answers.last().unwrap().exit, Some(Exit::Done));
        assert_eq!(answers.len(), if pending == 0 { 1 } else { 2 }, "{answers:?}");
    }
    let mut world = World::new();
    world.hub.script(POLL, 200, json!({ "state": "access_denied" }), None);
    let asked = world.ask("registration", "register", ask);
    world.run_for(MINUTE).await;
    let last = world.answers[&asked].last().unwrap();
    assert!(last.exit == Some(Exit::Consent) && last.text.contains("auth key"), "{}", last.text);
}

/// Guard: `gate-secret`.
#[tokio::test(start_paused = true)]
async fn no_ledger_and_no_body_kept_shows_the_key() {
    let tree = Tree::new("masked", 0o600, KEY);
    let mut world = unpacked(&tree);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.bodies(START)[0]["auth_key"], KEY, "it is sent as it is");
    let lines = world.lines();
    let line = lines.iter().find(|line| line.parcel == START).unwrap();
    assert!(line.fields.contains(&"auth_key".into()), "that it left is written down");
    let body = world.gate.with_ledger(|ledger| ledger.body(line.seq).unwrap().to_vec());
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["auth_key"], &body["name"]), (&json!(MASKED), &json!("office-1")));
    let kept = [
        serde_json::to_string(&lines).unwrap(),
        serde_json::to_string(&world.disk).unwrap(),
        serde_json::to_string(&world.status()).unwrap(),
    ];
    let secret = KEY.rsplit('_').next().unwrap();
    assert!(kept.iter().all(|text| !text.contains(secret)), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_device_says_so_and_asks_once_an_hour() {
    let mut world = World::of(ALL, member(&["ddns", "link"]), Sections::default());
    world.addresses(&[], &["2001:db8::7"]);
    world.run_for(MINUTE).await;
    assert_eq!(world.hub.lock().sessions, 1);
    world.hub.forget_all();
    world.run_for(MINUTE).await;
    assert!(world.warnings().contains(&"registration-unknown"), "{:?}", world.warnings());
    let warning = world.status().warnings.into_iter().find(|w| w.code == "registration-unknown");
    assert_eq!(warning.unwrap().hint, "qcloud-agent register");
    let dials = world.hub.lock().dials.len();
    let before = world.hub.lock().handed;
    world.addresses(&[], &["2001:db8::8"]);
    world.run_for(12 * HOUR).await;
    let after = world.hub.lock().handed - before;
    assert!((20..30).contains(&after), "two features, once an hour: {after}");
    assert!(world.hub.lock().dials.len() - dials <= 13);
    // A line that flaps does not make it ask more.
    for number in 10..20 {
        world.addresses(&[], &[&format!("2001:db8::{number}")]);
        world.run_for(MINUTE).await;
    }
    assert!(world.hub.lock().handed - before - after <= 2);

    // The hub was brought back from a backup: all is well by itself.
    world.hub.lock().forgetful = false;
    world.run_for(HOUR + MINUTE).await;
    assert_eq!((world.warnings(), world.hub.lock().sessions), (vec![], 1));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_device_registers_again_where_it_was() {
    let mut world = World::of(ALL, member(&["link"]), Sections::default());
    world.run_for(MINUTE).await;
    world.hub.forget_all();
    world.run_for(MINUTE).await;
    // What counts is what a restarted device finds out anew.
    let mut world = world.restart();
    world.run_for(MINUTE).await;
    assert!(world.warnings().contains(&"registration-unknown"));
    world.hub.lock().forgetful = false;
    let asked = world.ask("registration", "register", json!({ "name": "box" }));
    world.run_for(MINUTE).await;
    let last = world.answers[&asked].last().unwrap();
    assert_eq!(last.exit, Some(Exit::Done), "{}", last.text);
    assert_eq!((world.warnings(), world.hub.lock().sessions), (vec![], 1));
}

#[test]
fn an_auth_key_file_needs_a_hub_and_a_whole_path() {
    let parse = |text: &str| {
        let config = qcloud_agent::daemon::config::parse(text, Path::new("c.toml"), ALL).unwrap();
        let row = ALL.iter().find(|row| row.card.name == "registration").unwrap();
        let now = qcloud_agent::clock::Now {
            boot: Default::default(),
            wall: Default::default(),
            dice: 0,
        };
        (row.open)(&config.sections.values["registration"], &Value::Null, 1, now).map(drop)
    };
    let hub = "hub = 'https://hub.example.test'";
    assert_eq!(parse(&format!("[registration]\n{hub}\nauth_key_file = '/etc/key'\n")), Ok(()));
    for bad in ["auth_key_file = '/etc/key'".into(), format!("{hub}\nauth_key_file = 'key'")] {
        let error = parse(&format!("[registration]\n{bad}\n")).unwrap_err();
        assert!(error.to_string().contains("auth_key_file"), "{error}");
    }
}
