//! S4: an operator sees what their role allows; it is noted, told to whom it is about, and much of it raises an alert.

use crate::common::process::{run, until};
use crate::common::watch::files_with;
use crate::operators::{
    ANNA, Browser, NOBODY, PRIVACY, SETTINGS, SUPPORT, Sink, as_user, ask, invite, json, sample,
    world,
};
use rusqlite::Connection;
use serde_json::Value;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(15);

/// Guard: `operator-role`, where a local user's role is found and what it may is decided.
///
/// The attack: somebody without a role, and somebody of support who wants more, with a reason and by reading the files.
#[test]
fn s4_an_operator_may_what_their_role_allows_and_no_more() {
    let world = world(SETTINGS);
    invite(&world, ANNA);
    let stranger = as_user(&world, NOBODY, &["user", "list"]);
    assert!(stranger.code == Some(1) && stranger.stderr.contains("[operators]"), "{stranger:?}");
    assert!(!stranger.stdout.contains("example.org"), "{stranger:?}");
    let mut read = world.net.hub.command("setpriv");
    read.args(["--reuid=54321", "--regid=54321", "--clear-groups", "cat"]);
    for file in ["hub.db", "hub.toml", "hub.db-wal"] {
        read.arg(world.hub.dir().join(file));
    }
    let read = run(read, SOON);
    assert!(read.code != Some(0) && read.stdout.is_empty(), "the files are open: {read:?}");

    let refused: &[&[&str]] = &[
        &["user", "lock", ANNA],
        &["user", "unlock", ANNA],
        &["user", "reset-second", ANNA],
        &["user", "add", ANNA],
        &["user", "show", ANNA, "--reason", "I would like to know"],
        &["device", "revoke", "box", "--yes"],
        &["device", "release", "box"],
        &["audit", "list"],
        &["audit", "verify"],
        &["pending"],
    ];
    for args in refused {
        let ran = as_user(&world, SUPPORT, args);
        assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
    }
    as_user(&world, SUPPORT, &["user", "show", ANNA]).ok();
    as_user(&world, SUPPORT, &["device", "list"]).ok();
    let ran = as_user(&world, PRIVACY, &["user", "lock", ANNA]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    as_user(&world, PRIVACY, &["audit", "verify"]).ok();
    let audit = json(&world, &["audit", "list"])["audit"].clone();
    let refusals = audit.as_array().expect("a list").iter().filter(|l| l["refused"].is_string());
    assert!(refusals.count() >= 9, "refusals are noted too: {audit}");
}

/// Guard: `operator-mask`, where a role is found to see what is not masked.
#[test]
fn s4_addresses_are_masked_but_for_privacy_and_a_reason() {
    let mut world = world(SETTINGS);
    invite(&world, ANNA);
    let masked = "a***@mail.example.org";
    let list: &[&str] = &["user", "list"];
    for args in [list, &["user", "show", ANNA], &["user", "show", "1"]] {
        for json in [false, true] {
            let mut args = args.to_vec();
            args.extend(json.then_some("--json"));
            let support = as_user(&world, SUPPORT, &args).ok();
            assert!(support.contains(masked) && !support.contains(ANNA), "{args:?}: {support}");
            let root = world.hub.command(&args).ok();
            assert!(root.contains(masked) && !root.contains(ANNA), "{args:?}: {root}");
            let privacy = as_user(&world, PRIVACY, &args).ok();
            assert!(privacy.contains(ANNA), "{args:?}: {privacy}");
        }
    }
    let asked = world.hub.command(&["user", "list", "--reason", "ticket 4711"]).ok();
    assert!(asked.contains(ANNA), "{asked}");
    // Without the hub, whoever reads its directory is masked and noted all the same.
    world.hub.stop();
    let root = world.hub.command(&["user", "list"]).ok();
    assert!(root.contains(masked) && !root.contains(ANNA), "{root}");
    world.hub.command(&["user", "show", ANNA, "--reason", "ticket 4712"]).ok();
    let audit = json(&world, &["audit", "list"])["audit"].to_string();
    assert!(audit.contains("ticket 4711") && audit.contains("ticket 4712"), "{audit}");
    assert!(!audit.contains(ANNA), "the log itself holds the address: {audit}");
}

fn acts(world: &crate::common::World) -> Vec<Value> {
    json(world, &["audit", "list"])["audit"].as_array().expect("a list").clone()
}

/// Guard: `operator-noted`, the note before anything is shown or done.
#[test]
fn s4_every_look_is_noted_sealed_and_told_to_whom_it_is_about() {
    let mut world = world(SETTINGS);
    let anna = Browser::of(&world, &world.net.visitor, ANNA);
    as_user(&world, SUPPORT, &["user", "show", ANNA]).ok();
    as_user(&world, PRIVACY, &["user", "list"]).ok();
    world.hub.command(&["user", "show", ANNA, "--reason", "kingfisher"]).ok();
    let before = acts(&world).len();
    let noted = acts(&world);
    assert!(noted.len() > before, "looking into the audit log is noted as well");
    let of = |act: &str, uid: u32| {
        noted.iter().find(|line| line["act"] == act && line["uid"] == uid).cloned()
    };
    let support = of("user show", SUPPORT).expect("it is not noted");
    assert_eq!((&support["role"], &support["accounts"][0]), (&"support".into(), &1.into()));
    assert_eq!(support["unmasked"], false);
    let all = of("user list", PRIVACY).expect("it is not noted");
    assert_eq!((&all["unmasked"], &all["accounts"][0]), (&true.into(), &1.into()));
    let root = of("user show", 0).expect("it is not noted");
    assert_eq!((&root["reason"], &root["unmasked"]), (&"kingfisher".into(), &true.into()));

    let (_, log) = anna.get("/log");
    for role in ["support", "privacy", "admin"] {
        assert!(log.contains(&format!("as {role}, number")), "{role} is not in her log: {log}");
    }
    // The attack on the note itself: whoever has the database learns neither who asked nor why.
    assert!(files_with(world.hub.dir(), b"kingfisher").is_empty(), "the reason lies open");

    world.hub.command(&["user", "lock", ANNA]).ok();
    assert_eq!(anna.get("/log").0, 303, "a locked account's browser is signed in");
    let other = Browser::new(&world, &world.net.device, "other");
    assert_eq!(other.sign_in(ANNA, crate::operators::PASSWORD), 401, "it is let in");
    world.hub.command(&["user", "unlock", ANNA]).ok();
    assert_eq!(other.sign_in(ANNA, crate::operators::PASSWORD), 303);
    world.hub.command(&["user", "reset-second", ANNA]).ok();
    assert_eq!(other.get("/log").0, 303, "all sessions are ended");
    assert_eq!(other.sign_in(ANNA, crate::operators::PASSWORD), 303);
    let (_, log) = other.get("/log");
    for line in ["it is locked", "it is not locked any more", "An operator removed your second"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    drop(other);
    drop(anna);
    let before = acts(&world).len();
    world.hub.stop();
    world.hub.command(&["user", "show", ANNA]).ok();
    world.hub.command(&["audit", "verify"]).ok();
    assert_eq!(acts(&world).len(), before + 3, "what is done beside the hub is noted");
}

/// Guard: `ledger-chain`, the look from each line at the one before it.
///
/// The attack: somebody who can write the database alters a line, takes one out, or cuts an end off.
#[test]
fn s4_a_line_that_was_altered_or_taken_out_is_found() {
    let mut world = world("");
    for _ in 0..5 {
        world.hub.command(&["user", "list"]).ok();
    }
    world.hub.stop();
    let path = world.hub.dir().join("hub.db");
    let good = world.scratch.path("good.db");
    let database = Connection::open(&path).expect("the database");
    let whole = "PRAGMA wal_checkpoint(TRUNCATE)";
    database.query_row(whole, [], |row| row.get::<_, i64>(0)).expect("all in one file");
    drop(database);
    std::fs::copy(&path, &good).expect("a copy");
    let restore = || {
        for log in ["hub.db-wal", "hub.db-shm"] {
            // The last one that closed the database took them along, or did not.
            let _ = std::fs::remove_file(world.hub.dir().join(log));
        }
        std::fs::copy(&good, &path).expect("a copy");
    };
    let attacks = [
        // As if the line had been written this way: its own number and time are right.
        "UPDATE audit SET line = json_set(line, '$.sealed', (SELECT json_extract(line, '$.sealed') FROM audit WHERE seq = 4)) WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 5",
        "DELETE FROM audit WHERE seq <= 4",
        "DELETE FROM audit",
        "DELETE FROM audit_head",
        "DELETE FROM audit WHERE seq = 5; DELETE FROM audit_head",
        "UPDATE audit_head SET head = replace(head, '\"seq\":5', '\"seq\":4'); DELETE FROM audit WHERE seq = 5",
        "UPDATE audit SET made_at = made_at - 90000000 WHERE seq = 1",
    ];
    for attack in attacks {
        restore();
        let database = Connection::open(&path).expect("the database");
        database.execute_batch(attack).expect("the attack");
        drop(database);
        let found = world.hub.command(&["audit", "verify"]);
        assert!(
            found.code == Some(1) && found.stderr.contains("does not hold"),
            "{attack}: {found:?}"
        );
        // Neither does the next line heal it.
        let found = world.hub.command(&["audit", "verify"]);
        assert_eq!(found.code, Some(1), "{attack}: {found:?}");
    }
    restore();
    world.hub.command(&["audit", "verify"]).ok();
}

/// Guard: `operator-volume`, the count of people an operator has looked at within the hour.
#[test]
fn s4_an_unusual_volume_raises_an_alert_and_slows_down() {
    let mail = "[alerts]\npeople_per_hour = 3\nmail = \"ops@example.net\"\n\
        [mail]\nserver = \"smtp://127.0.0.1:2525\"\nfrom = \"hub@example.org\"\n";
    let world = world(&format!("{SETTINGS}{mail}"));
    let sink = Sink::open(&world.net.hub, 2525);
    let people = ["a@example.net", "b@example.net", "c@example.net", "d@example.net"];
    for email in people {
        invite(&world, email);
    }
    let alert = "unusually many people";
    // Those who were invited count for whoever invited them; that one is another operator.
    let before = world.hub.log_text().matches(alert).count();
    for email in &people[..3] {
        // The same person again is nobody new.
        as_user(&world, SUPPORT, &["user", "show", email]).ok();
        as_user(&world, SUPPORT, &["user", "show", email]).ok();
    }
    assert_eq!(world.hub.log_text().matches(alert).count(), before, "three people are usual");
    as_user(&world, SUPPORT, &["user", "show", people[3]]).ok();
    let after = world.hub.log_text().matches(alert).count();
    assert_eq!(after, before + 1, "{}", world.hub.log_text());
    // In an emergency it goes on, more slowly.
    let begun = Instant::now();
    as_user(&world, SUPPORT, &["user", "show", people[0]]).ok();
    assert!(begun.elapsed() >= Duration::from_millis(100));
    until("the metric", SOON, || {
        let (_, text) = ask(&world, "/metrics");
        (sample(&text, "qcloud_hub_anomalies{kind=\"many-people\"}")? >= 1.0).then_some(())
    });
    let letter = until("the letter", SOON, || {
        sink.letters().into_iter().find(|letter| letter.contains("RCPT TO:<ops@example.net>"))
    });
    assert!(letter.contains("an operator looks at many people"), "{letter}");
    assert!(people.iter().all(|email| !letter.contains(email)), "{letter}");
}
