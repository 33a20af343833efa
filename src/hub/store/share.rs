//! Who may find a device besides its owner, on SQLite (promise M3).
//!
//! A device without a row in `visibility` is private. Whom it is shared with is kept as the number of an account; an
//! invitation, which may be to somebody who has none, as a sealed address that is found by its HMAC.

use super::schema;
use super::sqlite::{SqliteStore, known, many, one, write};
use super::worker::Kind;
use super::{Answer, Device, Hash, StoreError};
use crate::clock::Wall;
use rusqlite::{Connection, Row, params};

pub(super) const CREATE: &str = "
CREATE TABLE visibility (
    device TEXT PRIMARY KEY REFERENCES device (id),
    level TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE share (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL REFERENCES device (id),
    account INTEGER NOT NULL REFERENCES account (number) ON DELETE CASCADE,
    made_at INTEGER NOT NULL,
    UNIQUE (device, account)
) STRICT;
CREATE INDEX share_account ON share (account);
CREATE TABLE share_invitation (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    device TEXT NOT NULL REFERENCES device (id),
    who BLOB NOT NULL,
    email BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    UNIQUE (device, who)
) STRICT;
CREATE INDEX share_invitation_who ON share_invitation (who);
CREATE INDEX share_invitation_made_at ON share_invitation (made_at);
";

/// Who may read a device's address, ports and URLs at the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// Its owner.
    #[default]
    Private,
    /// Its owner, and those it is shared with.
    People,
    /// Whoever knows its name.
    Public,
}

impl Visibility {
    /// All there are, closest first, with the words they are kept and asked for by.
    pub const ALL: [(&'static str, Self); 3] =
        [("private", Self::Private), ("people", Self::People), ("public", Self::Public)];

    /// As it is kept.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, level)| *level == self).map_or("private", |(word, _)| word)
    }

    /// From how it is kept.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == word).map(|(_, level)| *level)
    }
}

/// Somebody a device is shared with, or who was invited to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guest {
    /// The number of the share or of the invitation.
    pub number: u64,
    /// Their address, sealed.
    pub email: Vec<u8>,
    /// When they were invited, or when they accepted.
    pub made_at: Wall,
}

/// An invitation to a device, as the invited person is shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The number of the invitation.
    pub number: u64,
    /// The device.
    pub device: Device,
    /// The address of its owner, sealed.
    pub owner: Vec<u8>,
    /// When it was made.
    pub made_at: Wall,
}

/// What the store keeps of who may find a device. Each call is atomic and durable when answered.
pub trait Shares: Send + Sync {
    /// Who may find a device.
    fn visibility(&self, device: String) -> Answer<'_, Visibility>;
    /// Sets it; says whether anything changed.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn set_visibility(&self, device: String, level: Visibility, now: Wall) -> Answer<'_, bool>;
    /// The device of this name, if this account, or nobody in particular, may find it. An unknown name and one that
    /// may not be found are the same one question with the same empty answer.
    fn find(&self, name: String, account: Option<u64>) -> Answer<'_, Option<Device>>;
    /// Notes an invitation, or makes one that waits anew, unless `most` people have or wait for the device; whether
    /// there was room. Somebody it is shared with already stays so.
    ///
    /// # Errors
    /// [`StoreError::NoDevice`] when the device has no row.
    fn share(
        &self,
        device: String,
        who: Hash,
        email: Vec<u8>,
        most: u64,
        now: Wall,
    ) -> Answer<'_, bool>;
    /// Whom a device is shared with, oldest first.
    fn guests(&self, device: String) -> Answer<'_, Vec<Guest>>;
    /// Who was invited to it no earlier than `since`, oldest first.
    fn invited_guests(&self, device: String, since: Wall) -> Answer<'_, Vec<Guest>>;
    /// Takes a share back; the sealed address it was with.
    fn unshare(&self, device: String, number: u64) -> Answer<'_, Option<Vec<u8>>>;
    /// Takes an invitation back; the sealed address it was for.
    fn uninvite(&self, device: String, number: u64) -> Answer<'_, Option<Vec<u8>>>;
    /// The invitations to the holder of an address made no earlier than `since`, oldest first.
    fn offers(&self, who: Hash, since: Wall) -> Answer<'_, Vec<Offer>>;
    /// Answers an invitation to the holder of this address and account; the device, if there was one.
    fn answer_offer(
        &self,
        number: u64,
        who: Hash,
        account: u64,
        accept: bool,
        since: Wall,
        now: Wall,
    ) -> Answer<'_, Option<Device>>;
    /// The devices that are shared with an account and not private, by name.
    fn shared_with(&self, account: u64) -> Answer<'_, Vec<Device>>;
    /// Gives a share back; the device, if there was one.
    fn leave(&self, account: u64, device: String) -> Answer<'_, Option<Device>>;
}

fn guest(row: &Row<'_>) -> Result<Guest, StoreError> {
    Ok(Guest {
        number: schema::count(row, 0)?,
        email: schema::column(row, 1)?,
        made_at: schema::wall(row, 2)?,
    })
}

