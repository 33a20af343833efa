//! Charts: bars in percent, so that they fit any width, and a timeline. Their words stand beside them as text.

use super::escaped;
use crate::clock::Wall;
use crate::report::gauges::Moment;
use std::fmt::Write as _;

/// A bar of these parts: the class, and the share of the whole in per cent; and a mark at a limit.
pub(super) fn bar(label: &str, parts: &[(&str, f64)], limit: Option<f64>) -> String {
    let mut svg = format!(r#"<svg class="bar" role="img" aria-label="{}">"#, escaped(label));
    let mut from = 0.0;
    for (class, share) in parts {
        let share = share.clamp(0.0, 100.0 - from);
        // Writing to a String does not fail.
        let _ = write!(
            svg,
            r#"<rect class="{class}" x="{from:.1}%" width="{share:.1}%" height="10"/>"#
        );
        from += share;
    }
    if let Some(at) = limit.map(|limit| limit.clamp(0.0, 100.0)) {
        let _ =
            write!(svg, r#"<line class="b-limit" x1="{at:.1}%" x2="{at:.1}%" y1="0" y2="10"/>"#);
    }
    svg.push_str("</svg>");
    svg
}

/// A row: what, how much in words, and its bar.
pub(super) fn row(what: &str, much: &str, bar: &str) -> String {
    format!(
        r#"<div class="row"><div class="says"><span>{}</span><span>{}</span></div>{bar}</div>"#,
        escaped(what),
        escaped(much)
    )
}

/// What stands for a colour.
pub(super) fn key(entries: &[(&str, String)]) -> String {
    let mut html = String::from(r#"<ul class="key">"#);
    for (class, what) in entries {
        let shape = match *class {
            "b-start" => r#"<line class="b-start" x1="6" x2="6" y1="0" y2="12"/>"#.to_owned(),
            class => format!(r#"<rect class="{class}" width="12" height="12" rx="3"/>"#),
        };
        let _ = write!(html, r#"<li><svg aria-hidden="true">{shape}</svg>{}</li>"#, escaped(what));
    }
    html.push_str("</ul>");
    html
}

/// The steps a timeline may have, in seconds.
const STEPS: [u64; 11] =
    [60, 300, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 172_800, 604_800];
/// The most columns.
const COLUMNS: u64 = 60;

/// Starts and what went wrong, over time; nothing when nothing is known to have happened.
pub(super) fn timeline(moments: &[(u64, Moment)], now: u64) -> Option<String> {
    let first = moments.iter().map(|(at, _)| *at).min()?;
    let last = moments.iter().map(|(at, _)| *at).max()?.max(now);
    let span = (last - first).max(3_600);
    let step = STEPS.into_iter().find(|step| span / step < COLUMNS).unwrap_or(604_800);
    let begun = first / step * step;
    let count = usize::try_from((last - begun) / step + 1).unwrap_or(1).min(120);
    let mut columns = vec![[0_u32; 3]; count];
    let mut starts = Vec::new();
    for (at, what) in moments {
        let column = usize::try_from((at - begun) / step).unwrap_or_default().min(count - 1);
        match what {
            Moment::Start => starts.push(column),
            Moment::Fault => columns[column][0] += 1,
            Moment::Warning => columns[column][1] += 1,
            Moment::Note => columns[column][2] += 1,
        }
    }
    starts.sort_unstable();
    starts.dedup();
    let total = |kind: usize| columns.iter().map(|column| column[kind]).sum::<u32>();
    let (faults, warnings, notes) = (total(0), total(1), total(2));
    let times = moments.iter().filter(|(_, what)| *what == Moment::Start).map(|(at, _)| at / 120);
    let restarts = times.collect::<std::collections::BTreeSet<_>>().len();
    let day = |at: u64| {
        let text = Wall::from(at).rfc3339().replace('T', " ");
        let length = if step < 86_400 { 16 } else { 10 };
        text.get(..length).unwrap_or_default().to_owned()
    };
    let label = format!(
        "{faults} lines of faults, {warnings} of warnings and {notes} of notes in the logs, {restarts} starts, from {} to {}",
        day(begun),
        day(last)
    );
    let svg = drawn(&columns, &starts, &label, |column| {
        day(begun + u64::try_from(column).unwrap_or_default() * step)
    });
    let key = key(&[
        ("b-fault", format!("faults: {faults} lines")),
        ("b-warning", format!("warnings: {warnings}")),
        ("b-note", format!("notes: {notes}")),
        ("b-start", format!("starts of the box: {restarts}")),
    ]);
    let axis = format!(
        r#"<div class="axis"><span>{}</span><span>{}</span><span>{}</span></div>"#,
        day(begun),
        day(begun + (last - begun) / 2),
        day(last)
    );
    Some(format!("{svg}{axis}{key}"))
}

/// The columns, whose height is the logarithm of their count: one line must be seen beside a thousand.
fn drawn(
    columns: &[[u32; 3]],
    starts: &[usize],
    label: &str,
    day: impl Fn(usize) -> String,
) -> String {
    const HIGH: f64 = 100.0;
    let most = columns.iter().map(|column| column.iter().sum::<u32>()).max().unwrap_or(1).max(1);
    let scale = HIGH / f64::from(most + 1).ln();
    let mut svg = format!(
        r#"<svg class="time" role="img" aria-label="{}" viewBox="0 0 {} 100" preserveAspectRatio="none">"#,
        escaped(label),
        columns.len() * 10
    );
    for (at, column) in columns.iter().enumerate() {
        let all: u32 = column.iter().sum();
        if all == 0 {
            continue;
        }
        let whole = f64::from(all + 1).ln() * scale;
        let [faults, warnings, notes] = *column;
        let _ = write!(
            svg,
            "<g><title>{}: {faults} faults, {warnings} warnings, {notes} notes</title>",
            day(at)
        );
        let mut top = HIGH;
        for (class, count) in [("b-fault", faults), ("b-warning", warnings), ("b-note", notes)] {
            let high = whole * f64::from(count) / f64::from(all);
            top -= high;
            if count > 0 {
                let x = at * 10 + 1;
                let _ = write!(
                    svg,
                    r#"<rect class="{class}" x="{x}" y="{top:.1}" width="8" height="{high:.1}"/>"#
                );
            }
        }
        svg.push_str("</g>");
    }
    for at in starts {
        let x = at * 10 + 5;
        let _ = write!(
            svg,
            r#"<line class="b-start" x1="{x}" x2="{x}" y1="0" y2="100" vector-effect="non-scaling-stroke"><title>{}: the box started</title></line>"#,
            day(*at)
        );
    }
    svg.push_str("</svg>");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_shows_what_happened_where_it_happened() {
        assert_eq!(timeline(&[], 1_795_305_600), None);
        let now = 1_795_305_600;
        let moments = [
            // One start, told by two logs; and another.
            (now - 86_400, Moment::Start),
            (now - 86_300, Moment::Start),
            (now - 40_000, Moment::Start),
            (now - 3_600, Moment::Fault),
            (now, Moment::Warning),
            (now, Moment::Note),
        ];
        let html = timeline(&moments, now).unwrap();
        assert!(html.contains("1 lines of faults, 1 of warnings and 1 of notes"), "{html}");
        assert!(html.contains("starts of the box: 2"), "{html}");
        assert_eq!(html.matches(r#"class="b-fault""#).count(), 2, "a column, and the key: {html}");
    }

    #[test]
    fn a_bar_is_never_longer_than_its_track() {
        let html = bar("a \"b\"", &[("b-ok", 80.0), ("b-pale", 80.0)], Some(400.0));
        assert!(
            html.contains(r#"x="80.0%" width="20.0%""#) && html.contains("&quot;b&quot;"),
            "{html}"
        );
        assert!(html.contains(r#"x1="100.0%""#), "{html}");
    }
}
