//! Numbers for people who look rather than read: picked up from the clean lines while they are written.

use super::findings::Severity;
use crate::clock::Wall;
use crate::platform::facts;
use serde::Serialize;
use std::collections::BTreeMap;

/// The most bars of one chart.
const MOST_ROWS: usize = 40;
/// The most moments that are kept for the timeline.
const MOST_MOMENTS: usize = 20_000;
/// The most bytes of the kernel's table of arrays that are kept.
const MOST_TABLE: usize = 32 * 1024;
const DAY: u64 = 86_400;
/// How far back the timeline goes.
const DAYS: u64 = 60;

/// A file system's room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Room {
    /// Where it is mounted.
    pub point: String,
    /// Its kind.
    pub kind: String,
    /// All of it, in KiB.
    pub size_kib: u64,
    /// What is free, in KiB.
    pub free_kib: u64,
    /// What is used, in per cent.
    pub used_percent: u64,
}

/// What happened at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// The box started.
    Start,
    /// A line that is worth knowing.
    Note,
    /// A line that will be a fault.
    Warning,
    /// A line that is one.
    Fault,
}

/// What was picked up.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Gauges {
    /// Seconds since the start.
    pub uptime_seconds: Option<u64>,
    /// Processes at work on average over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Processors.
    pub processors: u32,
    /// `/proc/meminfo`, in KiB.
    pub memory_kib: BTreeMap<&'static str, u64>,
    /// The share of time in which something waited for cpu, memory or io, over 10, 60 and 300 seconds.
    pub pressure: BTreeMap<String, [f64; 3]>,
    /// File systems.
    pub rooms: Vec<Room>,
    /// Temperatures: what, how warm, and its limit.
    pub temperatures: Vec<(String, f64, Option<f64>)>,
    /// Disks, as their line says.
    pub disks: Vec<String>,
    /// Addresses of this box.
    pub addresses: Vec<String>,
    /// Arrays: name, level, places, members at work, and what is done with them.
    #[serde(skip)]
    pub table: String,
    /// What happened when, in seconds since 1970.
    #[serde(skip)]
    pub moments: Vec<(u64, Moment)>,
    #[serde(skip)]
    now: u64,
    #[serde(skip)]
    started: Option<u64>,
    #[serde(skip)]
    pressed: String,
}

/// What is taken of `/proc/meminfo`.
const MEMORY: [&str; 7] =
    ["MemTotal", "MemFree", "MemAvailable", "Buffers", "Cached", "SwapTotal", "SwapFree"];

impl Gauges {
    /// For a report that is made now.
    pub fn new(now: Wall) -> Self {
        Self { now: now.into(), ..Self::default() }
    }

    /// Takes a line of a section, and how bad it is.
    pub fn line(&mut self, path: &str, line: &str, found: Option<Severity>) {
        match path {
            "system/boot.txt" => self.boot(line),
            "system/cpu.txt" if line.starts_with("processor") => self.processors += 1,
            "system/memory.txt" => self.memory(line),
            "system/load.txt" => self.load(line),
            "system/temperatures.txt" => self.temperature(line),
            "storage/space.txt" => self.room(line),
            "storage/health.txt" if line.contains(" verdict=") && !line.contains(" attribute ") => {
                keep(&mut self.disks, line.to_owned());
            }
            "storage/raid.txt" if self.table.len() < MOST_TABLE => {
                self.table.push_str(line);
                self.table.push('\n');
            }
            "network/addresses.txt" if line.contains(" inet") && !line.starts_with("lo ") => {
                keep(&mut self.addresses, line.to_owned());
            }
            path if path.starts_with("logs/") => self.log(line, found),
            _ => {}
        }
    }

    fn boot(&mut self, line: &str) {
        let number = |name: &str| line.strip_prefix(name)?.trim().parse::<u64>().ok();
        if let Some(seconds) = number("uptime_seconds:") {
            self.uptime_seconds = Some(seconds);
        } else if let Some(seconds) = number("btime:") {
            self.started = Some(seconds);
            self.moment(seconds, Moment::Start);
        } else if let Some(at) = line.strip_prefix("start ").and_then(|at| moment(at, self.now)) {
            self.moment(at, Moment::Start);
        }
    }

