//! Nothing that is shown acts on the terminal it is shown on, wherever it came from.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::fake::{Fake, Say, nasty, started};
use crate::common::net::Line;
use crate::common::process::{Ran, run, until};
use crate::hub::sections;
use qcloud_agent::clock::Wall;
use qcloud_agent::hub::keys::Keys;
use qcloud_agent::wire::label::acts;
use qcloud_agent::wire::receipt::{Kept, Receipt, TYPE};
use qcloud_agent::wire::signed;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn assert_tame(what: &str, ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let found: String = text.chars().filter(|c| *c != '\n' && acts(*c)).collect();
        assert!(found.is_empty(), "{what}: {:?} in {text:?}", found);
        let forged = text.lines().find(|line| line.starts_with("FORGED"));
        assert_eq!(forged, None, "{what}: a line of its own in {text:?}");
        assert!(!text.contains("panicked"), "{what}: {text}");
    }
}

/// Everything that shows something, for people and for programs.
fn show_all(agent: &Agent) {
    for words in [
        &["status"][..],
        &["privacy", "status"],
        &["consent", "show"],
        &["egress", "catalog"],
        &["egress", "ledger"],
        &["egress", "verify"],
        &["egress", "reconcile"],
        &["egress", "preview", "ddns.update"],
        &["egress", "show", "1"],
        &["link", "status"],
        &["ddns", "status"],
        &["link", "certificate"],
        &["doctor"],
    ] {
        assert_tame(&format!("{words:?}"), &agent.plain(words));
        assert_tame(&format!("{words:?} --json"), &agent.command(words));
    }
    let log = agent.log_text();
    let found: String = log.chars().filter(|c| *c != '\n' && acts(*c)).collect();
    assert!(found.is_empty(), "{found:?} in the log");
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "a line of its own in the log");
}

fn both(agent: &Agent, words: &[&str]) {
    assert_tame(&format!("{words:?}"), &agent.plain(words));
    assert_tame(&format!("{words:?} --json"), &agent.command(words));
}

#[test]
fn no_text_of_a_hub_acts_on_the_owners_terminal() {
    let mut world = World::new(Line::Direct);
    let agent = world.member("box", &sections());
    world.hub.kill();
    let fake = Fake::instead_of(&world.hub, &world.net.hub);

    agent.ok(&["ddns", "on"]);
    let refusal =
        |word: &str| Say::Refuse(400, json!({ "error": nasty(word), "hint": nasty("hint") }));
    let refused = refusal("refused");
    fake.say(move |_, _| refused.clone());
    until("a refused update", SOON, || {
        let status = agent.status();
        status["warnings"].to_string().contains("refused").then_some(())
    });
    for words in
        [&["privacy", "export"][..], &["privacy", "fix", "name", "attic"], &["ddns", "off"]]
    {
        both(&agent, words);
    }
    show_all(&agent);
    let page = json!({
        "device": nasty("device"), "at": 0, "restricted": [], "next": null,
        "tables": [{ "table": nasty("table"), "parcel": nasty("parcel"), "rows": [
            { "until": null, "data": { nasty("key"): nasty("value") } },
        ]}],
    });
    fake.say_at("/v1/privacy/export", &Say::Json(page));
    both(&agent, &["privacy", "export"]);
    receipts(&world, &agent, &fake);
    show_all(&agent);
}

/// What the hub signs for is its own text too.
fn receipts(world: &World, agent: &Agent, fake: &Fake) {
    let (keys, id) = (Keys::load(world.hub.dir()).expect("keys"), agent.id());
    fake.say(move |_, body: &Value| {
        let receipt = Receipt {
            device: id.clone(),
            feature: "ddns".into(),
            nonce: body["nonce"].as_str().unwrap_or_default().into(),
            erased_at: Wall::from_unix_seconds(u64::MAX),
            rows: BTreeMap::from([(nasty("rows"), u64::MAX), (nasty("more"), u64::MAX)]),
            kept: vec![Kept {
                what: nasty("what"),
                why: nasty("why"),
                until: Wall::from_unix_seconds(0),
            }],
        };
        Say::Json(json!({ "receipt": signed::sign(&receipt, TYPE, &keys.receipt) }))
    });
    until("the erasure", SOON, || (agent.status()["owed"] == json!([])).then_some(()));
    for _ in 0..2 {
        agent.ok(&["ddns", "on"]);
        both(agent, &["ddns", "off"]);
    }
    assert_eq!(agent.status()["owed"], json!([]), "the receipt was not taken");
}

#[test]
fn no_invitation_of_a_hub_acts_on_the_owners_terminal() {
    let mut world = World::new(Line::Direct);
    let mut agent = world.agent(&sections());
    agent.start();
    world.hub.kill();
    let fake = Fake::instead_of(&world.hub, &world.net.hub);
    let mut answer = started(2);
    for field in ["device_code", "user_code", "verification_uri"] {
        answer[field] = json!(nasty(field));
    }
    answer["operator"] = json!({ "contact": nasty("contact"), "region": nasty("region") });
    fake.say(move |path, _| match path {
        "/v1/register/start" => Say::Json(answer.clone()),
        _ => Say::Json(json!({ "state": "authorization_pending" })),
    });
    let (url, pin) = (world.hub.url(), world.hub.pin.clone());
    let register = ["register", "--name", "box", "--hub", &url, "--hub-pin", &pin];
    std::thread::scope(|scope| {
        let running = scope.spawn(|| agent.plain(&register));
        until("the invitation", SOON, || {
            let text = agent.feature("registration")["summary"].to_string();
            text.contains("waiting").then_some(())
        });
        show_all(&agent);
        let ran = running.join().expect("its end");
        assert!(ran.stdout.contains("contact") && ran.stdout.contains("region"), "{ran:?}");
        assert_tame("register", &ran);
    });
    assert_tame("register --json", &agent.command(&register));
}

#[test]
fn nothing_that_is_typed_here_acts_either() {
    let world = World::new(Line::Direct);
    let mut agent = world.agent("");
    agent.start();
    let word = nasty("typed");
    for words in [
        &["register", "--name", &word, "--hub", "https://hub.test"][..],
        &["register", "--name", "box", "--hub", &word],
        &["register", "--name", "box", "--hub", "https://hub.test", "--hub-pin", &word],
        &["link", "on"],
        &["link", "publish", &word, "http://127.0.0.1:80"],
        &["link", "publish", "web", &word],
        &["link", "unpublish", &word],
        &["privacy", "deny", &word],
        &["privacy", "allow", &word],
        &["privacy", "erase", &word],
        &["privacy", "fix", &word, &word],
        &["privacy", "fix", "name", &word],
        &["privacy", "restrict", &word, "on"],
        &["privacy", "restrict", "ddns", &word],
        &["consent", "give", &word],
        &["consent", "withdraw", &word],
        &["egress", "preview", &word],
        &["egress", "show", &word],
        &[&word],
    ] {
        both(&agent, words);
    }
    for option in ["--config", "--state", "--root"] {
        let mut command = world.net.device.command(env!("CARGO_BIN_EXE_qcloud-agent"));
        command.args(["doctor", option, &format!("/nowhere/{word}")]);
        assert_tame(option, &run(command, SOON));
        let mut command = world.net.device.command(env!("CARGO_BIN_EXE_qcloud-agent"));
        command.args(["status", option, &format!("/proc/{word}")]);
        assert_tame(option, &run(command, SOON));
    }
    show_all(&agent);
}
