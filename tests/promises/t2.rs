//! T1 and T2: what letters say, and what they do not.

use crate::browser::{Browser, EMAIL, PAGES, PASSWORD};
use crate::phone::private;
use crate::s11::{life, link};
use crate::sink::{Sink, hub_with};
use std::time::Duration;

/// Guard: `people-mail`, the letter that goes with a line of the log.
///
/// The attack: everything a form, an address or a header could be asked to switch them off with.
#[tokio::test]
async fn t1_letters_about_safety_cannot_be_switched_off_and_sell_nothing() {
    let sink = Sink::at("127.0.0.1:0");
    let hub = hub_with(sink.at);
    let mut anna = Browser::of(&hub, EMAIL).await;
    let first = [sink.next(), sink.next()];
    let mark = anna.get("/").await.mark();
    let off = [("mark", &*mark), ("mail", "off"), ("letters", "0"), ("unsubscribe", "1")];
    for path in private("POST").iter().filter(|path| *path != "/sign-out") {
        anna.post(path, &off).await;
    }
    for path in ["/unsubscribe", "/security/mail", "/mail"] {
        assert_eq!(anna.post(path, &off).await.status, 404, "{path}");
    }
    let mut other = Browser::new(&hub);
    other.moved(&hub, 41);
    other.sign_in(EMAIL, PASSWORD).await;
    let letter = sink.next();
    assert!(
        letter.contains("Subject: Your account was signed in to with a new browser"),
        "{letter}"
    );
    for letter in first.iter().chain([&letter]) {
        let lower = letter.to_lowercase();
        let sells = ["offer", "discount", "newsletter", "upgrade", "premium", "buy", "unsubscribe"];
        for word in sells {
            assert!(!lower.contains(word), "{word} in {letter}");
        }
        assert!(letter.contains("cannot be switched off"), "{letter}");
    }
}

/// Guard: `mail-plain`, the kind of text a letter is.
#[tokio::test]
async fn t2_letters_are_plain_text_that_tells_nobody_whether_it_was_read() {
    let sink = Sink::at("127.0.0.1:0");
    let (_hub, _, mut letters) = life(&sink).await;
    while let Ok(letter) = sink.letters.recv_timeout(Duration::from_millis(500)) {
        letters.push(letter);
    }
    assert!(letters.len() > 12, "{}", letters.len());
    for letter in &letters {
        let (envelope, text) = letter.split_once("\n\n").expect("an envelope");
        assert!(envelope.contains("MAIL FROM:<hub@cloud.example.org>"), "{envelope}");
        let (head, body) = text.split_once("\n\n").expect("a head");
        let head = format!("{head}\n");
        for line in head.lines().filter(|line| !line.starts_with(' ')) {
            let name = line.split(':').next().expect("a name");
            let plain = [
                "From",
                "To",
                "Subject",
                "Date",
                "MIME-Version",
                "Content-Type",
                "Content-Transfer-Encoding",
                "Auto-Submitted",
            ];
            assert!(plain.contains(&name), "{name} in {letter}");
        }
        assert!(head.contains("Content-Type: text/plain"), "{letter}");
        assert!(head.contains("Auto-Submitted: auto-generated"), "{letter}");
        // The one link there is is the page that confirms an address, in the letter that asks for it.
        // A provider is named by its URL, which leads to nobody in particular.
        let confirms = head.contains("Subject: Is this your address?");
        let issuer = body.matches("http://127.0.0.1:").count();
        assert_eq!(body.matches("://").count() - issuer, usize::from(confirms), "{letter}");
        assert_eq!(link(letter).is_some(), confirms, "{letter}");
        for banned in ["<", "?", "&", "utm", "cid:", "data:"] {
            assert!(!body.contains(banned), "{banned} in {letter}");
        }
        assert!(body.contains(PAGES) && !letter.contains(PASSWORD));
        assert!(!body.contains("network 127.0.0.1"), "whole addresses are in no letter: {letter}");
    }
}
