//! Pages that are wrong in every way the other tests look for: each of them is seen.

use crate::common::net::{Line, Net};
use crate::common::page::Page;
use crate::common::scratch::Scratch;
use crate::person::Person;
use crate::{axe, keyboard, tour};

/// A field without a label, pale text, a small button, one that no keyboard reaches, a focus that nobody sees, too
/// wide, a script that complains, one that fails, a style from elsewhere, and a picture that the policy forbids.
const WRONG: &str = r##"<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Wrong</title>
<meta http-equiv="Content-Security-Policy" content="img-src 'none'">
<link rel="stylesheet" href="http://127.0.0.2:9/elsewhere.css">
<style>.wide { width: 3000px } .pale { color: #ccc; background: #fff } a:focus { outline: none }</style></head>
<body><main><h1 class="wide">Wrong</h1><p class="pale">Pale text</p><input id="naked" type="text">
<button>Small</button><a class="button" href="#x">Unseen</a>
<div role="button" tabindex="0" onfocus="this.blur()">Fleeting</div><img src="/picture.png" alt="A picture">
<script>console.error("a complaint"); undefined.nothing;</script></main></body></html>"##;

#[test]
fn what_is_wrong_with_a_page_is_seen() {
    let (net, scratch) = (Net::new(Line::Direct), Scratch::new());
    let page = Page::open(&net.visitor, WRONG);
    let mut person = Person::new(&net.visitor, scratch.dir(), &[]);
    person.go(&page.url());
    for (size, width, height) in tour::SIZES {
        person.sit_before(width, height);
        assert!(person.overflow() > 1000.0, "{size}: {}", person.overflow());
    }
    let small = tour::small(&mut person);
    assert!(small.iter().any(|what| what.contains("Small")), "{small:?}");
    let found = axe::judge(&mut person, &["light"]);
    for rule in ["label", "color-contrast"] {
        let begin = format!("light: \"{rule}\" ");
        let is_bad = found.iter().any(|one| one.is_bad() && one.text.starts_with(&begin));
        assert!(is_bad, "{rule} is not in {found:?}");
    }
    let stuck = keyboard::faults(&mut person).join("\n");
    assert!(stuck.contains("nobody sees that link `Unseen`"), "{stuck}");
    assert!(stuck.contains("a keyboard reaches"), "{stuck}");
    person.take_notes();
    assert_eq!(person.watch.elsewhere(&page.url()), ["http://127.0.0.2:9/elsewhere.css"]);
    let complaints = person.watch.complaints.join("\n");
    for seen in ["a complaint", "script: ", "Content Security Policy", "elsewhere.css"] {
        assert!(complaints.contains(seen), "`{seen}` is not in {complaints}");
    }
}
