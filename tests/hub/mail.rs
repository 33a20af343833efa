//! Letters about accounts, as a mail server gets them.

use super::browser::{Browser, EMAIL, PASSWORD};
use super::sink::{Sink, hub_with};
use std::net::TcpListener;
use std::time::Duration;

/// The attack: the mail server is away, and the hub is killed meanwhile.
#[tokio::test]
async fn a_letter_waits_until_a_mail_server_takes_it() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut hub = hub_with(free);
    drop(Browser::of(&hub, EMAIL).await);
    let sink = Sink::at(&free.to_string());
    hub.crash();
    assert!(sink.next().contains("Your password was set"));
    assert!(sink.next().contains("signed in to with a new browser"));
    // A hub that dies between the server's yes and its own note of it sends the letter again: better twice than never.
    let path = hub.dir.join("hub.db");
    let database = rusqlite::Connection::open(path).unwrap();
    let waiting =
        || database.query_row("SELECT count(*) FROM outbox", [], |row| row.get::<_, i64>(0));
    let noted = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        waiting().unwrap() == 0
    });
    assert!(noted, "the letters stay in the outbox");
    hub.crash();
    assert!(sink.letters.recv_timeout(Duration::from_secs(1)).is_err(), "each only once");
}

/// The last letter, to an account that is gone: nothing of it waits on the disk.
#[tokio::test]
async fn a_deleted_account_gets_a_last_letter_with_its_receipt() {
    let sink = Sink::at("127.0.0.1:0");
    let hub = hub_with(sink.at);
    let mut browser = Browser::of(&hub, EMAIL).await;
    let page = browser.get("/account/delete").await;
    assert!(page.text.contains("in memory only"), "it is said before: {}", page.text);
    let (mark, wrong) = (page.mark(), "another@mail.example.org");
    let form = |address| [("mark", &*mark), ("password", PASSWORD), ("address", address)];
    assert_eq!(browser.post("/account/delete", &form(wrong)).await.status, 422);
    let page = browser.post("/account/delete", &form(EMAIL)).await;
    assert!(page.text.contains("to send you a last letter"), "it is in the receipt: {}", page.text);
    let of_before = |letter: &String| !letter.contains("Subject: Your account was deleted");
    let letter = core::iter::repeat_with(|| sink.next()).find(|letter| !of_before(letter));
    let letter = letter.expect("it waits for a letter, or fails");
    assert!(letter.contains(&format!("RCPT TO:<{EMAIL}>")) && letter.contains("text/plain"));
    for table in ["outbox", "account", "account_log"] {
        let database = rusqlite::Connection::open(hub.dir.join("hub.db")).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{table}");
    }
    let text = letter.replace("=\n", "");
    assert!(text.contains("eyJhbGciOiJFZERTQSIsInR5cCI6InFjbG91ZC1hY2NvdW50"), "{text}");
}
