//! What is kept of a person as a whole: which tables, how they are shown, and whom a person lets find them.

use super::browser::{Browser, PAGES};
use super::store_contract::{at, enrolled, holds_bytes, sqlite};
use super::support::{Hub, TempDir};
use core::sync::atomic::{AtomicU64, Ordering};
use qcloud_agent::hub::people::email::Email;
use qcloud_agent::hub::people::profile::{Findable, Profile};
use qcloud_agent::hub::people::{People, Person};
use qcloud_agent::hub::seal::Seal;
use qcloud_agent::hub::store::account::{ProfileRow, TABLES, Table};
use qcloud_agent::hub::store::classes::{CLASSES, Class};
use qcloud_agent::hub::store::people::{Entry, Happened};
use qcloud_agent::hub::store::{Scope, Store};
use qcloud_agent::hub::sweep::{EXPIRING, RULES};
use qcloud_agent::secret::Secret;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::sync::Arc;

fn names(connection: &Connection, sql: &str, by: &str) -> BTreeSet<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([by], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// A table or a column that somebody adds is shown to whom it is about and goes with them, or this fails.
#[test]
fn every_table_of_people_is_exported_and_erased_with_all_its_columns() {
    let (_store, temp) = sqlite();
    let connection = Connection::open(temp.0.join("hub.db")).unwrap();
    let all = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE ?1";
    for table in names(&connection, all, "%") {
        let sql = "SELECT name FROM pragma_table_info(?1)";
        let columns = names(&connection, sql, &table);
        let of_accounts: Option<&Table> = TABLES.iter().find(|known| known.name == table);
        let of_devices = Scope::Registration.tables().contains(&table.as_str());
        assert!(
            !columns.contains("account") || of_accounts.is_some() || table == "device",
            "{table} has rows of accounts and is not in `account::TABLES`"
        );
        assert!(
            !columns.contains("device") || of_devices,
            "{table} has rows of devices and is not in `Scope::tables`"
        );
        let columns = CLASSES.iter().find(|(name, _)| *name == table).map(|(_, columns)| columns);
        for (column, class) in columns.iter().flat_map(|columns| columns.iter()) {
            let withheld = |known: &&Table| known.withheld.iter().any(|(name, _)| name == column);
            let is_given = of_accounts.filter(|known| !withheld(known)).is_some();
            assert!(!matches!(class, Class::Hash | Class::Key) || !is_given, "{table}.{column}");
        }
    }
}

async fn account(store: &dyn Store, key: u8) -> u64 {
    store.invite([key; 32], vec![key; 40], [key + 100; 32], at(0)).await.unwrap();
    store.account([key; 32]).await.unwrap().unwrap().number
}

#[tokio::test]
async fn an_account_is_erased_with_its_devices_and_no_other_is_touched() {
    let (store, temp) = sqlite();
    let mut whose = Vec::new();
    for key in [1, 2] {
        let account = account(store.as_ref(), key).await;
        let about = Some(vec![key + 50; 33]);
        let masked = "192.0.2.0".parse().unwrap();
        let entry = Entry { what: Happened::SignedIn, about, masked, made_at: at(1) };
        store.note(account, entry, true).await.unwrap();
        store.sign_in([key + 10; 32], account, masked, at(1)).await.unwrap();
        let name = Some(vec![key + 20; 34]);
        let profile = ProfileRow { name, ..ProfileRow::default() };
        store.set_profile(account, profile, at(1)).await.unwrap();
        let device = enrolled(store.as_ref(), key, &format!("box{key}"), key).await;
        let connection = Connection::open(temp.0.join("hub.db")).unwrap();
        let sql = "UPDATE device SET account = ?1 WHERE id = ?2";
        let number = i64::try_from(account).unwrap();
        connection.execute(sql, (number, &device.id)).unwrap();
        whose.push((account, device));
    }
    let (first, device) = whose.remove(0);
    let gone = store.erase_account(first).await.unwrap().unwrap();
    assert_eq!(gone.devices, [device]);
    let tables = ["account", "account_log", "outbox", "browser", "profile", "device", "invitation"];
    for table in tables {
        assert_eq!(gone.rows[table], 1, "{table}");
    }
    assert!(TABLES.iter().all(|table| gone.rows.contains_key(table.name)));
    for byte in [1_u8, 11, 21, 51, 101] {
        assert!(!holds_bytes(&temp, &[byte; 30]), "{byte} is left");
        assert!(holds_bytes(&temp, &[byte + 1; 30]), "{} was the other's", byte + 1);
    }
    let (second, device) = whose.remove(0);
    assert_eq!(store.devices_of(second).await.unwrap(), [device]);
    assert!(store.profile(second).await.unwrap().name.is_some());
    assert_eq!(store.erase_account(first).await.unwrap(), None);
    assert_eq!(store.profile(first).await.unwrap(), ProfileRow::default());
}

fn people(store: &Arc<dyn Store>) -> People {
    let seal = Seal::new(&Secret::new([7; 64])).unwrap();
    People::new(Arc::clone(store), Arc::new(seal), false).unwrap()
}

async fn person(people: &People, email: &str) -> Person {
    let ticket = people.invite(&Email::parse(email).unwrap(), at(0)).await.unwrap();
    people.invited(ticket.text(), at(0)).await.unwrap().unwrap()
}

/// Guard: `people-findable`. The attack: somebody tries addresses to learn who is here.
#[tokio::test]
async fn q6_who_is_found_decided_it_and_nobody_learns_who_is_there() {
    let (store, _temp): (_, TempDir) = sqlite();
    let people = people(&store);
    let anna = person(&people, "anna@mail.example.org").await;
    let ben = person(&people, "ben@mail.example.org").await;
    let asked = AtomicU64::new(0);
    let find = |address: &'static str, together: bool| {
        let (people, ben, asked) = (&people, &ben, &asked);
        async move {
            let shared = |_, _| async move {
                asked.fetch_add(1, Ordering::Relaxed);
                Ok(together)
            };
            let address = Email::parse(address).unwrap();
            let found = people.findable(ben, &address, shared).await.unwrap();
            found.map(|person| person.email.to_string())
        }
    };
    let (anna_is, nobody) = ("anna@mail.example.org", "nobody@mail.example.org");
    for together in [false, true] {
        assert_eq!(find(anna_is, together).await, None, "nobody is the default");
        assert_eq!(find(nobody, together).await, None);
    }
    let profile = Profile { findable: Findable::Shared, ..Profile::default() };
    people.set_profile(anna.account, &profile, at(1)).await.unwrap();
    assert_eq!(find(anna_is, true).await.as_deref(), Some(anna_is));
    assert_eq!(find(anna_is, false).await, None, "a stranger");
    assert_eq!(find(nobody, true).await, None);
    people.set_profile(anna.account, &Profile::default(), at(2)).await.unwrap();
    assert_eq!(find(anna_is, true).await, None, "she has changed her mind");
    assert_eq!(asked.load(Ordering::Relaxed), 8, "each answer came after the same questions");
}

