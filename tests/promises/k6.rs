//! K6: without cookies every page still says, readably, what it can.

use crate::browser::{Browser, EMAIL, PASSWORD, hub};
use crate::phone::switched_on;
use qcloud_agent::hub::pages::routes::ROUTES;

const FORM: &str = "application/x-www-form-urlencoded";

/// A browser that keeps no cookie and follows where it is sent.
async fn followed(
    browser: &Browser,
    mut request: reqwest::RequestBuilder,
    from: Option<&str>,
) -> (u16, String) {
    for _ in 0..4 {
        if let Some(from) = from {
            // The page whose form or link was used stays the one they come from.
            request = request.header("referer", format!("{}{from}", browser.url));
        }
        let response = request.send().await.expect("an answer");
        let Some(to) = response.headers().get("location") else {
            let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
            let status = response.status().as_u16();
            let text = response.text().await.expect("text");
            assert!(kind.starts_with("text/") || kind.starts_with("image/svg"), "{kind}");
            return (status, text);
        };
        let to = to.to_str().expect("text").to_owned();
        assert!(to.starts_with('/'), "{to}");
        request = browser.client.get(format!("{}{to}", browser.url));
    }
    panic!("it is sent round and round");
}

fn is_readable(text: &str) -> bool {
    text.contains("<h1>") && text.contains("</html>") && !text.contains("<noscript")
}

/// Guard: `cookie-page`, the look whether the cookie came back.
#[tokio::test]
async fn k6_a_browser_that_keeps_no_cookie_is_told_so() {
    let hub = hub();
    let mut owner = Browser::of(&hub, EMAIL).await;
    let browser = Browser::new(&hub);
    let sign_in = || {
        let body = format!("email={EMAIL}&password={}&to=/log", PASSWORD.replace(' ', "+"));
        let url = format!("{}/sign-in", browser.url);
        let request = browser.client.post(url).header("origin", browser.url.clone());
        request.header("content-type", FORM).body(body)
    };
    for _ in 0..2 {
        let (status, text) = followed(&browser, sign_in(), Some("/sign-in?to=/log")).await;
        assert!(status == 200 && is_readable(&text), "{status}: {text}");
        assert!(text.contains("kept no cookie") && text.contains("Allow cookies"), "{text}");
        // The same before a second step.
        if owner.get("/security").await.text.contains("○ off") {
            switched_on(&mut owner).await;
        }
    }
    for route in ROUTES.iter().filter(|route| route.method == "GET") {
        let request = browser.client.get(format!("{}{}", browser.url, route.path));
        let (status, text) = followed(&browser, request, None).await;
        assert!(!text.contains("Allow cookies"), "nobody tried to sign in: {}", route.path);
        let is_page = !route.path.contains('.');
        assert!([200, 403, 404].contains(&status), "{}: {status}", route.path);
        assert!(!is_page || is_readable(&text), "{}: {text}", route.path);
    }
}
