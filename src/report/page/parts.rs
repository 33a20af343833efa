//! The parts of the page, from the top to the bottom.

use super::chart::{bar, key, row};
use super::{Page, escaped, words};
use crate::report::bundle::{Entry, Status};
use crate::report::findings::{Evidence, Finding, Severity};
use crate::report::gauges::{Gauges, Room};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Model, firmware, time: one line under the name.
pub(super) fn meta(page: &Page<'_>, html: &mut String) {
    let fact = |name: &str| page.facts[name]["value"].as_str().map(str::to_owned);
    let version = fact("firmware").map(|version| format!("firmware {version}"));
    let up = page.gauges.uptime_seconds.map(|seconds| format!("up {}", long(seconds)));
    let made = page.made.replace('T', " ").replace('Z', " UTC");
    html.push_str("<ul class=\"meta\">");
    let serial = fact("serial").map(|serial| format!("serial {serial}"));
    let all = [fact("model"), serial, version, up, Some(made)];
    for one in all.into_iter().flatten() {
        let _ = write!(html, "<li>{}</li>", escaped(&one));
    }
    html.push_str("</ul>");
}

/// How bad it is, in one look.
pub(super) fn verdict(findings: &[Finding], html: &mut String) {
    html.push_str("<ul class=\"verdict\">");
    if !findings.iter().any(|finding| finding.severity > Severity::Note) {
        html.push_str("<li class=\"good\">Nothing looks broken</li>");
    }
    for severity in [Severity::Fault, Severity::Warning, Severity::Note] {
        let count = findings.iter().filter(|finding| finding.severity == severity).count();
        if count > 0 {
            let (word, class) = words(severity);
            let end = if count == 1 { "" } else { "s" };
            let _ = write!(html, "<li class=\"{class}\">{count} {}{end}</li>", word.to_lowercase());
        }
    }
    html.push_str("</ul>");
}

/// Links to the parts of the page.
pub(super) fn jumps(page: &Page<'_>, html: &mut String) {
    let gauges = page.gauges;
    let all = [
        ("wrong", "What looks wrong", !page.findings.is_empty()),
        ("glance", "At a glance", gauges.load.is_some() || !gauges.rooms.is_empty()),
        ("time", "Starts and errors", !gauges.moments.is_empty()),
        ("disks", "Disks", !gauges.disks.is_empty() || !gauges.table.is_empty()),
        ("box", "The box", true),
        ("parts", "What is in it", true),
    ];
    html.push_str("<nav aria-label=\"On this page\">");
    for (id, title, _) in all.iter().filter(|(_, _, is_there)| *is_there) {
        let _ = write!(html, "<a href=\"#{id}\">{title}</a>");
    }
    html.push_str("</nav>");
}

/// One finding: what, what to do, the newest line that shows it, and the others.
pub(super) fn finding(finding: &Finding, html: &mut String) {
    let (word, class) = words(finding.severity);
    let _ = write!(
        html,
        "<article class=\"found is-{class}\"><div class=\"top\"><span class=\"tag {class}\">{word}</span>\
         <h3>{}</h3>",
        escaped(finding.text)
    );
    if finding.count > 1 {
        let _ = write!(html, "<span class=\"times\">{} times</span>", finding.count);
    }
    let _ = write!(html, "</div><p class=\"do\">{}</p>", escaped(finding.advice));
    let Some((newest, others)) = finding.evidence.split_last() else {
        return html.push_str("</article>");
    };
    let line = |one: &Evidence| {
        let path = one.place.rsplit_once(':').map_or(&*one.place, |(path, _)| path);
        let [path, place, line] = [path, &*one.place, &*one.line].map(escaped);
        format!("<li><a href=\"{path}\">{place}</a><code>{line}</code></li>")
    };
    let _ = write!(html, "<ul class=\"lines\">{}</ul>", line(newest));
    if !others.is_empty() {
        let lines: String = others.iter().map(line).collect();
        let (count, end) = (others.len(), if others.len() == 1 { "" } else { "s" });
        let _ = write!(
            html,
            "<details><summary>{count} line{end} before it</summary><ul class=\"lines\">{lines}</ul></details>"
        );
    }
    html.push_str("</article>");
}

