//! Since when the box runs, how it came to, and how warm it is.

use super::Survey;
use crate::clock::Wall;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// The most starts that are listed.
const MOST_STARTS: usize = 30;
/// The part of `wtmp` that is read: some 5,000 entries.
const MOST_WTMP: u64 = 2 << 20;
/// A clock before 2000 was not set.
const YEAR_2000: u64 = 946_684_800;

/// Since when the box runs, and the starts before.
pub fn boot(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let uptime = survey.text("/proc/uptime");
    let seconds = uptime.split('.').next().unwrap_or_default();
    writeln!(to, "uptime_seconds: {seconds}")?;
    let stat = survey.text("/proc/stat");
    for name in ["btime", "processes", "procs_running", "procs_blocked"] {
        let value = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        if let Some(value) = value {
            writeln!(to, "{name}: {value}")?;
        }
    }
    for path in [
        "/sys/class/watchdog/watchdog0/bootstatus",
        "/proc/sys/kernel/random/boot_id",
        "/sys/power/wakeup_count",
    ] {
        let text = survey.text(path);
        if !text.is_empty() {
            writeln!(to, "{path}: {}", text.trim())?;
        }
    }
    if let Some(off) = hardware_clock(survey) {
        writeln!(to, "hardware_clock_off_seconds: {off}")?;
    }
    let words = survey.source.matches("/sys/fs/pstore/*").len();
    if words > 0 {
        writeln!(to, "the kernel left {words} last words of a fall: see logs/pstore.txt")?;
    }
    for start in starts(&wtmp(survey)).iter().rev().take(MOST_STARTS) {
        writeln!(to, "{start}")?;
    }
    Ok(())
}

/// How far the board's clock is from the system's; nothing where it keeps local time.
fn hardware_clock(survey: &Survey<'_>) -> Option<u64> {
    if !survey.source.root().is_live() || survey.text("/etc/adjtime").contains("LOCAL") {
        return None;
    }
    let board: u64 = survey.text("/sys/class/rtc/rtc0/since_epoch").trim().parse().ok()?;
    Some(u64::from(survey.source.clock().now().wall).abs_diff(board))
}

/// The end of the file in which starts and sign-ins are kept.
fn wtmp(survey: &Survey<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(mut file) = survey.source.open_log("/var/log", "wtmp".as_ref()) else { return bytes };
    let length = file.metadata().map_or(0, |known| known.len());
    let record = if length.is_multiple_of(384) { 384 } else { 400 };
    let skip = length.saturating_sub(MOST_WTMP).div_ceil(record) * record;
    let read =
        file.seek(SeekFrom::Start(skip)).and_then(|_| file.take(MOST_WTMP).read_to_end(&mut bytes));
    if read.is_err() {
        bytes.clear();
    }
    bytes
}

/// The starts in a `wtmp` (`utmp(5)`), the oldest first. Its entries have 384 bytes, or 400 where time has 64 bits.
fn starts(wtmp: &[u8]) -> Vec<String> {
    const RUN_LEVEL: [u8; 2] = 1_u16.to_le_bytes();
    const BOOT_TIME: [u8; 2] = 2_u16.to_le_bytes();
    let length = if wtmp.len().is_multiple_of(384) { 384 } else { 400 };
    let text = |bytes: &[u8]| -> String {
        let letters = bytes.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte));
        letters.filter(char::is_ascii_graphic).collect()
    };
    let (mut starts, mut before, mut is_ever_shut_down) = (Vec::new(), None, false);
    for record in wtmp.chunks_exact(length) {
        let (kind, user) = (&record[..2], text(&record[44..76]));
        if kind == RUN_LEVEL && user == "shutdown" {
            (before, is_ever_shut_down) = (Some(true), true);
        } else if kind == BOOT_TIME {
            let time = if length == 384 { record.get(340..344) } else { record.get(344..348) };
            let time =
                time.and_then(|four| four.first_chunk()).map(|four| u32::from_le_bytes(*four));
            starts.push((u64::from(time.unwrap_or_default()), text(&record[76..332]), before));
            before = Some(false);
        }
    }
    let told = |(time, kernel, before): (u64, String, Option<bool>)| {
        let when = Wall::from(time).rfc3339();
        let when = if time < YEAR_2000 { "at a time unknown".into() } else { when };
        // Systems that never note it are not taken to have crashed each time.
        let before = match before {
            Some(true) => ", shut down before",
            Some(false) if is_ever_shut_down => ", not shut down before",
            _ => "",
        };
        format!("start {when} kernel {kernel}{before}")
    };
    starts.into_iter().map(told).collect()
}

