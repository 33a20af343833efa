//! Redaction: what a secret looks like, and what is written instead of it.
//!
//! A line goes through five layers, each of which names spans: a known format, of which only harmless keys are shown
//! ([`typed`]); the box's own secrets, looked for in every encoding ([`dictionary`]); what stands where a secret stands
//! ([`context`] and what it leans on); what is a secret by its own shape ([`shapes`]); and what is too random to be a
//! word ([`entropy`]). Spans that touch become one. Above these layers stands not to read at all, which
//! [`super::source`] does, and below them the second look at the finished archive, which [`super::bundle`] takes.
//!
//! What is random in every life of a box but no secret (identifiers, checksums, public keys) must survive:
//! a support engineer needs it.

mod commands;
pub mod context;
pub mod dictionary;
pub mod entropy;
mod lines;
mod markup;
mod near;
pub mod shapes;
pub mod stream;
pub mod typed;
mod urls;
pub mod words;

use core::sync::atomic::{AtomicU64, Ordering};
use dictionary::Dictionary;
use ring::hmac;
use std::collections::BTreeMap;
use typed::Format;

/// What a span holds, as it is named in the marker and counted in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A password, in whatever words.
    Password,
    /// A token of a session or an interface.
    Token,
    /// A private or shared key.
    Key,
    /// A hash that could be tried against.
    Hash,
    /// A cookie.
    Cookie,
    /// A secret of this box, found by its bytes.
    Known,
    /// A value in a file of a known format whose key is not known to be harmless.
    Setting,
    /// Too random to be a word.
    Random,
}

impl Kind {
    /// The name in markers and in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
            Self::Key => "key",
            Self::Hash => "hash",
            Self::Cookie => "cookie",
            Self::Known => "known",
            Self::Setting => "setting",
            Self::Random => "random",
        }
    }
}

/// A part of a line that must not be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where what gives it away begins: a line may not be cut between here and the end.
    pub context: usize,
    /// Its first byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
    /// What it is.
    pub kind: Kind,
    /// What found it.
    pub layer: Layer,
}

/// What finds secrets in a text; before it stands not to read, and behind it the second look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A known format, of which only harmless keys are shown ([`typed`]).
    Typed,
    /// The box's own secrets ([`dictionary`]).
    Dictionary,
    /// What stands around a secret ([`context`]).
    Context,
    /// A secret's own shape ([`shapes`]).
    Shapes,
    /// Too random ([`entropy`]).
    Entropy,
}

impl Layer {
    /// Every layer, in the order in which they are counted.
    pub const ALL: [Self; 5] =
        [Self::Typed, Self::Dictionary, Self::Context, Self::Shapes, Self::Entropy];

    /// The name in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Dictionary => "dictionary",
            Self::Context => "context",
            Self::Shapes => "shapes",
            Self::Entropy => "entropy",
        }
    }
}

/// Whether a layer is switched off, which only the proof of its test does.
fn off(layer: Layer) -> bool {
    match layer {
        Layer::Typed => crate::sabotage::off("report-typed"),
        Layer::Dictionary => crate::sabotage::off("report-dictionary"),
        Layer::Context => crate::sabotage::off("report-context"),
        Layer::Shapes => crate::sabotage::off("report-shapes"),
        Layer::Entropy => crate::sabotage::off("report-entropy"),
    }
}

/// How often each kind was redacted.
pub type Counts = BTreeMap<Kind, u64>;

/// Finds secrets, and names them by tags that mean nothing outside this report.
pub struct Scrubber {
    dictionary: Dictionary,
    tag: hmac::Key,
    found: [AtomicU64; Layer::ALL.len()],
}

impl Scrubber {
    /// With the secrets of this box, and 32 random bytes that are thrown away after the report: equal secrets get
    /// equal tags within it, and nobody can try words against a tag.
    pub fn new(dictionary: Dictionary, random: &[u8; 32]) -> Self {
        let found = Default::default();
        Self { dictionary, tag: hmac::Key::new(hmac::HMAC_SHA256, random), found }
    }

    /// The spans of a line, in order, none touching another.
    pub fn spans(&self, line: &[u8]) -> Vec<Span> {
        self.spans_of(line, None)
    }

