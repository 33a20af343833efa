//! Secrets in elements: `<password>…</password>`, and texts behind an element that names them.

use super::context::span;
use super::words::{self, Name, is_setting, is_word_byte, looks_secret};
use super::{Kind, Span};

/// The longest tag that is looked into.
const LONGEST: usize = 256;

/// The secret texts between the tags of a line.
pub fn find(line: &[u8], spans: &mut Vec<Span>) {
    if !line.contains(&b'<') {
        return;
    }
    let mut named: Option<(usize, Name)> = None;
    let mut at = 0;
    while let Some((open, close)) = tag(line, at) {
        let inside = line.get(open + 1..close).unwrap_or_default();
        let start = close + 1;
        let rest = line.get(start..).unwrap_or_default();
        let end = start + rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len());
        let text = line.get(start..end).unwrap_or_default();
        let closing = inside.starts_with(b"/") || inside.ends_with(b"/");
        if let Some(name) = names(inside).filter(|_| !closing) {
            named = Some((open, name));
        }
        at = start;
        if text.trim_ascii().is_empty() || closing {
            continue;
        }
        match named {
            Some((context, name)) => {
                if !is_setting(text.trim_ascii()) && (name == Name::Certain || looks_secret(text)) {
                    let lead = text.len() - text.trim_ascii_start().len();
                    let tail = text.trim_ascii_end().len();
                    spans.push(span(context, (start + lead, start + tail), Kind::Password));
                }
                named = None;
            }
            // A text that is a name stands for the text that follows it.
            None => named = names(text).filter(|_| is_one_word(text)).map(|name| (open, name)),
        }
    }
}

/// The next tag: where its brackets are.
fn tag(line: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let open = at + line.get(at..)?.iter().position(|byte| *byte == b'<')?;
        let inside = line.get(open + 1..)?;
        let first = inside.first()?;
        if first.is_ascii_alphabetic() || *first == b'/' {
            let limit = inside.get(..LONGEST.min(inside.len()))?;
            if let Some(close) = limit.iter().position(|byte| *byte == b'>') {
                return Some((open, open + 1 + close));
            }
        }
        at = open + 1;
    }
}

fn is_one_word(text: &[u8]) -> bool {
    text.trim_ascii().iter().all(|byte| is_word_byte(*byte))
}

/// How sure the words of a tag are that its text is a secret.
fn names(inside: &[u8]) -> Option<Name> {
    let judged = inside.split(|byte| !is_word_byte(*byte)).map(words::judge);
    judged.filter(|name| matches!(name, Name::Certain | Name::Likely)).max()
}
