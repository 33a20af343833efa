//! What lies in each column, and how: the decision that promise S5 is held to.
//!
//! Sealed is everything a person wrote or would be known by: mail addresses, names of devices and services, hosts,
//! ports, addresses, the details of logs, secrets that must be used again. What stays readable without the key, and
//! why: ids, marks and hashes are random numbers or one-way and name nobody; a device's public key is a number that
//! every connection of the device shows; times and counts are what the sweep and the limits go by; words are a few
//! fixed ones of this program; an address whose host part was cleared before the first write is nobody's any more
//! (promise N1). So whoever has the files but not the key learns how many devices and accounts there are, when
//! something happened to them and how much passed, and of whom nothing.
//!
//! Every column of every table stands here: a test finds the one that does not.

use Class::{Chain, Count, Hash, Id, Key, Mark, Masked, Number, Sealed, Term, Time, Word};

/// How a column's values lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Sealed for this column: base64url of it where the column is of text.
    Sealed,
    /// The same, and a number once opened.
    Number,
    /// HMAC of something sealed, by which it is found.
    Mark,
    /// One-way: SHA-256 of something random or of a key, Argon2id of a password.
    Hash,
    /// A random number, the hash of a key as an id, or a number that counts up.
    Id,
    /// A public key.
    Key,
    /// How many, or whether.
    Count,
    /// Unix seconds.
    Time,
    /// One of a few fixed words.
    Word,
    /// An address without its host part.
    Masked,
    /// What the vendor sells and how, in the operator's own words: about nobody.
    Term,
    /// A line of a chain: its number, time and hash, and its details sealed within.
    Chain,
}

