//! What is kept of a person as a whole, on SQLite: their profile, all their rows, and the end of them.

use super::people::account as read_account;
use super::sqlite::{SqliteStore, engine, many, one, write};
use super::worker::Kind;
use super::{Answer, Device, Kept, Scope, StoreError};
use super::{classes, hold, keep, license, schema};
use crate::clock::{Wall, system_wall};
use crate::hub::keeping::{Deletion, Keeping};
use rusqlite::{Connection, Row, params};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) const CREATE: &str = "
CREATE TABLE profile (
    account INTEGER PRIMARY KEY REFERENCES account (number) ON DELETE CASCADE,
    name BLOB,
    phone BLOB,
    language BLOB,
    zone BLOB,
    findable BLOB,
    made_at INTEGER NOT NULL
) STRICT;
";

/// A table with rows of accounts.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Which rows are those of the account `?1`.
    whose: &'static str,
    /// Columns that are not shown, and what they are: whoever had the file could use them, or guess at them.
    pub withheld: &'static [(&'static str, &'static str)],
}

const TICKET: &[(&str, &str)] =
    &[("ticket", "a hash, of which only your browser or you have the original")];

const fn own(name: &'static str, withheld: &'static [(&'static str, &'static str)]) -> Table {
    Table { name, whose: "account = ?1", withheld }
}

const fn of_license(
    name: &'static str,
    withheld: &'static [(&'static str, &'static str)],
) -> Table {
    Table { name, whose: "lid IN (SELECT lid FROM license WHERE account = ?1)", withheld }
}

/// Every table with rows of accounts, in the order they are erased: children first. Those of devices are in
/// [`Scope::tables`].
pub static TABLES: &[Table] = &[
    Table {
        name: "outbox",
        whose: "entry IN (SELECT number FROM account_log WHERE account = ?1)",
        withheld: &[],
    },
    own("account_log", &[]),
    own("invitation", TICKET),
    own("browser", TICKET),
    own("half_session", TICKET),
    own("trusted_browser", TICKET),
    own("known_browser", TICKET),
    own("recovery_code", &[("code", "a hash, of which only you have the original")]),
    own("second_factor", &[("secret", "a key: it makes your codes, and lies sealed here")]),
    own("address_change", &[]),
    own("identity", &[]),
    own("share", &[]),
    own("account_lock", &[]),
    of_license("license_log", &[]),
    of_license("license_key", &[("hash", "a hash, of which only you have the original")]),
    // Those of own devices go and are shown with the device.
    Table {
        name: "license_seat",
        whose: "lid IN (SELECT lid FROM license WHERE account = ?1)
            AND device NOT IN (SELECT id FROM device WHERE account = ?1)",
        withheld: &[],
    },
    of_license("license_taken", &[]),
    own("license", &[]),
    own("profile", &[]),
    own(
        "pending",
        &[
            ("code_hash", "a hash, of which only the device has the original"),
            ("spki", "the public key of the device that asked"),
        ],
    ),
    Table {
        name: "account",
        whose: "number = ?1",
        withheld: &[("password", "an Argon2id hash of your password")],
    },
];

/// A profile as it is kept: each field sealed, none needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileRow {
    /// What the person is called.
    pub name: Option<Vec<u8>>,
    /// Their telephone number.
    pub phone: Option<Vec<u8>>,
    /// The tag of their language.
    pub language: Option<Vec<u8>>,
    /// The name of their time zone.
    pub zone: Option<Vec<u8>>,
    /// Who may find them by their address.
    pub findable: Option<Vec<u8>>,
}

/// What an account's erasure took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Rows by table; each table of an account and of its devices is listed.
    pub rows: BTreeMap<String, u64>,
    /// The devices that were its own.
    pub devices: Vec<Device>,
}

/// What the store keeps of persons as a whole. Each call is atomic and durable when answered.
pub trait Own: Send + Sync {
    /// The profile of an account; an empty one when there is no row.
    fn profile(&self, account: u64) -> Answer<'_, ProfileRow>;
    /// Puts a profile in place of the one before; what that said is in no file any more.
    fn set_profile(&self, account: u64, profile: ProfileRow, now: Wall) -> Answer<'_, ()>;
    /// Rows of one of [`TABLES`] that are of an account, after the one with this number, at most so many.
    fn rows_of(
        &self,
        account: u64,
        table: &'static str,
        after: u64,
        most: u64,
    ) -> Answer<'_, Vec<Kept>>;
    /// Erases an account, its devices, and every row of either. `None` when there is no such account.
    fn erase_account(&self, account: u64) -> Answer<'_, Option<Gone>>;
}

fn profile(row: &Row<'_>) -> Result<ProfileRow, StoreError> {
    Ok(ProfileRow {
        name: schema::column(row, 0)?,
        phone: schema::column(row, 1)?,
        language: schema::column(row, 2)?,
        zone: schema::column(row, 3)?,
        findable: schema::column(row, 4)?,
    })
}

