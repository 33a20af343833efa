//! `egress reconcile` against a real kernel: a mixed load in namespaces, then a program that opens its own socket.
//!
//! QCLOUD_RECONCILE_SECONDS sets how long the load lasts (40 without it, 180 for the full run).
//! Needs what `common` needs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod common;

use common::World;
use common::agent::{Agent, link_host};
use common::net::{DEVICE, HUB, Line, Place};
use common::process::{Ran, run};
use common::visitor::curl;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Another address for the device's line.
const MOVED: &str = "203.0.113.11";
/// Bytes of one download and of one upload.
const DOWNLOAD: usize = 2_000_000;
const UPLOAD: usize = 1_000_000;

/// A service that gives as many bytes as its path says, and takes as many as it is sent.
fn service(place: &Place) -> String {
    let listener = place.inside(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A visitor whose hub was killed is gone, which is no failure of the service.
            std::thread::spawn(move || drop(serve(stream)));
        }
    });
    url
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if first.is_empty() {
            first.clone_from(&line);
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length])?;
    let path = first.split(' ').nth(1).unwrap_or_default();
    let give: usize = path.trim_start_matches('/').parse().unwrap_or(0);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {give}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&vec![7; give])
}

/// Packets as on a wire on both ends of the device's line, a queue as a network card has, and counters of
/// nftables behind it.
fn wire(world: &World) {
    let (device, router) = (&world.net.device, &world.net.router);
    device.ip("link set eth0 gso_max_segs 1");
    router.ip("link set d0 gso_max_segs 1");
    device.tool("tc", &["qdisc", "replace", "dev", "eth0", "root", "pfifo_fast"]);
    for (place, port) in [(router, "d0"), (device, "eth0")] {
        let rules = format!(
            "table netdev wire {{ chain in {{ type filter hook ingress device {port} priority 0; \
             meta protocol {{ ip, ip6 }} counter; }}; }}"
        );
        place.tool("nft", &[&rules]);
    }
}

/// Bytes of IP packets that came in there.
fn wired(place: &Place) -> u64 {
    let text = place.tool("nft", &["list", "table", "netdev", "wire"]);
    let after = text.split_once(" bytes ").map(|(_, rest)| rest).unwrap();
    after.split_whitespace().next().unwrap().parse().unwrap()
}

fn load(world: &mut World, agent: &Agent, certificate: &Path, seconds: u64) -> u64 {
    let upload = world.scratch.path("upload");
    std::fs::write(&upload, vec![b'u'; UPLOAD]).unwrap();
    let upload = format!("@{}", upload.display());
    let host = format!("https://{}", link_host("box"));
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut down = curl(&world.net.visitor, certificate, &format!("{host}/{DOWNLOAD}"));
        down.args(["--output", "/dev/null", "--write-out", "%{size_download}"]);
        assert_eq!(run(down, Duration::from_secs(30)).ok(), DOWNLOAD.to_string());
        let mut up = curl(&world.net.visitor, certificate, &format!("{host}/0"));
        up.args(["--header", "expect:", "--data-binary", &upload]);
        run(up, Duration::from_secs(30)).ok();
        match rounds % 4 {
            0 => world.net.move_device(DEVICE, MOVED),
            1 => {
                world.hub.kill();
                std::thread::sleep(Duration::from_secs(1));
                world.hub.serve();
            }
            2 => world.net.move_device(MOVED, DEVICE),
            _ => {
                agent.ok(&["ddns", "off"]);
                agent.ok(&["ddns", "on"]);
            }
        }
        std::thread::sleep(Duration::from_secs(2));
        agent.wait_for_link();
        rounds += 1;
    }
    rounds
}

#[allow(clippy::print_stderr, reason = "the numbers are the point of the full run")]
fn reconcile(agent: &Agent) -> (Ran, Value) {
    let ran = agent.command(&["egress", "reconcile"]);
    let found: Value = serde_json::from_str(ran.stdout.trim()).unwrap_or_default();
    eprintln!("up {}\ndown {}\n{}", found["up"], found["down"], ran.stderr);
    eprintln!("{}\n{}", found["rows"], found["inside"]);
    (ran, found)
}

fn seconds() -> u64 {
    std::env::var("QCLOUD_RECONCILE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

#[test]
fn a_mixed_load_is_explained_within_three_percent_and_another_programs_socket_is_not() {
    let mut world = World::new(Line::Direct);
    wire(&world);
    let url = service(&world.net.device);
    let agent = world.member("box", "[ddns]\nenabled = true");
    let certificate = agent.link_up(&url);
    let rounds = load(&mut world, &agent, &certificate, seconds());
    std::thread::sleep(Duration::from_secs(1));

    let (ran, found) = reconcile(&agent);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for way in ["up", "down"] {
        let off = found[way]["difference_per_mille"].as_i64().unwrap();
        assert!(off.abs() <= 30, "{way}: {off} per mille");
    }
    let moved = |way: &str| found[way]["kernel"].as_u64().unwrap();
    let most = u64::try_from(DOWNLOAD).unwrap() * rounds;
    assert!(moved("up") > most, "what visitors download goes up: {found}");
    assert!(found["inside"].to_string().contains("link.origin"), "{found}");
    for (way, place) in [("up", &world.net.router), ("down", &world.net.device)] {
        let (kernel, wire) = (moved(way), wired(place));
        assert!(kernel.abs_diff(wire) < wire / 100, "{way}: {kernel}, on the wire {wire}");
    }

    // 2 MB and more than 3 % of what went before, from a program that asked nobody.
    let packets = 1500 + moved("up") / 30 / 1400;
    let script = format!(
        "exec 3>/dev/udp/{HUB}/9; for i in $(seq {packets}); do printf %01400d 0 >&3; done; true"
    );
    let mut rogue = world.net.device.command("bash");
    rogue.args(["-c", &script]);
    run(rogue, Duration::from_secs(60)).ok();
    let (ran, found) = reconcile(&agent);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(found["up"]["verdict"], "unexplained", "{found}");
    assert!(ran.stderr.contains("something undeclared"), "{}", ran.stderr);
}
