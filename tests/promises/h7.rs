//! H7: what was erased is in no file of the hub any more: database, write-ahead log, free pages, logs.

use crate::ask::Papers;
use crate::common::World;
use crate::common::agent::link_host;
use crate::common::net::{DEVICE, Line, VISITOR};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::fetch;
use crate::common::watch::files_with;
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::hub::config::Config;
use qcloud_agent::hub::seal_key;
use ring::digest::{SHA256, digest};
use std::path::PathBuf;
use std::time::Duration;

/// A name that nothing else spells.
const NAME: &str = "gone-for-good-3e81";

/// Guard: `hub-log-emptied`, by which erased bytes leave the write-ahead log too.
///
/// The attack: whoever takes the disk away in the very moment, in which the hub dies and tidies nothing up.
#[test]
fn h7_not_a_byte_of_an_erased_device_is_left_in_any_file() {
    let mut world = World::new(Line::Direct);
    let agent = world.member(NAME, "");
    let papers = Papers::of(&agent);
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host(NAME));
    // Enough lines of the log that pages become free when they go.
    for visits in 1..=40 {
        fetch(&world.net.visitor, &certificate, &url).ok();
        until_equal("the log", Duration::from_secs(10), &visits, || world.hub.rows("link_log"));
    }
    until_equal("the update", Duration::from_secs(10), &1, || world.hub.rows("ddns"));

    let spki = papers.spki();
    let masked = VISITOR.replace(".177", ".0");
    let config = Config::load(world.hub.dir()).expect("its configuration");
    let seal = seal_key::load(world.hub.dir(), &config).expect("its key");
    let traces: [(&str, Vec<u8>); 6] = [
        ("what its name is found by", seal.index("device.name", NAME).to_vec()),
        ("its id", agent.id().into_bytes()),
        ("its key", spki.clone()),
        ("the bare key", spki[12..].to_vec()),
        ("the key's hash", digest(&SHA256, &spki).as_ref().to_vec()),
        ("its visitors' network", masked.into_bytes()),
    ];
    for (what, bytes) in &traces {
        assert!(!files_with(world.hub.dir(), bytes).is_empty(), "the search does not find {what}");
    }
    agent.ok(&["unregister"]);
    world.hub.kill();
    let sent = BASE64URL_NOPAD.encode(&spki).into_bytes();
    // Sealed, these two were never to be found.
    let sealed = [("its name", NAME.into()), ("its address", DEVICE.into())];
    for (what, bytes) in traces.iter().chain(&sealed).chain([&("its key as it is sent", sent)]) {
        let left = files_with(world.hub.dir(), bytes);
        assert_eq!(left, Vec::<PathBuf>::new(), "{what} is left");
    }
}