    /// The spans of a line of a file of this format.
    fn spans_of(&self, line: &[u8], format: Option<&Format>) -> Vec<Span> {
        let mut spans = Vec::new();
        self.dictionary.find(line, &mut spans);
        if !off(Layer::Context) {
            context::find(line, self.dictionary.users(), &mut spans);
        }
        if !off(Layer::Shapes) {
            shapes::spans(line, &mut spans);
        }
        if !off(Layer::Entropy) {
            let from = spans.len();
            entropy::find(line, &mut spans);
            public(line, from, &mut spans);
        }
        if let Some(format) = format.filter(|_| !off(Layer::Typed)) {
            format.spans(line, &mut spans);
        }
        merged(spans)
    }

    /// This box's own secrets in a line.
    fn known(&self, line: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        self.dictionary.find(line, &mut spans);
        merged(spans)
    }

    /// The spans that are certain: what the second look at a finished archive goes by.
    pub fn certain(&self, line: &[u8]) -> Vec<Span> {
        let mut spans = Vec::new();
        self.dictionary.find(line, &mut spans);
        shapes::spans(line, &mut spans);
        merged(spans)
    }

    /// How many spans each layer found so far, by its name; and how many secrets are known.
    pub fn found(&self) -> BTreeMap<&'static str, u64> {
        let counts = Layer::ALL.iter().zip(&self.found);
        let known = u64::try_from(self.dictionary.len()).unwrap_or(u64::MAX);
        counts
            .map(|(layer, count)| (layer.name(), count.load(Ordering::Relaxed)))
            .chain([("known_secrets", known)])
            .collect()
    }

    fn counted(&self, layer: Layer) {
        let at = Layer::ALL.iter().position(|one| *one == layer);
        if let Some(count) = at.and_then(|at| self.found.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What stands in the place of a secret: its kind, and 12 bits that tell it from others.
    pub fn marker(&self, kind: Kind, secret: &[u8]) -> String {
        let tag = hmac::sign(&self.tag, secret);
        let tag = tag.as_ref();
        let high = tag.first().copied().unwrap_or_default();
        let low = tag.get(1).copied().unwrap_or_default() >> 4;
        format!("[redacted:{}#{high:02x}{low:x}]", kind.name())
    }

    /// Writes a line without its secrets.
    pub fn scrub(&self, line: &[u8], counts: &mut Counts, out: &mut Vec<u8>) {
        self.write(line, &self.spans(line), counts, out);
    }

    /// Writes a line without these spans.
    fn write(&self, line: &[u8], spans: &[Span], counts: &mut Counts, out: &mut Vec<u8>) {
        let mut at = 0;
        for span in spans {
            out.extend_from_slice(line.get(at..span.start).unwrap_or_default());
            let secret = line.get(span.start..span.end).unwrap_or_default();
            out.extend_from_slice(self.marker(span.kind, secret).as_bytes());
            *counts.entry(span.kind).or_default() += 1;
            self.counted(span.layer);
            at = span.end;
        }
        out.extend_from_slice(line.get(at..).unwrap_or_default());
    }

    /// A text, such as a file's name, without its secrets.
    pub fn text(&self, text: &str, counts: &mut Counts) -> String {
        let mut out = Vec::new();
        self.scrub(text.as_bytes(), counts, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Where a text stands in another.
pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return Some(0);
    }
    let (first, last) = (what.first()?, text.len().checked_sub(what.len())?);
    let mut at = 0;
    while at <= last {
        at += text.get(at..=last)?.iter().position(|byte| byte == first)?;
        if text.get(at..)?.starts_with(what) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether a private key begins somewhere in a text.
pub fn holds_key(text: &[u8]) -> bool {
    find(text, b"PRIVATE KEY").is_some() || find(text, b"OpenVPN Static key").is_some()
}

/// Takes away what is random because it is a certificate.
fn public(line: &[u8], from: usize, spans: &mut Vec<Span>) {
    if spans.len() == from {
        return;
    }
    let blocks = shapes::public_blocks(line);
    let is_in = |span: &Span| blocks.iter().any(|(a, b)| *a <= span.start && span.end <= *b);
    let mut at = 0;
    spans.retain(|span| {
        at += 1;
        at <= from || !is_in(span)
    });
}

/// Spans that overlap or touch become one, which keeps the name of the first.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|span| span.start < span.end);
    spans.sort_unstable_by_key(|span| (span.start, core::cmp::Reverse(span.end)));
    let mut whole: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match whole.last_mut() {
            Some(last) if span.start <= last.end => {
                last.end = last.end.max(span.end);
                last.context = last.context.min(span.context);
            }
            _ => whole.push(span),
        }
    }
    whole
}

#[cfg(test)]
mod tests;