/// Every temperature in degrees, with its limit.
pub fn temperatures(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let value = |path: &str| survey.text(path).trim().parse::<i64>().ok();
    for path in survey.source.matches("/sys/class/hwmon/*/temp*_input") {
        let (dir, sensor) = path.rsplit_once('/').unwrap_or_default();
        let stem = sensor.strip_suffix("_input").unwrap_or(sensor);
        let Some(now) = value(&path) else { continue };
        let limit =
            value(&format!("{dir}/{stem}_crit")).or_else(|| value(&format!("{dir}/{stem}_max")));
        let name = survey.text(&format!("{dir}/name"));
        let label = survey.text(&format!("{dir}/{stem}_label"));
        let label = if label.trim().is_empty() { stem } else { label.trim() };
        warm(&format!("{} {label}", name.trim()), now, limit, to)?;
    }
    for zone in survey.source.matches("/sys/class/thermal/thermal_zone*") {
        let Some(now) = value(&format!("{zone}/temp")) else { continue };
        let points = survey.source.matches(&format!("{zone}/trip_point_*_type"));
        let limit = points.iter().find_map(|point| {
            let is_limit = matches!(survey.text(point).trim(), "critical" | "hot");
            is_limit.then(|| value(&point.replace("_type", "_temp"))).flatten()
        });
        warm(survey.text(&format!("{zone}/type")).trim(), now, limit, to)?;
    }
    Ok(())
}

/// Thousandths of a degree. A limit below 20 degrees is none: boards leave nonsense there.
fn warm(name: &str, now: i64, limit: Option<i64>, to: &mut dyn Write) -> io::Result<()> {
    let limit = limit.filter(|limit| *limit > 20_000);
    let degrees = |value: i64| format!("{}.{} C", value / 1000, value.rem_euclid(1000) / 100);
    match limit {
        Some(limit) if now >= limit => {
            writeln!(to, "{name}: {} of {} TOO HOT", degrees(now), degrees(limit))
        }
        Some(limit) => writeln!(to, "{name}: {} of {}", degrees(now), degrees(limit)),
        None => writeln!(to, "{name}: {}", degrees(now)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, user: &str, host: &str, time: u32) -> Vec<u8> {
        let mut record = vec![0; 384];
        record[0] = kind;
        record[44..44 + user.len()].copy_from_slice(user.as_bytes());
        record[76..76 + host.len()].copy_from_slice(host.as_bytes());
        record[340..344].copy_from_slice(&time.to_le_bytes());
        record
    }

    #[test]
    fn a_start_without_a_shutdown_before_it_is_seen() {
        let wtmp = [
            record(2, "reboot", "6.1.0", 1_795_305_600),
            record(7, "anna", "192.0.2.1", 1_795_305_700),
            record(1, "shutdown", "6.1.0", 1_795_305_800),
            record(2, "reboot", "6.1.0", 1_795_305_900),
            record(2, "reboot", "6.1.0", 1_795_392_000),
            record(2, "reboot", "6.1.0", 12),
        ];
        assert_eq!(
            starts(&wtmp.concat()),
            [
                "start 2026-11-22T00:00:00Z kernel 6.1.0",
                "start 2026-11-22T00:05:00Z kernel 6.1.0, shut down before",
                "start 2026-11-23T00:00:00Z kernel 6.1.0, not shut down before",
                "start at a time unknown kernel 6.1.0, not shut down before",
            ]
        );
        let never = [
            record(2, "reboot", "6.1.0", 1_795_305_600),
            record(2, "reboot", "6.1.0", 1_795_305_900),
        ];
        assert!(starts(&never.concat()).iter().all(|start| !start.contains("before")));
        assert_eq!(starts(&[1; 100]), Vec::<String>::new());
    }

    #[test]
    fn heat_is_judged_by_limits_that_can_be_believed() {
        let mut text = Vec::new();
        warm("a", 45_300, Some(100_000), &mut text).unwrap();
        warm("b", 101_000, Some(100_000), &mut text).unwrap();
        warm("c", 45_000, Some(0), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "a: 45.3 C of 100.0 C\nb: 101.0 C of 100.0 C TOO HOT\nc: 45.0 C\n");
    }
}
