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
    fn each_black_module_is_drawn_where_it_stands_and_no_other() {
        let text = "otpauth://totp/a:b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let code = QrCode::new(text).unwrap();
        let mut drawn = Vec::new();
        for run in path(&code).split('M').skip(1) {
            let (left, rest) = run.split_once(' ').unwrap();
            let (top, rest) = rest.split_once('h').unwrap();
            let (width, back) = rest.split_once('v').unwrap();
            assert_eq!(back, format!("1h-{width}z"));
            let number = |text: &str| text.parse::<usize>().unwrap();
            drawn.extend((0..number(width)).map(|x| (number(left) + x, number(top))));
        }
        let colors = code.to_colors();
        let dark = (0..colors.len()).filter(|at| colors[*at] == Color::Dark);
        let side = code.width();
        let wanted: Vec<_> = dark.map(|at| (at % side + QUIET, at / side + QUIET)).collect();
        assert_eq!(drawn, wanted);
    }

    #[test]
    fn a_code_is_black_on_white_in_the_dark_too_and_needs_no_style() {
        let page = drawn("text", "a code").into_string();
        assert!(page.contains("fill=\"#fff\"") && page.contains("fill=\"#000\""), "{page}");
        assert!(!page.contains("style"), "{page}");
        assert_eq!(drawn(&"x".repeat(9000), "too much").into_string(), "");
    }
}