    fn memory(&mut self, line: &str) {
        let Some((name, rest)) = line.split_once(':') else { return };
        let known = MEMORY.iter().find(|known| **known == name);
        let kib = rest.trim().strip_suffix(" kB").and_then(|kib| kib.parse().ok());
        if let (Some(name), Some(kib)) = (known, kib) {
            self.memory_kib.entry(name).or_insert(kib);
        }
    }

    /// `/proc/loadavg` is three numbers and `1/234 5678`; `/proc/pressure` says `some avg10=0.00 avg60=0.00 …`.
    fn load(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        if let Some(path) = line.strip_prefix("# /proc/pressure/") {
            self.pressed = path.to_owned();
        } else if words.len() == 5 && self.load.is_none() && words[3].contains('/') {
            let three = [words[0], words[1], words[2]].map(|word| word.parse::<f64>().ok());
            if let [Some(one), Some(five), Some(fifteen)] = three {
                self.load = Some([one, five, fifteen]);
            }
        } else if words[0] == "some" && self.pressure.len() < 8 {
            let share = |name: &str| {
                let word = words.iter().find_map(|word| word.strip_prefix(name));
                word.and_then(|share| share.parse::<f64>().ok()).unwrap_or_default()
            };
            let shares = ["avg10=", "avg60=", "avg300="].map(share);
            self.pressure.insert(self.pressed.clone(), shares);
        }
    }

    /// `coretemp Core 0: 45.0 C of 100.0 C`.
    fn temperature(&mut self, line: &str) {
        let Some((name, rest)) = line.rsplit_once(": ") else { return };
        let mut numbers = rest.split(' ').filter_map(|word| word.parse::<f64>().ok());
        if let Some(now) = numbers.next() {
            keep(&mut self.temperatures, (name.to_owned(), now, numbers.next()));
        }
    }

    fn room(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [size, free, used, _, kind, ref point @ ..] = *words else { return };
        let number = |word: &str| word.parse::<u64>().ok();
        let (Some(size_kib), Some(free_kib), Some(used_percent)) =
            (number(size), number(free), number(used))
        else {
            return;
        };
        let is_disk = !matches!(kind, "tmpfs" | "ramfs" | "squashfs" | "overlay" | "devtmpfs");
        if is_disk && size_kib > 0 {
            let (point, kind) = (point.join(" "), kind.to_owned());
            keep(&mut self.rooms, Room { point, kind, size_kib, free_kib, used_percent });
        }
    }

    fn log(&mut self, line: &str, found: Option<Severity>) {
        let what = match found {
            Some(Severity::Fault) => Moment::Fault,
            Some(Severity::Warning) => Moment::Warning,
            Some(Severity::Note) => Moment::Note,
            None if line.contains("kernel: ") && line.contains("Linux version ") => Moment::Start,
            None => return,
        };
        let since_start = || {
            let seconds = line.strip_prefix('<')?.split_once('[')?.1.split('.').next()?;
            Some(self.started? + seconds.trim().parse::<u64>().ok()?)
        };
        if let Some(at) = moment(line, self.now).or_else(since_start) {
            self.moment(at, what);
        }
    }

    fn moment(&mut self, at: u64, what: Moment) {
        let is_shown = at <= self.now + DAY && at + DAYS * DAY > self.now;
        if is_shown && self.moments.len() < MOST_MOMENTS {
            self.moments.push((at, what));
        }
    }

    /// The arrays of the kernel's table.
    pub fn arrays(&self) -> Vec<facts::Array> {
        facts::arrays(&self.table)
    }

    /// When the report was made, in seconds since 1970.
    pub const fn now(&self) -> u64 {
        self.now
    }
}

