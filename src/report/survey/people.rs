//! Users, packages, services, what is done when, and certificates: names and facts, never what opens anything.

use super::Survey;
use std::io::{self, Write};

/// Users with what may be known of their passwords, and groups with their members.
pub fn users(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    let shadow = survey.text("/etc/shadow");
    for line in survey.text("/etc/passwd").lines() {
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default();
        let (user, group) = (fields.nth(1).unwrap_or_default(), fields.next().unwrap_or_default());
        let shell = line.rsplit(':').next().unwrap_or_default();
        let kept = shadow.lines().find(|line| line.split(':').next() == Some(name));
        writeln!(to, "user {name} uid={user} gid={group} shell={shell} {}", password(kept))?;
    }
    for line in survey.text("/etc/group").lines() {
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default();
        let number = fields.nth(1).unwrap_or_default();
        writeln!(to, "group {name} gid={number} members={}", fields.next().unwrap_or_default())?;
    }
    Ok(())
}

/// What may be known of a password: how it is hashed, whether it is locked, and when it was changed.
fn password(line: Option<&str>) -> String {
    let Some(line) = line else { return "credential=unknown".into() };
    let mut fields = line.split(':');
    let hash = fields.nth(1).unwrap_or_default();
    let changed = fields.next().unwrap_or_default();
    let scheme = match hash.trim_start_matches('!') {
        "" => "none",
        "*" | "x" => "locked",
        hash => match hash.split('$').nth(1) {
            Some("1") => "md5crypt",
            Some("5") => "sha256crypt",
            Some("6") => "sha512crypt",
            Some("y" | "gy" | "7") => "yescrypt",
            Some("2a" | "2b" | "2y") => "bcrypt",
            Some(_) => "other",
            None => "descrypt",
        },
    };
    let locked = if hash.starts_with('!') || hash.starts_with('*') { "yes" } else { "no" };
    format!("scheme={scheme} locked={locked} changed_day={changed}")
}

/// What is installed, by each of the package managers of a NAS.
pub fn packages(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    for path in [
        "/var/lib/dpkg/status",
        "/opt/lib/opkg/status",
        "/usr/lib/opkg/status",
        "/lib/apk/db/installed",
    ] {
        let mut name = String::new();
        for line in survey.text(path).lines() {
            match line.split_once(": ").or_else(|| line.split_once(':')) {
                Some(("Package" | "P", value)) => name = value.to_owned(),
                Some(("Version" | "V", value)) => writeln!(to, "{name} {value}")?,
                _ => {}
            }
        }
    }
    // Sections of names, with their keys.
    for line in survey.text("/etc/config/qpkg.conf").lines() {
        let known =
            ["Version", "Enable", "Build", "Date"].iter().any(|key| line.trim().starts_with(key));
        if line.starts_with('[') || known {
            writeln!(to, "{line}")?;
        }
    }
    for path in survey.source.matches("/var/packages/*/INFO") {
        let text = survey.text(&path);
        for line in text.lines().filter(|l| l.starts_with("package=") || l.starts_with("version="))
        {
            writeln!(to, "{line}")?;
        }
    }
    Ok(())
}

/// What is started: units, init scripts, and what is switched on.
pub fn units(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    for pattern in [
        "/etc/systemd/system/*.service",
        "/etc/systemd/system/*.wants/*",
        "/etc/init.d/*",
        "/etc/rc.d/*",
        "/etc/rcS.d/*",
        "/etc/rc2.d/*",
        "/opt/etc/init.d/*",
        "/usr/local/etc/rc.d/*",
    ] {
        for path in survey.source.matches(pattern) {
            writeln!(to, "{path}")?;
        }
    }
    Ok(())
}

/// What is done when: the times and the program, without its arguments.
pub fn schedule(survey: &Survey<'_>, to: &mut dyn Write) -> io::Result<()> {
    for pattern in [
        "/etc/crontab",
        "/etc/config/crontab",
        "/etc/cron.d/*",
        "/var/spool/cron/crontabs/*",
        "/etc/crontabs/*",
    ] {
        for path in survey.source.matches(pattern) {
            for line in survey.text(&path).lines() {
                let words: Vec<&str> = line.split_whitespace().collect();
                let is_entry = words.first().is_some_and(|word| {
                    word.starts_with(|c: char| c.is_ascii_digit() || c == '*' || c == '@')
                });
                if is_entry {
                    let times = if line.trim_start().starts_with('@') { 1 } else { 5 };
                    let program = words.iter().skip(times).find(|word| word.contains('/'));
                    let when = words.get(..times).unwrap_or_default().join(" ");
                    writeln!(to, "{path}: {when} {}", program.unwrap_or(&"(a command)"))?;
                }
            }
        }
    }
    let hourly = [
        "/etc/cron.hourly/*",
        "/etc/cron.daily/*",
        "/etc/cron.weekly/*",
        "/etc/systemd/system/*.timer",
    ];
    for path in hourly.iter().flat_map(|pattern| survey.source.matches(pattern)) {
        writeln!(to, "{path}")?;
    }
    Ok(())
}