/// A table and its columns.
pub type Table = (&'static str, &'static [(&'static str, Class)]);

/// All tables, each in the order it came.
#[rustfmt::skip]
pub static CLASSES: &[Table] = &[
    ("meta", &[("key", Word), ("value", Count)]),
    ("pending", &[
        ("code_hash", Hash), ("user_code", Id), ("name", Sealed), ("name_mark", Mark), ("spki", Key),
        ("challenge", Id), ("state", Count), ("made_at", Time), ("account", Id), ("auth_key", Id),
    ]),
    ("device", &[
        ("id", Id), ("key_hash", Hash), ("name", Sealed), ("name_mark", Mark), ("spki", Key),
        ("made_at", Time), ("account", Id), ("names", Sealed), ("auth_key", Id),
    ]),
    ("ddns", &[("device", Id), ("a", Sealed), ("aaaa", Sealed), ("made_at", Time)]),
    ("link_log", &[
        ("number", Id), ("device", Id), ("masked", Masked), ("host", Sealed), ("up", Count),
        ("down", Count), ("seconds", Count), ("made_at", Time),
    ]),
    ("restriction", &[("device", Id), ("feature", Word), ("made_at", Time)]),
    ("account", &[
        ("number", Id), ("email_index", Mark), ("email", Sealed), ("password", Hash), ("made_at", Time),
    ]),
    ("invitation", &[("ticket", Hash), ("account", Id), ("made_at", Time)]),
    ("browser", &[("ticket", Hash), ("account", Id), ("made_at", Time), ("masked", Masked)]),
    ("account_log", &[
        ("number", Id), ("account", Id), ("what", Word), ("about", Sealed), ("masked", Masked),
        ("made_at", Time),
    ]),
    ("outbox", &[("entry", Id), ("made_at", Time), ("email", Sealed)]),
    ("device_key", &[("device", Id), ("key_hash", Hash), ("spki", Key), ("made_at", Time)]),
    ("ticket", &[
        ("device", Id), ("current", Hash), ("previous", Hash), ("acked", Count), ("made_at", Time),
    ]),
    ("quarantine", &[("device", Id), ("why", Word), ("made_at", Time)]),
    ("auth_key", &[
        ("id", Id), ("hash", Hash), ("pattern", Sealed), ("reusable", Count), ("uses", Count),
        ("expires_at", Time), ("made_at", Time),
    ]),
    ("second_factor", &[
        ("account", Id), ("secret", Sealed), ("last_step", Count), ("wrong", Count),
        ("locked_at", Time), ("made_at", Time),
    ]),
    ("recovery_code", &[("code", Hash), ("account", Id), ("made_at", Time)]),
    ("half_session", &[("ticket", Hash), ("account", Id), ("made_at", Time)]),
    ("trusted_browser", &[("ticket", Hash), ("account", Id), ("masked", Masked), ("made_at", Time)]),
    ("service", &[
        ("device", Id), ("name_mark", Mark), ("name", Sealed), ("host", Sealed), ("port", Number),
        ("scheme", Word), ("made_at", Time),
    ]),
    ("visibility", &[("device", Id), ("level", Word), ("made_at", Time)]),
    ("share", &[("number", Id), ("device", Id), ("account", Id), ("made_at", Time)]),
    ("share_invitation", &[
        ("number", Id), ("device", Id), ("who", Mark), ("email", Sealed), ("made_at", Time),
    ]),
    ("known_browser", &[("ticket", Hash), ("account", Id), ("made_at", Time)]),
    ("address_change", &[("account", Id), ("email", Sealed), ("sent", Count), ("made_at", Time)]),
    ("identity", &[("subject", Mark), ("account", Id), ("issuer", Sealed), ("made_at", Time)]),
    ("profile", &[
        ("account", Id), ("name", Sealed), ("phone", Sealed), ("language", Sealed), ("zone", Sealed),
        ("findable", Sealed), ("made_at", Time),
    ]),
    ("access_log", &[("number", Id), ("key", Id), ("line", Sealed), ("made_at", Time)]),
    ("audit", &[("seq", Id), ("line", Chain), ("made_at", Time)]),
    ("audit_head", &[("one", Count), ("head", Chain), ("mac", Mark), ("made_at", Time)]),
    ("account_lock", &[("account", Id), ("made_at", Time)]),
    ("hold", &[
        ("subject", Mark), ("label", Sealed), ("why", Sealed), ("expires_at", Time), ("made_at", Time),
    ]),
    ("held", &[
        ("number", Id), ("subject", Mark), ("about", Mark), ("rows", Sealed), ("expires_at", Time),
        ("made_at", Time),
    ]),
    ("license_issuer", &[
        ("kid", Id), ("key", Sealed), ("certificate", Key), ("expires_at", Time), ("made_at", Time),
    ]),
    ("license_withdrawn", &[
        ("kid", Id), ("document", Key), ("expires_at", Time), ("made_at", Time),
    ]),
    ("license_product", &[("product", Term), ("name", Term), ("made_at", Time)]),
    ("license_policy", &[("product", Term), ("policy", Term), ("terms", Term), ("made_at", Time)]),
    ("license", &[
        ("lid", Id), ("product", Term), ("policy", Term), ("account", Id), ("terms", Term), ("seq", Count),
        ("noticed", Count), ("starts_at", Time), ("ends_at", Time), ("expires_at", Time), ("made_at", Time),
    ]),
    ("license_seat", &[
        ("lid", Id), ("device", Id), ("seat", Count), ("bind", Sealed), ("ip", Sealed), ("owner", Id),
        ("seq", Count), ("offline", Count), ("ends_at", Time), ("made_at", Time),
    ]),
    ("license_taken", &[
        ("number", Id), ("lid", Id), ("seat", Count), ("expires_at", Time), ("made_at", Time),
    ]),
    ("license_key", &[("hash", Hash), ("lid", Id), ("gives", Count), ("made_at", Time)]),
    ("license_log", &[("number", Id), ("lid", Id), ("what", Word), ("made_at", Time)]),
    ("license_void", &[("lid", Id), ("epoch", Count), ("expires_at", Time), ("made_at", Time)]),
];

/// The columns of a table as whoever they are about is shown them: opened, and without the marks.
pub(super) fn shown(table: &str) -> String {
    let Some((_, columns)) = CLASSES.iter().find(|(name, _)| *name == table) else {
        return "*".into();
    };
    let column = |(name, class): &(&str, Class)| match class {
        Sealed => Some(format!("opened('{table}.{name}', {name}) AS {name}")),
        Number => Some(format!("CAST(opened('{table}.{name}', {name}) AS INTEGER) AS {name}")),
        Mark => None,
        Hash | Id | Key | Count | Time | Word | Term | Masked | Chain => Some((*name).to_owned()),
    };
    columns.iter().filter_map(column).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::seal::Seal;
    use crate::hub::store::opening::prepare;
    use crate::secret::Secret;
    use rusqlite::Connection;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let seal = Seal::new(&Secret::new([1; 64])).unwrap();
        prepare(&connection, &Arc::new(seal)).unwrap();
        connection
    }

    /// `table.column` and the type of every column there is.
    fn columns(connection: &Connection) -> BTreeSet<(String, String)> {
        let sql = "SELECT t.name || '.' || c.name, c.type FROM sqlite_schema AS t,
            pragma_table_info(t.name) AS c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn classes() -> Vec<(String, Class)> {
        let table = |(table, columns): &'static Table| {
            columns.iter().map(move |(column, class)| (format!("{table}.{column}"), *class))
        };
        CLASSES.iter().flat_map(table).collect()
    }

    fn without_class(connection: &Connection) -> Vec<String> {
        let known: BTreeSet<String> = classes().into_iter().map(|(name, _)| name).collect();
        let all = columns(connection).into_iter().map(|(name, _)| name);
        all.filter(|name| !known.contains(name)).collect()
    }

    #[test]
    fn s5_every_column_of_every_table_has_a_class_that_its_type_can_hold() {
        let connection = database();
        assert_eq!(
            without_class(&connection),
            Vec::<String>::new(),
            "say in CLASSES what they hold"
        );
        let columns = columns(&connection);
        for (name, class) in classes() {
            let found = columns.iter().find(|(column, _)| *column == name);
            let (_, kind) = found.unwrap_or_else(|| panic!("there is no {name}"));
            let fits: &[&str] = match class {
                Sealed => &["TEXT", "BLOB"],
                Number => &["TEXT"],
                Hash | Mark | Key => &["BLOB"],
                Id => &["TEXT", "BLOB", "INTEGER"],
                Count | Time => &["INTEGER"],
                Word | Term | Masked | Chain => &["TEXT"],
            };
            assert!(fits.contains(&kind.as_str()), "{name} is {kind} and of class {class:?}");
        }
        assert_eq!(classes().len(), columns.len(), "each stands there once");
    }

    /// The attack: somebody adds a column and says nothing of it.
    #[test]
    fn s5_a_column_without_a_class_is_found() {
        let connection = database();
        connection.execute_batch("ALTER TABLE device ADD COLUMN owner TEXT").unwrap();
        assert_eq!(without_class(&connection), ["device.owner"]);
    }
}
