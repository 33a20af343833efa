//! `index.html`: what is wrong and how the box is, on one page that asks nobody for anything.
//!
//! Its policy lets nothing load but its own style, by that style's checksum. All text that comes from the box was
//! scrubbed before, and is escaped here.

mod chart;
mod parts;

pub(super) use parts::{long, size};

use super::bundle::Entry;
use super::findings::{Finding, Severity};
use super::gauges::Gauges;
use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use serde_json::Value;
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");

/// What a page is made of.
pub struct Page<'a> {
    /// The facts of the box, as JSON.
    pub facts: &'a Value,
    /// What looks wrong.
    pub findings: &'a [Finding],
    /// Its numbers.
    pub gauges: &'a Gauges,
    /// What is in the archive.
    pub entries: &'a [Entry],
    /// When it was made: RFC 3339.
    pub made: &'a str,
}

/// Text that stays text.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // Nothing that could turn the direction of what follows, or hide it.
            '\t' => html.push(' '),
            c if c.is_control() => html.push('\u{fffd}'),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {
                html.push('\u{fffd}');
            }
            c => html.push(c),
        }
    }
    html
}

/// The page.
pub fn page(page: &Page<'_>) -> String {
    let sum = BASE64.encode(digest(&SHA256, STYLE.as_bytes()).as_ref());
    let fact = |name: &str| page.facts[name]["value"].as_str();
    let name = fact("hostname").or_else(|| fact("model")).unwrap_or("a NAS");
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{sum}'; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>Report of {0}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><p class=\"kicker\">Report of a NAS, made on it and sent to nobody</p><h1>{0}</h1>",
        escaped(name)
    );
    parts::meta(page, &mut html);
    parts::verdict(page.findings, &mut html);
    parts::jumps(page, &mut html);
    html.push_str("</header>\n<main>");
    if !page.findings.is_empty() {
        html.push_str("<h2 id=\"wrong\">What looks wrong</h2><div class=\"founds\">");
        page.findings.iter().for_each(|finding| parts::finding(finding, &mut html));
        html.push_str("</div>");
    }
    parts::glance(page.gauges, &mut html);
    if let Some(timeline) = chart::timeline(&page.gauges.moments, page.gauges.now()) {
        // Writing to a String does not fail.
        let _ = write!(
            html,
            "<h2 id=\"time\">Starts and errors</h2><section class=\"card\">{timeline}</section>"
        );
    }
    parts::disks(page.gauges, &mut html);
    parts::the_box(page, &mut html);
    parts::contents(page.entries, &mut html);
    html.push_str("</main>\n<footer>");
    parts::taken_out(page.entries, &mut html);
    html.push_str("</footer>\n</body>\n</html>\n");
    html
}

/// A severity in a word for people, and in one for the style.
const fn words(severity: Severity) -> (&'static str, &'static str) {
    match severity {
        Severity::Fault => ("Fault", "fault"),
        Severity::Warning => ("Warning", "warning"),
        Severity::Note => ("Note", "note"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Wall;
    use crate::report::findings::Evidence;
    use serde_json::json;

    #[test]
    fn what_a_box_says_stays_text() {
        let evil = "<script>alert(1)</script>\u{202e}\"'&\u{1b}[31m";
        let facts = json!({ "hostname": { "value": evil }, "model": { "value": evil } });
        let findings = [Finding {
            code: "x",
            severity: Severity::Fault,
            text: "It is broken",
            advice: "Mend it",
            evidence: vec![Evidence { place: "logs/kernel.txt:1".into(), line: evil.into() }],
            count: 3,
        }];
        let mut gauges = Gauges::new(Wall::from(1_795_305_600));
        gauges.line("network/addresses.txt", &format!("{evil} inet 192.0.2.1/24"), None);
        gauges.line("storage/space.txt", &format!("1 1 99 1 ext4 /{evil}"), None);
        let html = page(&Page {
            facts: &facts,
            findings: &findings,
            gauges: &gauges,
            entries: &[],
            made: evil,
        });
        assert!(
            !html.contains("<script") && !html.contains('\u{202e}') && !html.contains('\u{1b}')
        );
        assert!(html.contains("&lt;script&gt;alert(1)"), "{html}");
        assert!(html.contains("It is broken") && html.contains("Mend it"));
        for outside in ["http:", "https:", "//", "url(", "@import", "src="] {
            assert!(!html.contains(outside), "{outside} in {html}");
        }
    }
}