/// Charts of what is full, busy and warm.
pub(super) fn glance(gauges: &Gauges, html: &mut String) {
    let cards = [rooms(&gauges.rooms), memory(gauges), load(gauges), warm(gauges)];
    let cards: Vec<String> = cards.into_iter().flatten().collect();
    if !cards.is_empty() {
        let _ = write!(
            html,
            "<h2 id=\"glance\">At a glance</h2><div class=\"grid\">{}</div>",
            cards.concat()
        );
    }
}

fn card(title: &str, beside: &str, body: &str) -> String {
    format!(
        "<section class=\"card\"><h3>{} <span>{}</span></h3>{body}</section>",
        escaped(title),
        escaped(beside)
    )
}

fn rooms(rooms: &[Room]) -> Option<String> {
    let mut fullest: Vec<&Room> = rooms.iter().collect();
    fullest.sort_by_key(|room| core::cmp::Reverse((room.used_percent, room.size_kib)));
    // The same file system can be mounted in many places.
    fullest.dedup_by_key(|room| (room.size_kib, room.free_kib));
    let body: String = fullest
        .iter()
        .take(12)
        .map(|room| {
            let class = match room.used_percent {
                96.. => "b-fault",
                91.. => "b-warning",
                _ => "b-ok",
            };
            let much =
                format!("{} % of {}", room.used_percent, size(room.size_kib.saturating_mul(1024)));
            let label = format!("{} is {} % full", room.point, room.used_percent);
            row(&room.point, &much, &bar(&label, &[(class, wide(room.used_percent))], None))
        })
        .collect();
    (!fullest.is_empty()).then(|| card("Disk use", "", &body))
}

fn memory(gauges: &Gauges) -> Option<String> {
    let kib = |name: &str| gauges.memory_kib.get(name).copied();
    let (total, free) =
        (kib("MemTotal").filter(|kib| *kib > 0)?, kib("MemFree").unwrap_or_default());
    let can = kib("MemAvailable").unwrap_or(free).min(total);
    let share = |kib: u64, all: u64| {
        wide(kib.saturating_mul(1000).checked_div(all).unwrap_or_default()) / 10.0
    };
    let (used, cache) = (total - can, can.saturating_sub(free));
    let class = if can.saturating_mul(20) < total { "b-fault" } else { "b-ok" };
    let parts = [(class, share(used, total)), ("b-pale", share(cache, total))];
    let much = format!("{:.0} % of {}", share(used, total), size(total.saturating_mul(1024)));
    let mut body = row("In use", &much, &bar(&format!("Memory in use: {much}"), &parts, None));
    let swap = kib("SwapTotal").filter(|kib| *kib > 0);
    if let Some(swap) = swap {
        let used = share(swap.saturating_sub(kib("SwapFree").unwrap_or(swap)), swap);
        let much = format!("{used:.0} % of {}", size(swap.saturating_mul(1024)));
        body += &row("Swap", &much, &bar(&format!("Swap in use: {much}"), &[("b-ok", used)], None));
    }
    body += &key(&[(class, "programs".into()), ("b-pale", "cache, can be taken back".into())]);
    Some(card("Memory", "", &body))
}

fn load(gauges: &Gauges) -> Option<String> {
    let load = gauges.load?;
    let processors = f64::from(gauges.processors.max(1));
    let most = load.iter().copied().fold(processors * 1.5, f64::max);
    let mut body = String::new();
    for (load, minutes) in load.into_iter().zip(["1 minute", "5 minutes", "15 minutes"]) {
        let class = if load > processors * 2.0 {
            "b-fault"
        } else if load > processors {
            "b-warning"
        } else {
            "b-ok"
        };
        let label = format!("Load over {minutes}: {load:.2} on {processors} processors");
        let bar = bar(&label, &[(class, load * 100.0 / most)], Some(processors * 100.0 / most));
        body += &row(minutes, &format!("{load:.2}"), &bar);
    }
    for (what, [_, _, share]) in &gauges.pressure {
        let label = format!("{share:.1} % of the last 5 minutes something waited for {what}");
        body += &row(
            &format!("waited for {what}"),
            &format!("{share:.1} %"),
            &bar(&label, &[("b-note", *share)], None),
        );
    }
    let count = gauges.processors.max(1);
    let end = if count == 1 { "" } else { "s" };
    Some(card("Load", &format!("the mark is {count} processor{end}"), &body))
}