/// Reads the columns of a device, then `number, owner's email, made_at`.
fn offer(row: &Row<'_>) -> Result<Offer, StoreError> {
    Ok(Offer {
        device: schema::device(row)?,
        number: schema::count(row, 4)?,
        owner: schema::column(row, 5)?,
        made_at: schema::wall(row, 6)?,
    })
}

fn level(row: &Row<'_>) -> Result<Visibility, StoreError> {
    let word = schema::only_text(row)?;
    Visibility::of(&word).ok_or(StoreError::Corrupt { what: "visibility" })
}

fn bytes(row: &Row<'_>) -> Result<Vec<u8>, StoreError> {
    schema::column(row, 0)
}

fn set_visibility(
    connection: &Connection,
    device: &str,
    level: Visibility,
    now: Wall,
) -> Result<bool, StoreError> {
    known(connection, device)?;
    if level == Visibility::Private {
        let sql = "DELETE FROM visibility WHERE device = ?1";
        return Ok(write(connection, "hide a device", sql, [device])? > 0);
    }
    let sql = "INSERT INTO visibility (device, level, made_at) VALUES (?1,?2,?3)
        ON CONFLICT (device) DO UPDATE SET level = excluded.level, made_at = excluded.made_at
        WHERE level <> excluded.level";
    let values = params![device, level.word(), schema::integer(now.unix_seconds())];
    Ok(write(connection, "show a device", sql, values)? > 0)
}

/// Guard: `hub-find`, the conditions on who asks.
fn find(
    connection: &Connection,
    name: &str,
    account: Option<u64>,
) -> Result<Option<Device>, StoreError> {
    let sql = format!(
        "SELECT {OF_DEVICE} FROM device AS d LEFT JOIN visibility AS v ON v.device = d.id
        WHERE d.name_mark = marked('device.name', ?1) AND (?3 OR d.account = ?2 OR v.level = 'public' OR (v.level = 'people'
        AND EXISTS (SELECT 1 FROM share AS s WHERE s.device = d.id AND s.account = ?2)))"
    );
    let any = crate::sabotage::off("hub-find");
    one(connection, &sql, params![name, account.map(schema::integer), any], schema::device)
}

fn share(
    connection: &Connection,
    device: &str,
    (who, email): (Hash, &[u8]),
    most: u64,
    now: Wall,
) -> Result<bool, StoreError> {
    known(connection, device)?;
    let sql = "SELECT (SELECT count(*) FROM share WHERE device = ?1)
        + (SELECT count(*) FROM share_invitation WHERE device = ?1 AND who <> ?2)";
    let held = one(connection, sql, params![device, who.as_slice()], schema::only_count)?;
    if held >= Some(most) {
        return Ok(false);
    }
    let sql = "INSERT INTO share_invitation (device, who, email, made_at) SELECT ?1, ?2, ?3, ?4
        WHERE NOT EXISTS (SELECT 1 FROM share AS s JOIN account AS a ON a.number = s.account
        WHERE s.device = ?1 AND a.email_index = ?2)
        ON CONFLICT (device, who) DO UPDATE SET email = excluded.email, made_at = excluded.made_at";
    let values = params![device, who.as_slice(), email, schema::integer(now.unix_seconds())];
    write(connection, "invite somebody to a device", sql, values)?;
    Ok(true)
}

/// The columns of a device that is joined as `d`.
const OF_DEVICE: &str = "d.id, opened('device.name', d.name) AS called, d.spki, d.made_at";

/// What stands under a number in a table of guests, taken out.
fn take(
    connection: &Connection,
    device: &str,
    number: u64,
    (table, found): (&str, &str),
) -> Result<Option<Vec<u8>>, StoreError> {
    let values = params![device, schema::integer(number)];
    let email = one(connection, found, values, bytes)?;
    let sql = format!("DELETE FROM {table} WHERE device = ?1 AND number = ?2");
    write(connection, "take a share back", &sql, values)?;
    Ok(email)
}

fn offers(
    connection: &Connection,
    who: Hash,
    number: Option<u64>,
    since: Wall,
) -> Result<Vec<Offer>, StoreError> {
    let sql = format!(
        "SELECT {OF_DEVICE}, i.number, a.email, i.made_at FROM share_invitation AS i
        JOIN device AS d ON d.id = i.device JOIN account AS a ON a.number = d.account
        WHERE i.who = ?1 AND i.made_at >= ?2 AND (?3 IS NULL OR i.number = ?3) ORDER BY i.number"
    );
    let since = schema::integer(since.unix_seconds());
    many(connection, &sql, params![who.as_slice(), since, number.map(schema::integer)], offer)
}

fn answer_offer(
    connection: &Connection,
    (number, who): (u64, Hash),
    account: Option<u64>,
    since: Wall,
    now: Wall,
) -> Result<Option<Device>, StoreError> {
    let found = offers(connection, who, Some(number), since)?.into_iter().next();
    let Some(Offer { device, .. }) = found else { return Ok(None) };
    if let Some(account) = account {
        let sql = "INSERT INTO share (device, account, made_at) VALUES (?1,?2,?3)
            ON CONFLICT (device, account) DO NOTHING";
        let now = schema::integer(now.unix_seconds());
        let values = params![device.id, schema::integer(account), now];
        write(connection, "share a device", sql, values)?;
    }
    let sql = "DELETE FROM share_invitation WHERE number = ?1";
    write(connection, "end an invitation", sql, [schema::integer(number)])?;
    Ok(Some(device))
}

