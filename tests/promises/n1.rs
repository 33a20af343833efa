//! N1: what is made anonymous is so before it is first written.

use crate::common::World;
use crate::common::agent::link_host;
use crate::common::net::{Line, VISITOR};
use crate::common::page::Page;
use crate::common::process::until_equal;
use crate::common::visitor::fetch;
use crate::common::watch::{files_with, holds};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Guard: `hub-mask`, where a line of the connection log is made.
///
/// The attack: not to wait until all is tidy, but to read every file all the while visits are written down.
#[test]
fn n1_no_file_holds_a_visitors_address_even_for_a_moment() {
    let world = World::new(Line::Direct);
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host("box"));
    let octets = VISITOR.parse::<Ipv4Addr>().expect("an address").octets();
    let over = AtomicBool::new(false);
    let (looks, found) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let (mut looks, mut found) = (0_u32, Vec::<PathBuf>::new());
            while !over.load(Ordering::Relaxed) {
                found.extend(files_with(world.hub.dir(), VISITOR.as_bytes()));
                found.extend(files_with(world.hub.dir(), &octets));
                looks += 1;
            }
            (looks, found)
        });
        for visits in 1..=20 {
            fetch(&world.net.visitor, &certificate, &url).ok();
            until_equal("the log", Duration::from_secs(10), &visits, || world.hub.rows("link_log"));
        }
        over.store(true, Ordering::Relaxed);
        watcher.join().expect("a watcher")
    });
    assert!(looks > 20, "it looked only {looks} times");
    assert_eq!(found, Vec::<PathBuf>::new(), "the visitor's whole address was written");
    assert!(!holds(world.hub.log_text().as_bytes(), VISITOR.as_bytes()), "the hub logged it");
    let log = files_with(world.hub.dir(), VISITOR.replace(".177", ".0").as_bytes());
    let is_log = |path: &PathBuf| path.to_string_lossy().ends_with("-wal");
    assert!(log.iter().any(is_log), "the search does not find the masked one in the log: {log:?}");
}
