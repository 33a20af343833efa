//! Letters about accounts, as a mail server gets them.

use super::browser::{Browser, EMAIL};
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