fn set_profile(
    connection: &Connection,
    account: u64,
    profile: &ProfileRow,
    now: Wall,
) -> Result<(), StoreError> {
    let account = schema::integer(account);
    let sql = "DELETE FROM profile WHERE account = ?1";
    write(connection, "drop a profile", sql, [account])?;
    if *profile == ProfileRow::default() {
        return Ok(());
    }
    let sql = "INSERT INTO profile (account, name, phone, language, zone, findable, made_at)
        VALUES (?1,?2,?3,?4,?5,?6,?7)";
    let values = params![
        account,
        profile.name,
        profile.phone,
        profile.language,
        profile.zone,
        profile.findable,
        schema::integer(now.unix_seconds()),
    ];
    write(connection, "keep a profile", sql, values).map(drop)
}

fn rows_of(
    connection: &Connection,
    account: u64,
    table: &str,
    after: u64,
    most: u64,
) -> Result<Vec<Kept>, StoreError> {
    let known = TABLES.iter().find(|known| known.name == table);
    let whose = known.ok_or_else(|| engine("show a table", "it is none of accounts"))?.whose;
    let sql = format!(
        "SELECT rowid, {} FROM {table} WHERE {whose} AND rowid > ?2 ORDER BY rowid LIMIT ?3",
        classes::shown(table)
    );
    let values = [account, after, most].map(schema::integer);
    many(connection, &sql, values, schema::kept)
}

/// Moves an account's own rows out of reach when a hold stands over it; whether one does.
fn set_aside(connection: &Connection, keeping: &Keeping, account: u64) -> Result<bool, StoreError> {
    let subject = hold::account_subject(keeping, account);
    let rows = || {
        let tables = TABLES.iter().map(|Table { name, .. }| {
            let rows = rows_of(connection, account, name, 0, hold::ALL)?;
            let rows = rows.into_iter().map(|row| Value::Object(row.data)).collect();
            Ok(((*name).to_owned(), rows))
        });
        tables.collect()
    };
    hold::set_aside(connection, keeping, &[subject], subject, rows)
}

fn erase_account(
    connection: &Connection,
    keeping: Option<&Keeping>,
    account: u64,
) -> Result<Option<Gone>, StoreError> {
    let number = schema::integer(account);
    let sql = "SELECT number, email, password, made_at FROM account WHERE number = ?1";
    if one(connection, sql, [number], read_account)?.is_none() {
        return Ok(None);
    }
    let sql = format!("SELECT {} FROM device WHERE account = ?1", schema::DEVICE);
    let devices = many(connection, &sql, [number], schema::device)?;
    let all = Scope::Registration.tables().iter().copied();
    let all = all.chain(TABLES.iter().map(|table| table.name));
    let mut rows: BTreeMap<String, u64> = all.map(|table| (table.to_owned(), 0)).collect();
    let mut count = |table: &str, more: u64| *rows.entry(table.to_owned()).or_default() += more;
    keep::note(connection, keeping, Deletion::Account(account))?;
    let now = keeping.map_or_else(system_wall, |keeping| keeping.clock.now().wall);
    license::void_account(connection, number, now)?;
    let is_held = match keeping {
        Some(keeping) => set_aside(connection, keeping, account)?,
        None => false,
    };
    for device in &devices {
        for (table, more) in hold::erase(connection, keeping, device, Scope::Registration)? {
            count(&table, more);
        }
    }
    for Table { name, whose, .. } in TABLES {
        if crate::sabotage::off("account-erase") {
            continue;
        }
        let sql = format!("DELETE FROM {name} WHERE {whose}");
        let erased = write(connection, "erase an account", &sql, [number])?;
        // What is held is kept: the receipt counts none of it as erased.
        count(name, if is_held { 0 } else { erased });
    }
    Ok(Some(Gone { rows, devices }))
}

impl Own for SqliteStore {
    fn profile(&self, account: u64) -> Answer<'_, ProfileRow> {
        Box::pin(self.0.call(Kind::Read, move |c| {
            let sql =
                "SELECT name, phone, language, zone, findable FROM profile WHERE account = ?1";
            Ok(one(c, sql, [schema::integer(account)], profile)?.unwrap_or_default())
        }))
    }

    fn set_profile(&self, account: u64, profile: ProfileRow, now: Wall) -> Answer<'_, ()> {
        Box::pin(self.0.call(Kind::Erase, move |c| set_profile(c, account, &profile, now)))
    }

    fn rows_of(
        &self,
        account: u64,
        table: &'static str,
        after: u64,
        most: u64,
    ) -> Answer<'_, Vec<Kept>> {
        Box::pin(self.0.call(Kind::Read, move |c| rows_of(c, account, table, after, most)))
    }

    fn erase_account(&self, account: u64) -> Answer<'_, Option<Gone>> {
        self.noted(move |c, keeping| erase_account(c, keeping, account))
    }
}