/// What is kept, why and until when is told to anybody, by the rules that the sweep obeys.
#[tokio::test]
async fn anybody_reads_what_is_kept_until_when_and_who_runs_the_hub() {
    let who = ["--contact", "<b>privacy@example.org", "--region", "Sweden"];
    let hub = Hub::start_with(&[&["--sandbox", "--pages", PAGES], who.as_slice()].concat());
    let mut nobody = Browser::new(&hub);
    let page = nobody.get("/privacy").await;
    assert_eq!((page.status, nobody.cookies.len()), (200, 0));
    let rows = |table: &str| {
        let at = page.text.split(&format!("<tr id=\"{table}\">")).nth(1).unwrap_or_default();
        at.split("</tr>").next().unwrap_or_default().to_owned()
    };
    for rule in RULES {
        let row = rows(rule.table);
        let until = row.rsplit("<td>").next().unwrap_or_default();
        let days = rule.keeps().map(|keeps| keeps.as_secs() / 86_400).filter(|days| *days > 0);
        match days {
            Some(days) => assert_eq!(until, format!("{days} days</td>"), "{}", rule.table),
            None => assert!(until.len() > 8, "{}: {row}", rule.table),
        }
        assert_eq!(row.matches("<td>").count(), 3, "{}: {row}", rule.table);
    }
    assert!(EXPIRING.iter().all(|table| !rows(table).is_empty()));
    assert!(page.text.contains("&lt;b&gt;privacy@example.org") && page.text.contains("Sweden"));
}