fn warm(gauges: &Gauges) -> Option<String> {
    let mut warmest: Vec<_> = gauges.temperatures.iter().collect();
    warmest.sort_by(|a, b| b.1.total_cmp(&a.1));
    let body: String = warmest
        .iter()
        .take(8)
        .map(|(name, now, limit)| {
            let most = limit.unwrap_or(100.0).max(*now).max(60.0);
            let class = if limit.is_some_and(|limit| now >= &limit) { "b-fault" } else { "b-ok" };
            let label = format!("{name}: {now:.0} degrees Celsius");
            row(name, &format!("{now:.0} °C"), &bar(&label, &[(class, now * 100.0 / most)], None))
        })
        .collect();
    (!warmest.is_empty()).then(|| card("Temperatures", "", &body))
}

/// Disks and arrays, a line each.
pub(super) fn disks(gauges: &Gauges, html: &mut String) {
    let arrays = gauges.arrays();
    if gauges.disks.is_empty() && arrays.is_empty() {
        return;
    }
    html.push_str("<h2 id=\"disks\">Disks and arrays</h2><section class=\"card\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
        aria-label=\"Disks and arrays\"><table><thead><tr><th>What</th><th>Verdict</th><th>More</th></tr></thead><tbody>");
    for line in &gauges.disks {
        let (path, rest) = line.split_once(' ').unwrap_or((line, ""));
        let word = rest
            .split_once("verdict=")
            .map_or("", |(_, rest)| rest.split(' ').next().unwrap_or_default());
        let class = match word {
            "ok" => "good",
            "FAILING" => "fault",
            _ => "note",
        };
        let more =
            rest.replace(&format!("verdict={word} "), "").replace("kind=", "").replace('=', " ");
        let more = more.replace(&format!("verdict {word}"), "");
        table_row(&[path, word, &more], class, html);
    }
    for array in &arrays {
        let (class, word) = match (array.is_degraded(), &array.at_work) {
            (true, _) => ("warning", "members missing"),
            (false, Some(_)) => ("note", "at work"),
            (false, None) => ("good", "ok"),
        };
        let mut more = array.level.clone().unwrap_or_else(|| "does not run".into());
        if let Some((slots, work)) = array.members {
            let _ = write!(more, ", {work} of {slots} members");
        }
        if let Some((what, done)) = &array.at_work {
            let _ = write!(more, ", {what} {done}");
        }
        table_row(&[&array.name, word, &more], class, html);
    }
    html.push_str("</tbody></table></div></section>");
}

fn table_row([what, word, more]: &[&str; 3], class: &str, html: &mut String) {
    let _ = write!(
        html,
        "<tr><td><code>{}</code></td><td><span class=\"tag {class}\">{}</span></td><td class=\"why\">{}</td></tr>",
        escaped(what),
        escaped(word),
        escaped(more.trim())
    );
}

