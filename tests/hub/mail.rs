//! Letters about accounts, as a mail server gets them.

use super::browser::{Browser, EMAIL, PAGES, PASSWORD, hub};
use super::support::Hub;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A mail server that takes everything and shows it.
struct Sink {
    at: SocketAddr,
    letters: Receiver<String>,
}

impl Sink {
    fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let at = listener.local_addr().unwrap();
        let (sender, letters) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || take(stream, &sender));
            }
        });
        Self { at, letters }
    }

    fn next(&self) -> String {
        self.letters.recv_timeout(SOON).expect("a letter")
    }
}

fn take(mut stream: TcpStream, letters: &Sender<String>) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut letter: Option<String> = None;
    let mut envelope = String::new();
    stream.write_all(b"220 sink\r\n").ok()?;
    for line in lines {
        let line = line.ok()?;
        let answer = match (&mut letter, line.as_str()) {
            (Some(text), ".") => {
                letters.send(format!("{envelope}\n{text}")).ok()?;
                letter = None;
                "250 ok\r\n"
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
            (None, "DATA") => {
                letter = Some(String::new());
                "354 go on\r\n"
            }
            (None, "QUIT") => return stream.write_all(b"221 bye\r\n").ok(),
            (None, line) => {
                if line.starts_with("MAIL") || line.starts_with("RCPT") {
                    envelope = format!("{envelope}{line}\n");
                }
                "250 ok\r\n"
            }
        };
        stream.write_all(answer.as_bytes()).ok()?;
    }
    None
}

/// A hub that mails to this sink.
fn hub_with(sink: SocketAddr) -> Hub {
    let mut hub = hub();
    let path = hub.dir.join("hub.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mail = format!("\n[mail]\nserver = \"smtp://{sink}\"\nfrom = \"hub@cloud.example.org\"\n");
    std::fs::write(&path, text + &mail).unwrap();
    hub.crash();
    hub
}

/// Guard: `people-mail`, the letter that goes with a line of the log.
#[tokio::test]
async fn every_important_change_is_told_by_a_plain_letter_without_a_tracker() {
    let sink = Sink::at("127.0.0.1:0");
    let hub = hub_with(sink.at);
    let mut browser = Browser::of(&hub, EMAIL).await;
    let (first, second) = (sink.next(), sink.next());
    assert!(first.contains("Subject: Your password was set"), "{first}");
    assert!(second.contains("Subject: Somebody signed in to your account"), "{second}");
    for letter in [&first, &second] {
        assert!(letter.contains(&format!("RCPT TO:<{EMAIL}>")), "{letter}");
        assert!(letter.contains("Content-Type: text/plain"), "{letter}");
        assert!(letter.contains("Auto-Submitted: auto-generated"), "{letter}");
        assert!(letter.contains("127.0.0.0") && !letter.contains("127.0.0.1\n"), "masked");
        for tracker in ["http://", "https://", "<img", "<html", "List-Unsubscribe", "X-"] {
            assert!(!letter.contains(tracker), "{tracker} in {letter}");
        }
        assert!(letter.contains(PAGES) && !letter.contains(PASSWORD));
    }
    // What is not important is in the log only: the next letter is the next sign-in's.
    let mark = browser.get("/").await.mark();
    browser.post("/sign-out", &[("mark", &mark)]).await;
    browser.sign_in(EMAIL, "a wrong password").await;
    browser.sign_in(EMAIL, PASSWORD).await;
    assert!(sink.next().contains("Somebody signed in"));
    assert!(sink.letters.recv_timeout(Duration::from_millis(300)).is_err());
}

/// The attack: the mail server is away, and the hub is killed meanwhile.
#[tokio::test]
async fn a_letter_waits_until_a_mail_server_takes_it() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut hub = hub_with(free);
    drop(Browser::of(&hub, EMAIL).await);
    let sink = Sink::at(&free.to_string());
    hub.crash();
    assert!(sink.next().contains("Your password was set"));
    assert!(sink.next().contains("Somebody signed in"));
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
    let (_, _) = (sink.next(), sink.next());
    let page = browser.get("/account/delete").await;
    assert!(page.text.contains("in memory only"), "it is said before: {}", page.text);
    let (mark, wrong) = (page.mark(), "another@mail.example.org");
    let form = |address| [("mark", &*mark), ("password", PASSWORD), ("address", address)];
    assert_eq!(browser.post("/account/delete", &form(wrong)).await.status, 422);
    let page = browser.post("/account/delete", &form(EMAIL)).await;
    assert!(page.text.contains("to send you a last letter"), "it is in the receipt: {}", page.text);
    let letter = sink.next();
    assert!(letter.contains("Subject: Your account was deleted"), "{letter}");
    assert!(letter.contains(&format!("RCPT TO:<{EMAIL}>")) && letter.contains("text/plain"));
    for table in ["outbox", "account", "account_log"] {
        let database = rusqlite::Connection::open(hub.dir.join("hub.db")).unwrap();
        let sql = format!("SELECT count(*) FROM {table}");
        assert_eq!(database.query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{table}");
    }
    let text = letter.replace("=\n", "");
    assert!(text.contains("eyJhbGciOiJFZERTQSIsInR5cCI6InFjbG91ZC1hY2NvdW50"), "{text}");
}
