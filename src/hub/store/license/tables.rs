//! The tables of licenses.

/// Keys that their issuer has withdrawn.
pub(in crate::hub::store) const WITHDRAWN: &str = "
CREATE TABLE license_withdrawn (
    kid TEXT PRIMARY KEY,
    document BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
";

pub(in crate::hub::store) const CREATE: &str = "
CREATE TABLE license_issuer (
    kid TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    certificate BLOB,
    expires_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE license_product (
    product TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE TABLE license_policy (
    product TEXT NOT NULL REFERENCES license_product (product) ON DELETE CASCADE,
    policy TEXT NOT NULL,
    terms TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (product, policy)
) STRICT;
CREATE TABLE license (
    lid TEXT PRIMARY KEY,
    product TEXT NOT NULL,
    policy TEXT NOT NULL,
    account INTEGER REFERENCES account (number) ON DELETE CASCADE,
    terms TEXT NOT NULL,
    seq INTEGER NOT NULL,
    noticed INTEGER NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER,
    expires_at INTEGER,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX license_account ON license (account);
CREATE INDEX license_expires_at ON license (expires_at);
CREATE TABLE license_seat (
    lid TEXT NOT NULL REFERENCES license (lid) ON DELETE CASCADE,
    device TEXT NOT NULL,
    seat INTEGER NOT NULL,
    bind TEXT NOT NULL,
    ip TEXT,
    owner INTEGER REFERENCES account (number) ON DELETE SET NULL,
    seq INTEGER NOT NULL,
    offline INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    PRIMARY KEY (lid, device)
) STRICT;
CREATE INDEX license_seat_device ON license_seat (device);
CREATE INDEX license_seat_made_at ON license_seat (made_at);
CREATE TABLE license_taken (
    number INTEGER PRIMARY KEY,
    lid TEXT NOT NULL REFERENCES license (lid) ON DELETE CASCADE,
    seat INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX license_taken_lid ON license_taken (lid);
CREATE TABLE license_key (
    hash BLOB PRIMARY KEY,
    lid TEXT NOT NULL REFERENCES license (lid) ON DELETE CASCADE,
    gives INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX license_key_lid ON license_key (lid);
CREATE TABLE license_log (
    number INTEGER PRIMARY KEY,
    lid TEXT NOT NULL REFERENCES license (lid) ON DELETE CASCADE,
    what TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
CREATE INDEX license_log_lid ON license_log (lid);
CREATE INDEX license_log_made_at ON license_log (made_at);
CREATE TABLE license_void (
    lid TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    made_at INTEGER NOT NULL
) STRICT;
";