fn keep<T>(list: &mut Vec<T>, one: T) {
    if list.len() < MOST_ROWS {
        list.push(one);
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The time at the beginning of a line of a log: `2026-11-22T10:00:01…`, `2026-11-22 10:00:01` or `Nov 22 10:00:01`,
/// which leaves out the year: it is the last such day. Time zones are not known, and not needed to a day.
fn moment(line: &str, now: u64) -> Option<u64> {
    let clock = |text: &str| {
        let part = |at: usize| text.get(at..at + 2)?.parse::<u64>().ok();
        let colons = text.as_bytes().get(2) == Some(&b':') && text.as_bytes().get(5) == Some(&b':');
        let seconds = part(0)? * 3600 + part(3)? * 60 + part(6)?;
        (colons && seconds < DAY).then_some(seconds)
    };
    let day = |date: &str| Wall::from_date(date).map(u64::from);
    if let Some(midnight) = line.get(..10).and_then(day) {
        return Some(midnight + clock(line.get(11..)?)?);
    }
    let month = MONTHS.iter().position(|month| line.get(..3) == Some(month))? + 1;
    let number: u64 = line.get(4..6)?.trim().parse().ok()?;
    let seconds = clock(line.get(7..)?)?;
    let this_year: u64 = Wall::from(now).rfc3339().get(..4)?.parse().ok()?;
    let of = |year: u64| day(&format!("{year:04}-{month:02}-{number:02}")).map(|day| day + seconds);
    of(this_year).filter(|at| *at <= now + DAY).or_else(|| of(this_year.checked_sub(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T12:00:00Z.
    const NOW: u64 = 1_795_305_600 + 43_200;

    #[test]
    fn times_are_read_as_logs_write_them() {
        let at = |line: &str| moment(line, NOW).map(|at| Wall::from(at).rfc3339());
        for (line, wanted) in [
            ("2026-11-20T10:00:01.123456+01:00 nas x", "2026-11-20T10:00:01Z"),
            ("2026-11-20 10:00:01 status installed", "2026-11-20T10:00:01Z"),
            ("Nov  2 10:00:01 nas x", "2026-11-02T10:00:01Z"),
            ("Dec 24 10:00:01 nas x", "2025-12-24T10:00:01Z"),
        ] {
            assert_eq!(at(line).as_deref(), Some(wanted), "{line}");
        }
        for odd in
            ["", "Nov", "Nov 99 10:00:01", "2026-11-20", "2026-11-20 99:99:99", "Größe 1:1:1é"]
        {
            assert_eq!(at(odd), None, "{odd}");
        }
    }

    #[test]
    fn numbers_are_picked_up_from_their_sections() {
        let mut gauges = Gauges::new(Wall::from(NOW));
        for (path, line) in [
            ("system/boot.txt", "uptime_seconds: 7200"),
            ("system/boot.txt", "btime: 1795341600"),
            ("system/cpu.txt", "processor\t: 0"),
            ("system/memory.txt", "MemTotal:        2048 kB"),
            ("system/load.txt", "0.50 0.40 0.30 1/234 5678"),
            ("system/load.txt", "# /proc/pressure/io"),
            ("system/load.txt", "some avg10=1.50 avg60=0.50 avg300=0.10 total=1"),
            ("system/temperatures.txt", "coretemp Core 0: 45.0 C of 100.0 C"),
            ("storage/space.txt", "      SIZE KiB       FREE KiB USE% INODE% TYPE     MOUNTED ON"),
            ("storage/space.txt", "       1000          50   95      3 ext4     /my data"),
            ("storage/space.txt", "       1000          50   95      3 tmpfs    /run"),
            ("storage/raid.txt", "md1 : active raid1 sda1[0]"),
            ("storage/raid.txt", "      100 blocks [2/1] [U_]"),
            ("storage/health.txt", "/dev/sda kind=ata verdict=ok"),
            ("storage/health.txt", "/dev/sda attribute 5 x verdict=FAILING raw=1"),
        ] {
            gauges.line(path, line, None);
        }
        gauges.line("logs/kernel.txt", "<3>[  60.5] I/O error, dev sda", Some(Severity::Fault));
        gauges.line("logs/system.txt", "Jan  1 00:00:00 long ago", Some(Severity::Fault));
        assert_eq!((gauges.uptime_seconds, gauges.processors), (Some(7200), 1));
        assert_eq!(gauges.load, Some([0.5, 0.4, 0.3]));
        assert_eq!(gauges.pressure["io"], [1.5, 0.5, 0.1]);
        assert_eq!(gauges.memory_kib["MemTotal"], 2048);
        assert_eq!(gauges.temperatures, [("coretemp Core 0".to_owned(), 45.0, Some(100.0))]);
        let [room] = &*gauges.rooms else { panic!("{:?}", gauges.rooms) };
        assert_eq!((&*room.point, room.used_percent), ("/my data", 95));
        assert!(gauges.arrays()[0].is_degraded());
        assert_eq!(gauges.disks.len(), 1);
        let started = 1_795_341_600;
        assert_eq!(gauges.moments, [(started, Moment::Start), (started + 60, Moment::Fault)]);
    }
}