/// What the box is.
pub(super) fn the_box(page: &Page<'_>, html: &mut String) {
    html.push_str("<h2 id=\"box\">The box</h2><section class=\"card\"><dl>");
    let mut line = |name: &str, value: &str| {
        let _ = write!(html, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
    };
    for (name, title) in [
        ("platform", "System"),
        ("model", "Model"),
        ("internal_model", "Board"),
        ("serial", "Serial number"),
        ("firmware", "Firmware"),
        ("build", "Build"),
        ("hostname", "Name"),
        ("macs", "Hardware addresses"),
        ("volumes", "Volumes"),
        ("degraded_arrays", "Arrays with members missing"),
        ("install_state", "Set-up"),
    ] {
        match &page.facts[name]["value"] {
            Value::String(text) => line(title, text),
            Value::Array(list) if !list.is_empty() => {
                line(title, &list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "));
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => {}
        }
    }
    if !page.gauges.addresses.is_empty() {
        line("Addresses", &page.gauges.addresses.join("; "));
    }
    html.push_str("</dl></section>");
}

/// Every entry, and how it came out.
pub(super) fn contents(entries: &[Entry], html: &mut String) {
    if entries.is_empty() {
        return;
    }
    let whole = entries.iter().filter(|entry| entry.status == Status::Ok).count();
    let absent = entries.iter().filter(|entry| entry.status == Status::Absent).count();
    let _ = write!(
        html,
        "<h2 id=\"parts\">What is in this report</h2><section class=\"card\"><p>{whole} of {} parts are whole; this box has nothing for {absent}.</p>\
         <details><summary>All parts</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"All parts\"><table>\
         <thead><tr><th>Part</th><th>What it is</th><th>State</th><th class=\"number\">Size</th><th class=\"number\">Taken out</th></tr></thead><tbody>",
        entries.len()
    );
    for entry in entries {
        let word = serde_json::to_value(entry.status).unwrap_or_default();
        let word = word.as_str().unwrap_or_default();
        let class = match entry.status {
            Status::Ok => "good",
            Status::Absent | Status::Skipped => "note",
            Status::Partial => "warning",
            Status::Timeout | Status::Error => "fault",
        };
        let path = escaped(&entry.path);
        let path = if entry.bytes > 0 { format!("<a href=\"{path}\">{path}</a>") } else { path };
        let out: u64 = entry.redactions.values().sum();
        let _ = write!(
            html,
            "<tr><td>{path}</td><td>{}</td><td><span class=\"tag {class}\">{word}</span> {}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{out}</td></tr>",
            escaped(entry.section),
            escaped(entry.reason.as_deref().unwrap_or_default()),
            size(entry.bytes),
        );
    }
    html.push_str("</tbody></table></div></details></section>");
}

/// What was taken out, by kind.
pub(super) fn taken_out(entries: &[Entry], html: &mut String) {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, count) in entries.iter().flat_map(|entry| &entry.redactions) {
        *kinds.entry(kind).or_default() += count;
    }
    let kinds: Vec<String> =
        kinds.iter().map(|(kind, count)| format!("{count} of kind {kind}")).collect();
    let kinds = if kinds.is_empty() { "none was found".into() } else { kinds.join(", ") };
    let _ = write!(
        html,
        "<p>Secrets were taken out, and each has a mark in its place: {}.</p>\
         <p>Every part's checksum is in <a href=\"manifest.json\">manifest.json</a>, all text in <a href=\"report.txt\">report.txt</a>.</p>",
        escaped(&kinds)
    );
}

/// A size in the words of people.
pub(in crate::report) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = wide(bytes);
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let places = usize::from(unit > 0 && value < 10.0);
    format!("{value:.places$} {}", UNITS[unit])
}

/// A length of time in the words of people.
pub(in crate::report) fn long(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3_600, seconds % 3_600 / 60);
    let counted =
        |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (days, hours) {
        (0, 0) => counted(minutes, "minute"),
        (0, _) => counted(hours, "hour"),
        _ => counted(days, "day"),
    }
}

/// A number as one that can be divided; beyond 2^32 thousandths of it do not matter.
fn wide(number: u64) -> f64 {
    let (high, low) = (number >> 32, number & u64::from(u32::MAX));
    let float = |part: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    float(high) * 4_294_967_296.0 + float(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_the_words_of_people() {
        let sizes = [0, 1023, 1536, 10 << 20, 5 << 40].map(size);
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "10 MiB", "5.0 TiB"]);
        assert_eq!(
            [59, 60, 7200, 86_400 * 3].map(long),
            ["0 minutes", "1 minute", "2 hours", "3 days"]
        );
    }
}
