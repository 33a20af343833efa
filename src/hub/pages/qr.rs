//! QR codes, drawn into the page: no image is fetched, and none is kept.

use core::fmt::Write;
use maud::{Markup, PreEscaped, html};
use qrcode::{Color, QrCode};

/// Modules that stay white around a code (ISO/IEC 18004 section 6.3.8).
const QUIET: usize = 4;

/// A text as a QR code; nothing for one that is too long.
pub(super) fn drawn(text: &str, what: &str) -> Markup {
    let Ok(code) = QrCode::new(text) else { return html! {} };
    let side = code.width() + 2 * QUIET;
    let path = path(&code);
    html! {
        svg.qr role="img" aria-label=(what) viewBox={ "0 0 " (side) " " (side) } shape-rendering="crispEdges" {
            rect width=(side) height=(side) fill="#fff" {}
            path fill="#000" d=(PreEscaped(path)) {}
        }
    }
}

/// One rectangle for each run of black modules in a row.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    let colors = code.to_colors();
    for (y, row) in colors.chunks(code.width()).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            if run.first() == Some(&Color::Dark) {
                let (left, top, width) = (x + QUIET, y + QUIET, run.len());
                // Writing to a text does not fail.
                let _ = write!(path, "M{left} {top}h{width}v1h-{width}z");
            }
            x += run.len();
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_modules_are_black_as_the_code_has() {
        let code =
            QrCode::new("otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let dark = code.to_colors().iter().filter(|color| **color == Color::Dark).count();
        let widths = path(&code);
        let drawn = widths
            .split("v1h-")
            .skip(1)
            .map(|run| run.split('z').next().unwrap().parse::<usize>().unwrap());
        assert_eq!(drawn.sum::<usize>(), dark);
        let page = drawn_text();
        assert!(page.contains("fill=\"#fff\"") && !page.contains("style"), "{page}");
    }

    fn drawn_text() -> String {
        drawn("text", "a code").into_string()
    }
}
