//! R10: whom an owner turns to, complaints to an authority included, is shown before anything is agreed to.

use crate::common::World;
use crate::common::agent::Agent;
use crate::common::fake::{Fake, Say, started};
use crate::common::hub::ZONE;
use crate::common::net::{HUB, Line};
use crate::common::process::{Ran, run, until};
use qcloud_agent::wire::label::acts;
use serde_json::{Value, json};
use std::time::Duration;

const CONTACT: &str = "Åsa Ek, +46 8 123 45, complaints@hub.test; IMY, imy.se";
const REGION: &str = "Stockholm, Sweden";
const SOON: Duration = Duration::from_secs(10);

/// Asks to be registered and lets the owner decide nothing; gives what they were shown.
fn invited(world: &World, agent: &Agent) -> Ran {
    let (url, pin) = (world.hub.url(), world.hub.pin.clone());
    std::thread::scope(|scope| {
        let register = ["register", "--name", "box", "--hub", &url, "--hub-pin", &pin];
        let asking = scope.spawn(move || agent.plain(&register));
        let code = until("the request", SOON, || {
            let text = world.hub.command(&["pending", "--json"]).ok();
            let json: Value = serde_json::from_str(&text).ok()?;
            Some(json["pending"].as_array()?.first()?["code"].as_str()?.to_owned())
        });
        world.hub.command(&["deny", &code]).ok();
        asking.join().expect("its end")
    })
}

/// Guard: `hub-operator`, where the hub answers who runs it.
#[test]
fn r10_who_runs_the_hub_is_shown_before_the_owner_decides_and_ever_after() {
    let world = World::with_hub(Line::Direct, &["--contact", CONTACT, "--region", REGION]);
    assert!(!world.hub.log_text().contains("whom to write to"), "it warns of a contact it has");
    let mut agent = world.agent("");
    agent.start();
    let shown = invited(&world, &agent).stdout;
    assert!(shown.contains(CONTACT) && shown.contains(REGION), "{shown}");
    let before = shown.find(CONTACT) < shown.find("Approve only if");
    assert!(before, "the owner decides before it is shown: {shown}");

    agent.register(&world.hub, "box");
    let operator = json!({ "contact": CONTACT, "region": REGION });
    for restart in [false, true] {
        if restart {
            agent.kill();
            agent.start();
        }
        assert_eq!(agent.status()["registered"]["operator"], operator);
        for words in [&["status"][..], &["privacy", "status"]] {
            let said = agent.plain(words).ok();
            assert!(said.contains(CONTACT) && said.contains(REGION), "{words:?}: {said}");
        }
    }
    agent.ok(&["privacy", "fix", "name", "attic"]);
    assert_eq!(agent.status()["registered"]["operator"], operator, "a new name has no operator");
}

/// The attack: a hub whose operator says nothing, and one that writes on the owner's terminal.
///
/// Guard: `operator-printable`, where the agent reads what the hub says of itself.
#[test]
fn r10_a_hub_that_names_nobody_is_shown_as_that_and_none_writes_on_the_terminal() {
    let mut world = World::new(Line::Direct);
    assert!(world.hub.log_text().contains("whom to write to"), "it does not warn");
    let mut agent = world.agent("");
    agent.start();
    let shown = invited(&world, &agent).stdout;
    assert_eq!(shown.matches("not told by the hub").count(), 2, "{shown}");

    // No command of the hub takes such a text; an operator who means harm has other programs.
    let dir = world.scratch.path("other");
    let mut init = world.net.hub.command(env!("CARGO_BIN_EXE_qcloud-hub"));
    init.args(["init", "--zone", "x.test", "--contact", "a\u{1b}[2J\nb", "--dir"]).arg(&dir);
    assert_eq!(run(init, SOON).code, Some(1), "the hub took a contact that acts");
    world.hub.kill();
    let fake = Fake::instead_of(&world.hub, &world.net.hub);
    let mut answer = started(2);
    answer["operator"] = json!({
        "contact": format!("me\u{1b}[2J\nregistered as box\u{202e}{}", "x".repeat(500)),
        "region": "\u{7}here",
    });
    fake.introduce(Say::Json(answer["operator"].clone()));
    fake.say_at("/v1/register/start", &Say::Json(answer));
    let hosts = format!("hosts = {{ \"hub.{ZONE}\" = \"{HUB}\" }}");
    agent.configure(&hosts);
    agent.process().signal(nix::sys::signal::Signal::SIGHUP);
    let (url, pin) = (world.hub.url(), world.hub.pin.clone());
    let ran = agent.plain(&["register", "--name", "box", "--hub", &url, "--hub-pin", &pin]);
    assert!(ran.stdout.contains("run by       me?[2J?registered as box?xxx"), "{ran:?}");
    assert!(ran.stdout.contains("stands in    ?here"), "{ran:?}");
    assert!(!ran.stdout.contains(|c| c != '\n' && acts(c)), "{ran:?}");
    assert!(!ran.stdout.lines().any(|line| line.starts_with("registered as box")), "{ran:?}");
    assert!(ran.stdout.matches('x').count() < 450, "{ran:?}");
}
