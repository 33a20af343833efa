//! How the disks are, asked of each by itself and of all at once, so that one that hangs holds up no other.

use super::Survey;
use crate::platform::health::ata::{Attribute, Identity};
use crate::platform::health::nvme::Health;
use crate::platform::health::{Told, ask_ata, ask_nvme};
use core::time::Duration;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::channel;

/// How long all of them may take together.
const TIME: Duration = Duration::from_secs(8);
/// The most disks that are asked.
const MOST_DISKS: usize = 64;

/// The health of every disk: a line for the disk, and one for each of its attributes.
pub fn health(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let root = survey.source.root();
    let blocks = root.names("/sys/block").unwrap_or_default();
    let mut devices: Vec<String> = blocks.iter().filter_map(|name| device(name)).collect();
    devices.dedup();
    if !root.is_live() {
        return Ok(());
    }
    if devices.is_empty() {
        return writeln!(to, "no disk of this box has a health to ask for");
    }
    let (sender, answers) = channel();
    let mut told: Vec<Option<io::Result<Told>>> = Vec::new();
    let mut asked = 0;
    for (number, path) in devices.iter().take(MOST_DISKS).enumerate() {
        told.push(None);
        match root.device(path) {
            Ok(file) => {
                let (sender, is_nvme) = (sender.clone(), path.starts_with("/dev/nvme"));
                // A disk that hangs holds its thread until the kernel gives it up; nobody waits for that.
                std::thread::spawn(move || {
                    // Nobody listens any more when it comes too late.
                    let _ = sender.send((number, ask(file, is_nvme)));
                });
                asked += 1;
            }
            Err(error) => told[number] = Some(Err(error)),
        }
    }
    let clock = survey.source.clock();
    let until = clock.now().boot + TIME;
    for _ in 0..asked {
        let left = until.0.saturating_sub(clock.now().boot.0);
        let Ok((number, answer)) = answers.recv_timeout(left) else { break };
        told[number] = Some(answer);
    }
    let mut denied = None;
    for (path, told) in devices.iter().zip(told) {
        match told {
            Some(Ok(told)) => to.write_all(lines(path, &told).as_bytes())?,
            Some(Err(error)) => {
                writeln!(to, "{path} verdict=unknown ({error})")?;
                if error.kind() == io::ErrorKind::PermissionDenied {
                    denied = Some(error);
                }
            }
            None => writeln!(to, "{path} verdict=unknown (no answer within {} s)", TIME.as_secs())?,
        }
    }
    denied.map_or(Ok(()), Err)
}

fn ask(mut file: File, is_nvme: bool) -> io::Result<Told> {
    if is_nvme { ask_nvme(&mut file) } else { ask_ata(&mut file) }
}

/// What is asked for a block device: the disk, or the controller of an NVMe one.
fn device(block: &str) -> Option<String> {
    if let Some(rest) = block.strip_prefix("nvme") {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        return Some(format!("/dev/nvme{}", rest.get(..digits)?));
    }
    let is_disk = ["sd", "hd"].iter().any(|kind| block.starts_with(kind));
    is_disk.then(|| format!("/dev/{block}"))
}

fn lines(path: &str, told: &Told) -> String {
    match told {
        Told::Sleeps => format!("{path} kind=ata verdict=unknown (it sleeps, and was not woken)\n"),
        Told::Ata(identity, verdict, attributes) => ata_lines(path, identity, *verdict, attributes),
        Told::Nvme(who, health) => nvme_lines(path, who, health),
    }
}

fn ata_lines(
    path: &str,
    identity: &Identity,
    verdict: Option<bool>,
    attributes: &[Attribute],
) -> String {
    let raw = |id: u8| attributes.iter().find(|one| one.id == id).map(|one| one.raw);
    let failing = verdict == Some(false) || attributes.iter().any(Attribute::is_failing);
    let verdict = match (failing, verdict, attributes.is_empty()) {
        (true, _, _) => "FAILING",
        (false, None, true) => "unknown",
        (false, _, _) => "ok",
    };
    let mut text = format!("{path} kind=ata verdict={verdict}");
    // Writing to a String does not fail.
    if let Some(raw) = raw(194).or_else(|| raw(190)) {
        let _ = write!(text, " temperature={}", raw & 0xff);
    }
    if let Some(hours) = raw(9) {
        let _ = write!(text, " hours={}", hours & 0xffff_ffff);
    }
    match identity.rotation {
        Some(0) => text.push_str(" solid-state"),
        Some(turns) => drop(write!(text, " rpm={turns}")),
        None => {}
    }
    let (model, serial, firmware) = (&identity.model, &identity.serial, &identity.firmware);
    let _ = writeln!(text, " model=\"{model}\" serial={serial} firmware={firmware}");
    for one in attributes {
        let mark = if one.is_failing() { " verdict=FAILING" } else { "" };
        let Attribute { id, value, worst, threshold, raw, .. } = one;
        let name = one.name();
        let _ = writeln!(
            text,
            "{path} attribute {id} {name} value={value} worst={worst} threshold={threshold}{mark} raw={raw}"
        );
    }
    text
}

fn nvme_lines(path: &str, [serial, model, firmware]: &[String; 3], health: &Health) -> String {
    let verdict = if health.is_failing() { "FAILING" } else { "ok" };
    let warm = health.temperature.map(|degrees| format!(" temperature={degrees}"));
    format!(
        "{path} kind=nvme verdict={verdict}{} hours={} solid-state model=\"{model}\" serial={serial} \
         firmware={firmware}\n\
         {path} used_percent={} spare_percent={} spare_least_percent={} written_bytes={} read_bytes={} \
         power_cycles={} unsafe_shutdowns={} error_entries={} warnings={:#04x} media_errors={}\n",
        warm.unwrap_or_default(),
        health.hours,
        health.used_percent,
        health.spare_percent,
        health.spare_least_percent,
        health.written_bytes,
        health.read_bytes,
        health.power_cycles,
        health.unsafe_shutdowns,
        health.error_entries,
        health.warnings,
        health.media_errors
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::health::{ata, nvme};

    #[test]
    fn a_disk_is_told_in_lines_that_can_be_searched() {
        let identity = ata::Identity {
            model: "WDC WD40EFRX".into(),
            serial: "WD-1".into(),
            firmware: "82".into(),
            rotation: Some(5400),
            has_smart: true,
        };
        let one =
            ata::Attribute { id: 5, is_vital: true, value: 9, worst: 9, threshold: 10, raw: 800 };
        let text = lines("/dev/sda", &Told::Ata(identity, Some(true), vec![one]));
        assert_eq!(
            text,
            "/dev/sda kind=ata verdict=FAILING rpm=5400 model=\"WDC WD40EFRX\" serial=WD-1 firmware=82\n\
             /dev/sda attribute 5 Reallocated_Sector_Ct value=9 worst=9 threshold=10 verdict=FAILING raw=800\n"
        );
        let mut page = [0; 512];
        page[160] = 2;
        let health = nvme::health(&page).unwrap();
        let text = lines("/dev/nvme0", &Told::Nvme(["S".into(), "M".into(), "F".into()], health));
        assert!(text.ends_with("media_errors=2\n"), "{text}");
    }

    #[test]
    fn what_is_asked_is_the_disk_or_its_controller() {
        assert_eq!(device("nvme10n1").as_deref(), Some("/dev/nvme10"));
        assert_eq!(device("sdab").as_deref(), Some("/dev/sdab"));
        assert_eq!((device("vda"), device("md0"), device("loop0")), (None, None, None));
    }
}
