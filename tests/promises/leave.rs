//! The end of an account: H7, S10 and R12 for a person and all their devices.

use crate::common::World;
use crate::common::agent::{ddns_host, link_host};
use crate::common::hub::Hub;
use crate::common::net::{DEVICE, Line};
use crate::common::page::Page;
use crate::common::process::{Process, until, until_equal};
use crate::common::visitor::{Answer, dig, fetch, is_refused};
use crate::common::watch::files_with;
use crate::person::{PASSWORD, Person, WITH_PAGES};
use data_encoding::BASE64URL_NOPAD;
use qcloud_agent::hub::store::Scope;
use qcloud_agent::hub::store::account::TABLES;
use qcloud_agent::wire::receipt::{ACCOUNT_TYPE, AccountReceipt};
use qcloud_agent::wire::signed;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const BOX: &str = "gone-box-77ae";
const ANNA: &str = "anna.gone.4471@mail.example.org";
const SOON: Duration = Duration::from_secs(10);

fn rows(hub: &Hub) -> BTreeMap<&'static str, u64> {
    let all = Scope::Registration.tables().iter().copied();
    all.chain(TABLES.iter().map(|table| table.name)).map(|name| (name, hub.rows(name))).collect()
}

fn goodbye(anna: &Person) -> [(&'static str, &str); 2] {
    [("password", PASSWORD), ("address", &anna.email)]
}

/// Guard: `account-erase`, the walk over the account's tables.
///
/// The attack: whoever takes the disk away in the moment of the answer, in which the hub dies.
#[test]
fn h7_a_deleted_account_leaves_no_byte_and_its_devices_are_cut() {
    let mut world = World::with_hub(Line::Direct, &WITH_PAGES);
    let agent = world.member(BOX, "");
    agent.ok(&["ddns", "on"]);
    let page = Page::open(&world.net.device, "a page");
    let certificate = agent.link_up(&page.url());
    let url = format!("https://{}/", link_host(BOX));
    fetch(&world.net.visitor, &certificate, &url).ok();
    let dns = || dig(&world.net.visitor, &ddns_host(BOX), "A", "+notcp");
    until_equal("the name", SOON, &Answer::address(DEVICE), dns);
    until_equal("the log", SOON, &1, || world.hub.rows("link_log"));
    let (id, key) = (agent.id(), crate::ask::Papers::of(&agent).spki());
    let anna = Person::invited(&world, ANNA);
    anna.owns(&world.hub, BOX);
    anna.profile(&[("name", "Canary Öberg"), ("phone", "+46 8 1")]);

    let got = anna.submit("/account/delete", &goodbye(&anna));
    let answered = Instant::now();
    assert_eq!(got.status, 200, "{}", got.body);
    assert!(got.head.contains("__host-session=;"), "{}", got.head);
    assert_eq!(dns(), Answer::no_such_name(), "the name is gone with the answer");
    until("the end of the session", Duration::from_secs(5), || {
        is_refused(&world.net.visitor, &link_host(BOX)).then_some(())
    });
    assert!(answered.elapsed() < Duration::from_secs(5));
    assert_eq!(anna.get("/").status, 303, "signed out");
    world.hub.kill();

    let receipt = receipt(&world.hub, &got.body);
    assert_eq!((receipt.account.as_str(), receipt.devices.as_slice()), (ANNA, &[BOX.into()][..]));
    assert!(receipt.kept.is_empty(), "without mail nothing is kept: {:?}", receipt.kept);
    assert_eq!(
        (receipt.rows["device"], receipt.rows["account"], receipt.rows["profile"]),
        (1, 1, 1)
    );
    for (table, left) in rows(&world.hub) {
        assert_eq!(left, 0, "rows of {table} are left");
        assert!(receipt.rows.contains_key(table), "{table} is not in the receipt");
    }
    let traces = [ANNA.as_bytes(), BOX.as_bytes(), id.as_bytes(), &key, b"192.0.2.0"];
    for trace in traces {
        let left = files_with(world.hub.dir(), trace);
        assert_eq!(left, Vec::<PathBuf>::new(), "{} is left", String::from_utf8_lossy(trace));
    }
    assert!(!world.hub.log_text().contains(ANNA));
}

/// The receipt that a page shows, once the hub's signature holds.
fn receipt(hub: &Hub, page: &str) -> AccountReceipt {
    let kind =
        BASE64URL_NOPAD.encode(format!(r#"{{"alg":"EdDSA","typ":"{ACCOUNT_TYPE}"}}"#).as_bytes());
    let at = page.find(&format!("{kind}.")).expect("a receipt");
    let document = page[at..].split('<').next().expect("an end");
    let key = std::fs::read(hub.dir().join("receipt.key")).expect("the hub's key");
    let key = Ed25519KeyPair::from_pkcs8(&key).expect("a key");
    signed::verify(document, ACCOUNT_TYPE, key.public_key().as_ref()).expect("a signed receipt")
}

/// Guard: `leave-password`. The attacks: a browser that was left signed in, a wrong address, a form of another page,
/// another account.
#[test]
fn r12_only_the_owner_deletes_an_account() {
    let world = World::with_hub(Line::Direct, &WITH_PAGES);
    let ben = Person::invited(&world, "ben@mail.example.org");
    let anna = Person::invited(&world, "anna@mail.example.org");
    let tries = [
        [("password", "not the password"), ("address", "anna@mail.example.org")],
        [("password", PASSWORD), ("address", "ben@mail.example.org")],
        [("password", PASSWORD), ("address", "")],
    ];
    for form in tries {
        let got = anna.submit("/account/delete", &form);
        assert_eq!(got.status, 422, "{form:?}");
    }
    let mark = ben.get("/account/delete").field("mark");
    let form = [goodbye(&anna).as_slice(), &[("mark", &mark)]].concat();
    assert_eq!(anna.post("/account/delete", &form).status, 403);
    assert_eq!(world.hub.rows("account"), 2, "both are there");
    assert_eq!(anna.submit("/account/delete", &goodbye(&anna)).status, 200);
    assert_eq!(world.hub.rows("account"), 1);
    assert_eq!(ben.get("/account").status, 200, "the other is untouched");
}

/// The attack: the hub dies while it erases. Then the account is whole, or gone.
#[test]
fn r12_a_hub_that_dies_while_it_erases_leaves_an_account_whole_or_gone() {
    let mut world = World::with_hub(Line::Direct, &WITH_PAGES);
    let mut whole = 0;
    let mut gone = 0;
    // An answer takes some 100 ms, most of it the password's hash. The last one is waited for.
    for delay in [0, 30, 50, 70, 90, 120, 160, 1000] {
        let email = format!("anna{delay}@mail.example.org");
        let anna = Person::invited(&world, &email);
        fill(&world.hub);
        let before = rows(&world.hub);
        let form = anna.submission("/account/delete", &goodbye(&anna));
        let mut asked =
            Process::spawn("the demand", form, &world.scratch.path(&format!("{delay}")));
        if delay == 1000 {
            asked.ended(Duration::from_secs(20));
        } else {
            std::thread::sleep(Duration::from_millis(delay));
        }
        world.hub.kill();
        // Its jar of cookies is whole only at its end.
        if delay < 1000 {
            asked.ended(Duration::from_secs(20));
        }
        world.hub.serve();
        let after = rows(&world.hub);
        if after["account"] == 0 {
            gone += 1;
            assert!(
                after.values().all(|rows| *rows == 0),
                "after {delay} ms half is left: {after:?}"
            );
        } else {
            whole += 1;
            assert_eq!(after, before, "after {delay} ms");
            assert_eq!(anna.get("/account").status, 200);
            assert_eq!(anna.submit("/account/delete", &goodbye(&anna)).status, 200);
        }
    }
    assert!(whole > 0 && gone > 0, "no kill came before, or none after: {whole} {gone}");
}

/// Gives the account so many rows that to erase them takes its time.
fn fill(hub: &Hub) {
    let database = Connection::open(hub.dir().join("hub.db")).expect("the database");
    database.busy_timeout(Duration::from_secs(20)).expect("a timeout");
    let sql =
        "WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 4000)
        INSERT INTO account_log (account, what, masked, made_at)
        SELECT (SELECT max(number) FROM account), 'signed_out', '192.0.2.0', unixepoch() FROM many";
    database.execute(sql, []).expect("rows");
}
