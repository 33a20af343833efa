//! What a line is, before anything is looked for in it.

use super::words::{self, Name, is_word_byte};
use std::borrow::Cow;

/// A line as a person sees it: without colours, and in bytes where it was in UTF-16.
pub fn seen(line: &[u8]) -> Cow<'_, [u8]> {
    if !line.iter().any(|byte| matches!(byte, 0 | 0x1b)) {
        return Cow::Borrowed(line);
    }
    let wide = is_wide(line);
    let mut out = Vec::with_capacity(line.len());
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        let rest = line.get(at..).unwrap_or_default();
        if rest.starts_with(b"\x1b[") {
            // ECMA-48 section 5.4: parameters, and a letter that ends them.
            let length = rest.iter().skip(2).take_while(|b| (0x20..0x40).contains(*b)).count() + 2;
            let ends = rest.get(length).is_some_and(|b| (0x40..0x7f).contains(b));
            if ends {
                at += length + 1;
                continue;
            }
        }
        if !wide || !matches!(byte, 0 | 0xfe | 0xff) {
            out.push(*byte);
        }
        at += 1;
    }
    Cow::Owned(out)
}

/// Whether a line is in UTF-16: every second byte of most of it is a NUL.
fn is_wide(line: &[u8]) -> bool {
    let nuls = line.iter().filter(|byte| **byte == 0).count();
    let single = |four: &&[u8]| matches!(four, [0, b, 0, c] | [b, 0, c, 0] if *b != 0 && *c != 0);
    let alternating = line.windows(4).filter(single).count();
    nuls >= 4 && nuls * 3 >= line.len() && alternating * 3 >= line.len()
}

/// The only word of a line, or its last one, if it is of base64 letters.
pub fn base64_word(line: &[u8]) -> Option<(usize, usize)> {
    let end = line.trim_ascii_end().len();
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let start = line.get(..end)?.iter().rposition(is_blank).map_or(0, |at| at + 1);
    let word = line.get(start..end)?;
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_".contains(byte);
    (!word.is_empty() && word.iter().all(fits)).then_some((start, end))
}

/// Whether nothing but one word stands on a line.
pub fn is_alone(line: &[u8], start: usize) -> bool {
    line.get(..start).is_some_and(|before| before.iter().all(u8::is_ascii_whitespace))
}

/// How far a line is indented.
pub fn indentation(line: &[u8]) -> usize {
    line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

/// What the next lines are, if they are indented further than so much: the value of a secret that was named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Below {
    /// How far the name is indented.
    pub indentation: usize,
    /// Whether all further lines belong to it, as in YAML's blocks.
    pub block: bool,
}

/// Whether a secret's name ends this line, and its value begins on the next: YAML's blocks, values below their keys.
pub fn opens(line: &[u8]) -> Option<Below> {
    let text = line.trim_ascii_end();
    let last = text.last()?;
    let block = matches!(last, b'|' | b'>' | b'-' | b'+');
    if !block && !matches!(last, b':' | b'=' | b'>') {
        return None;
    }
    let strip = |text: &[u8], signs: &[u8]| -> usize {
        text.iter().rposition(|byte| !signs.contains(byte)).map_or(0, |at| at + 1)
    };
    let text = text.get(..strip(text, b"|>+- \t"))?;
    // An element that holds its text on a line of its own has no sign before it.
    let is_element = *last == b'>' && text.iter().rposition(|b| *b == b'<').is_some();
    let block = block && !is_element;
    if !is_element && !matches!(text.last(), Some(b':' | b'=')) {
        return None;
    }
    let text = text.get(..strip(text, b":= \t\"'"))?;
    let begin = text.iter().rposition(|byte| !is_word_byte(*byte)).map_or(0, |at| at + 1);
    let name = text.get(begin..)?;
    let sure = matches!(words::judge(name), Name::Certain | Name::Likely);
    sure.then_some(Below { indentation: indentation(line), block })
}

/// Whether a line says a name and a value of its own.
pub fn is_pair(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    let text = text.strip_prefix(b"- ").unwrap_or(text);
    let length = text.iter().take_while(|byte| is_word_byte(**byte) || **byte == b'"').count();
    let sign = text.get(length..).unwrap_or_default();
    length > 0 && (sign == b":" || sign.starts_with(b": ") || sign.starts_with(b" = "))
}