fn shared_with(
    connection: &Connection,
    account: u64,
    device: Option<&str>,
) -> Result<Vec<Device>, StoreError> {
    let sql = format!(
        "SELECT {OF_DEVICE} FROM share AS s JOIN device AS d ON d.id = s.device
        JOIN visibility AS v ON v.device = d.id
        WHERE s.account = ?1 AND (?2 IS NULL OR d.id = ?2) ORDER BY called"
    );
    many(connection, &sql, params![schema::integer(account), device], schema::device)
}

fn leave(
    connection: &Connection,
    account: u64,
    device: &str,
) -> Result<Option<Device>, StoreError> {
    let found = shared_with(connection, account, Some(device))?.into_iter().next();
    if found.is_some() {
        let sql = "DELETE FROM share WHERE account = ?1 AND device = ?2";
        write(connection, "leave a device", sql, params![schema::integer(account), device])?;
    }
    Ok(found)
}

/// Nobody but the owner finds a device any more: whoever lets it in anew decides anew.
pub(super) fn close(connection: &Connection, device: &str) -> Result<(), StoreError> {
    for table in ["visibility", "share", "share_invitation"] {
        let sql = format!("DELETE FROM {table} WHERE device = ?1");
        write(connection, "hide a device", &sql, [device])?;
    }
    Ok(())
}

const UNSHARED: (&str, &str) = (
    "share",
    "SELECT a.email FROM share AS s JOIN account AS a ON a.number = s.account
    WHERE s.device = ?1 AND s.number = ?2",
);
const UNINVITED: (&str, &str) =
    ("share_invitation", "SELECT email FROM share_invitation WHERE device = ?1 AND number = ?2");

impl Shares for SqliteStore {
    fn visibility(&self, device: String) -> Answer<'_, Visibility> {
        let sql = "SELECT level FROM visibility WHERE device = ?1";
        let read = move |c: &Connection| Ok(one(c, sql, [device], level)?.unwrap_or_default());
        Box::pin(self.0.call(Kind::Read, read))
    }

    fn set_visibility(&self, device: String, level: Visibility, now: Wall) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Erase, move |c| set_visibility(c, &device, level, now)))
    }

    fn find(&self, name: String, account: Option<u64>) -> Answer<'_, Option<Device>> {
        Box::pin(self.0.call(Kind::Read, move |c| find(c, &name, account)))
    }

    fn share(
        &self,
        device: String,
        who: Hash,
        email: Vec<u8>,
        most: u64,
        now: Wall,
    ) -> Answer<'_, bool> {
        Box::pin(self.0.call(Kind::Write, move |c| share(c, &device, (who, &email), most, now)))
    }

    fn guests(&self, device: String) -> Answer<'_, Vec<Guest>> {
        let sql = "SELECT s.number, a.email, s.made_at FROM share AS s
            JOIN account AS a ON a.number = s.account WHERE s.device = ?1 ORDER BY s.number";
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, [device], guest)))
    }

    fn invited_guests(&self, device: String, since: Wall) -> Answer<'_, Vec<Guest>> {
        let sql = "SELECT number, email, made_at FROM share_invitation
            WHERE device = ?1 AND made_at >= ?2 ORDER BY number";
        let since = schema::integer(since.unix_seconds());
        Box::pin(self.0.call(Kind::Read, move |c| many(c, sql, params![device, since], guest)))
    }

    fn unshare(&self, device: String, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(self.0.call(Kind::Erase, move |c| take(c, &device, number, UNSHARED)))
    }

    fn uninvite(&self, device: String, number: u64) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(self.0.call(Kind::Erase, move |c| take(c, &device, number, UNINVITED)))
    }

    fn offers(&self, who: Hash, since: Wall) -> Answer<'_, Vec<Offer>> {
        Box::pin(self.0.call(Kind::Read, move |c| offers(c, who, None, since)))
    }

    fn answer_offer(
        &self,
        number: u64,
        who: Hash,
        account: u64,
        accept: bool,
        since: Wall,
        now: Wall,
    ) -> Answer<'_, Option<Device>> {
        let account = accept.then_some(account);
        let work = move |c: &Connection| answer_offer(c, (number, who), account, since, now);
        Box::pin(self.0.call(Kind::Erase, work))
    }

    fn shared_with(&self, account: u64) -> Answer<'_, Vec<Device>> {
        Box::pin(self.0.call(Kind::Read, move |c| shared_with(c, account, None)))
    }

    fn leave(&self, account: u64, device: String) -> Answer<'_, Option<Device>> {
        Box::pin(self.0.call(Kind::Erase, move |c| leave(c, account, &device)))
    }
}
