//! How fast a log is scrubbed: prints megabytes in a second and what was redacted, and judges nothing.
//!
//! `cargo bench --bench scrub [-- MEGABYTES]`; the default is 100.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement"
)]

use qcloud_agent::report::scrub::Scrubber;
use qcloud_agent::report::scrub::dictionary::Dictionary;
use qcloud_agent::report::scrub::stream::Scrubbed;
use std::io::Write;

/// Lines as logs have them: most without anything to hide.
const LINES: &[&str] = &[
    "Nov 22 10:00:01 nas kernel: [12345.678901] EXT4-fs (sda1): mounted filesystem with ordered data mode. Quota mode: none.",
    "Nov 22 10:00:02 nas systemd[1]: Started Session 42 of user anna.",
    "Nov 22 10:00:02 nas sshd[4242]: Failed password for invalid user test from 10.0.0.9 port 51022 ssh2",
    "Nov 22 10:00:03 nas smbd[77]: [2026/11/22 10:00:03.123456, 1] ../../source3/smbd/service.c:1130(close_cnum) anna-pc closed connection to service Public",
    "Nov 22 10:00:04 nas kernel: ata1.00: exception Emask 0x0 SAct 0x7fffffff SErr 0x0 action 0x6 frozen",
    "10.0.0.9 - - [22/Nov/2026:10:00:00 +0000] \"GET /photo/index.html?id=77&size=large HTTP/1.1\" 200 5123 \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
    "Nov 22 10:00:05 nas CRON[991]: (root) CMD (/usr/sbin/logrotate /etc/logrotate.conf)",
    "Nov 22 10:00:06 nas dhclient[1]: DHCPREQUEST for 192.168.1.20 on eth0 to 192.168.1.1 port 67",
    "Nov 22 10:00:07 nas app[12]: {\"level\":\"info\",\"user\":\"anna\",\"path\":\"/share/Public/a.jpg\",\"ms\":12}",
    "Nov 22 10:00:08 nas qpkg: installed commit 9fceb02d0ae598e95dc970b74767f19372d61af8 of App_1.2.3_x86_64.qpkg",
];
const HIDDEN: &str = "Nov 22 10:00:09 nas app[1]: connecting with password=Wolke7kranich to https://anna:geheim7@example.net/";

fn main() {
    let megabytes =
        std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(100_usize);
    let mut log = String::new();
    for number in 0.. {
        if log.len() >= 1 << 20 {
            break;
        }
        log.push_str(if number % 200 == 199 { HIDDEN } else { LINES[number % LINES.len()] });
        log.push('\n');
    }
    let one_line: String = log.replace('\n', " ");
    for (name, text) in [("lines", &log), ("one line without an end", &one_line)] {
        let scrubber = Scrubber::new(dictionary(), &[7; 32]);
        let mut stream = Scrubbed::new(&scrubber, std::io::sink());
        let begun = processor();
        for _ in 0..megabytes {
            stream.write_all(text.as_bytes()).unwrap();
        }
        let (_, counts) = stream.finish().unwrap();
        let seconds = processor() - begun;
        let size = f64::from(u32::try_from(megabytes).unwrap());
        let redacted: u64 = counts.values().sum();
        println!(
            "{name}: {:.1} MB/s ({megabytes} MB in {seconds:.2} s, {redacted} redacted)",
            size / seconds
        );
    }
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("memory: {peak}");
}

/// Seconds of processor time of this process: the machine may be busy.
fn processor() -> f64 {
    let spent = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    let nanoseconds: u64 = spent.split(' ').next().unwrap().parse().unwrap();
    std::time::Duration::from_nanos(nanoseconds).as_secs_f64()
}

fn dictionary() -> Dictionary {
    let mut dictionary = Dictionary::default();
    for number in 0..300 {
        dictionary.add(format!("Secret-{number}-of-the-box").as_bytes());
    }
    dictionary
}
