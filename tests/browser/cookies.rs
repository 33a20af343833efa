//! A browser that takes no cookies (promise K6).

use crate::stage::{self, ORIGIN, PASSWORD};
use serde_json::json;

/// Chromium's number for "block".
const BLOCK: u32 = 2;

#[test]
fn without_cookies_the_pages_say_what_is_missing() {
    let world = stage::world();
    let link = stage::invitation(&world);
    let mut ready = stage::person(&world);
    stage::accept(&mut ready, &link);
    drop(ready);
    let mut person = stage::person_with(&world, "refuser", |dir| {
        let wish = json!({"profile": {"default_content_setting_values": {"cookies": BLOCK}}});
        std::fs::create_dir_all(dir.join("profile/Default")).expect("a directory");
        std::fs::write(dir.join("profile/Default/Preferences"), wish.to_string()).expect("a file");
    });
    let missing = "Allow cookies for this";
    person.go(&format!("{ORIGIN}/log"));
    assert_eq!((person.path().as_str(), person.watch.status), ("/sign-in", 200));
    person.sees_no(missing);
    stage::sign_in(&mut person, "not this one");
    person.sees("The address or the password is not right.");
    person.sees_no(missing);
    stage::sign_in(&mut person, PASSWORD);
    assert!(person.path().starts_with("/sign-in") && person.watch.status == 200);
    person.sees(missing);
    // Whoever was invited is told the same.
    let link = stage::invitation(&world);
    person.go(&link);
    person.fill("textbox", "New password", PASSWORD);
    person.fill("textbox", "The same again", PASSWORD);
    person.follow("button", "Set it and sign in");
    person.sees(missing);
}
