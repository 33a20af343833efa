//! The issuer's own key: made and used away from a hub, whose keys it certifies.

use super::licensing::file;
use super::support::Hub;
use qcloud_agent::clock::system_wall;
use qcloud_agent::hub::license::root::{Root, RootError};
use qcloud_agent::wire::license::{jws, kid_of};
use serde_json::Value;
use std::process::Command;

#[test]
fn the_issuers_key_is_made_and_used_away_from_a_hub() {
    let hub = Hub::start();
    assert!(matches!(Root::make(&hub.dir.join("root.key")), Err(RootError::AtHub(_))));
    let run =
        |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_qcloud-hub")).args(args).output().unwrap();
    let path = hub.dir.with_extension("root");
    let path = path.to_str().unwrap();
    let made = run(&["license", "root", "new", "-o", path]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let public = String::from_utf8(made.stdout).unwrap();
    assert_eq!(std::fs::read_to_string(format!("{path}.pub")).unwrap(), public);
    assert!(
        !run(&["license", "root", "new", "-o", path]).status.success(),
        "nothing is overwritten"
    );
    let bytes = jws::public_key(&public).unwrap();
    let shown: Value =
        serde_json::from_slice(&run(&["license", "root", "show", path, "--json"]).stdout).unwrap();
    assert_eq!(shown["kid"], kid_of(&bytes));
    // Until it is certified, and with a certificate of somebody else, a hub signs nothing.
    let (first, second) = (new_signer(&hub), new_signer(&hub));
    let stranger = Root::make(&hub.dir.with_extension("stranger")).unwrap();
    let forged = file(&hub, "forged", &stranger.certify(&first.1, 9, system_wall()).unwrap());
    let install = |document: &str| {
        hub.command(&["license", "signer", "install", document, "--root", &format!("{path}.pub")])
    };
    assert!(!install(&forged).status.success());
    for days in ["0", "731"] {
        assert!(
            !run(&["license", "certify", &first.1, "--root", path, "--days", days])
                .status
                .success()
        );
    }
    for (kid, key) in [&first, &second] {
        let document = hub.dir.with_extension(format!("{kid}.crt"));
        let document = document.to_str().unwrap();
        let output = run(&["license", "certify", key, "--root", path, "-o", document]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let output = install(document);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let all = hub.json(&["license", "signer", "list"]);
    let all = all["signers"].as_array().unwrap();
    assert!(all.len() == 2 && all.iter().all(|row| row["certified"] == true), "{all:?}");
    hub.json(&["license", "signer", "drop", &second.0]);
    let kids: Vec<_> =
        hub.json(&["license", "signer", "list"])["signers"].as_array().unwrap().clone();
    assert_eq!(kids.len(), 1);
    let database = std::fs::read(hub.dir.join("hub.db")).unwrap();
    assert!(!database.windows(11).any(|w| w == b"PRIVATE KEY"), "it lies sealed");
}

fn new_signer(hub: &Hub) -> (String, String) {
    let made = hub.json(&["license", "signer", "new"]);
    (made["kid"].as_str().unwrap().into(), made["key"].as_str().unwrap().into())
}
