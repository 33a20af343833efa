//! A hub that crashes or is started anew, with the tunnel as it is by default: idle, a heartbeat every 25 s.

use crate::common::World;
use crate::common::agent::{Agent, link_host};
use crate::common::net::Line;
use crate::common::page::Page;
use crate::common::process::run;
use crate::common::visitor::curl;
use std::path::Path;
use std::time::{Duration, Instant};

/// The budget for a hub restart: what a person waits without wondering.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// How long after `since` a visitor gets the page again.
fn back_after(world: &World, certificate: &Path, since: Instant) -> Duration {
    let url = format!("https://{}/", link_host("box"));
    loop {
        let mut visit = curl(&world.net.visitor, certificate, &url);
        visit.args(["--max-time", "3"]);
        let ran = run(visit, Duration::from_secs(10));
        if ran.code == Some(0) && ran.stdout == "a page" {
            let taken = since.elapsed();
            tell(taken);
            return taken;
        }
        assert!(since.elapsed() < Duration::from_secs(40), "the tunnel is not back: {ran:?}");
    }
}

#[allow(clippy::print_stdout, reason = "a measurement, shown with --nocapture")]
fn tell(taken: Duration) {
    println!("a visitor got the page after {taken:?}");
}

fn idle(world: &World) -> (Agent, Page, std::path::PathBuf) {
    let agent = world.member("box", "");
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    back_after(world, &certificate, Instant::now());
    // The heartbeats of the visit are over, the idle ones are far apart.
    std::thread::sleep(Duration::from_secs(3));
    (agent, page, certificate)
}

#[test]
fn the_tunnel_is_back_two_seconds_after_a_hub_that_was_killed() {
    for down in [Duration::ZERO, Duration::from_secs(6)] {
        let mut world = World::new(Line::Nat);
        let (_agent, _page, certificate) = idle(&world);
        world.hub.kill();
        std::thread::sleep(down);
        world.hub.serve();
        let back = back_after(&world, &certificate, Instant::now());
        assert!(back <= BACK_WITHIN, "down for {down:?}, the tunnel took {back:?}");
    }
}

#[test]
fn the_tunnel_is_back_two_seconds_after_a_hub_that_was_started_anew() {
    let mut world = World::new(Line::Nat);
    let (_agent, _page, certificate) = idle(&world);
    assert!(world.hub.stop().success(), "the hub did not stop in order");
    world.hub.serve();
    let back = back_after(&world, &certificate, Instant::now());
    assert!(back <= BACK_WITHIN, "the tunnel took {back:?}");
}
