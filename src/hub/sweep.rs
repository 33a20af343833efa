//! Retention: what was promised to be kept for a time is gone after it.
//!
//! How long is read from the parcels that brought the rows, so that the promise a device shows its owner and
//! the sweep of the hub are the same constant.

use super::access;
use super::keeping::stuck::Watch;
use super::license::notice;
use super::metrics::SWEPT_AT;
use super::people;
use super::state::Hub;
use super::store::{Store, StoreError, license};
use crate::card::{Parcel, Retention};
use crate::clock::Wall;
use crate::wire::{ddns, license as wire_license, link, privacy, registration};
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;

/// How long a table's rows are kept.
#[derive(Clone, Copy)]
pub enum Kept {
    /// As long as the device was told by the parcel that brings them.
    As(&'static Parcel),
    /// So long, by the rule of what they are for: shorter than the device was told by the parcel that brings them.
    Within(&'static Parcel, Duration),
    /// So long; no device brings them.
    For(Duration),
    /// As long as the account they are of.
    WithAccount,
    /// Until whoever runs the hub takes them back; they are about nobody.
    UntilWithdrawn,
}

/// A table and how long its rows are kept.
pub struct Rule {
    /// The table.
    pub table: &'static str,
    /// How long.
    pub kept: Kept,
}

/// A seat is kept no longer than the longest lease with the longest grace.
const SEATS: Kept = Kept::Within(&wire_license::ACTIVATE, license::SEAT_KEPT);

/// Each table but `meta`.
pub static RULES: &[Rule] = &[
    Rule { table: "pending", kept: Kept::As(&registration::START) },
    Rule { table: "device", kept: Kept::As(&registration::POLL) },
    Rule { table: "device_key", kept: Kept::As(&registration::REKEY) },
    Rule { table: "ddns", kept: Kept::As(&ddns::UPDATE) },
    Rule { table: "link_log", kept: Kept::As(&link::SESSION) },
    Rule { table: "service", kept: Kept::As(&link::SERVICES) },
    Rule { table: "restriction", kept: Kept::As(&privacy::RESTRICT) },
    // These guard the device's row, and go with it.
    Rule { table: "ticket", kept: Kept::As(&registration::POLL) },
    Rule { table: "quarantine", kept: Kept::As(&registration::POLL) },
    // Who may find a device: what its owner decided goes with it.
    Rule { table: "visibility", kept: Kept::As(&registration::POLL) },
    Rule { table: "share", kept: Kept::As(&registration::POLL) },
    Rule { table: "share_invitation", kept: Kept::For(people::sharing::OFFER_LIFE) },
    Rule { table: "account", kept: Kept::WithAccount },
    Rule { table: "invitation", kept: Kept::For(people::INVITATION_LIFE) },
    Rule { table: "browser", kept: Kept::For(people::SESSION_LIFE) },
    Rule { table: "outbox", kept: Kept::For(people::LETTER_LIFE) },
    Rule { table: "account_log", kept: Kept::For(people::LOG_KEPT) },
    Rule { table: "second_factor", kept: Kept::WithAccount },
    Rule { table: "recovery_code", kept: Kept::WithAccount },
    Rule { table: "half_session", kept: Kept::For(people::second::HALF_LIFE) },
    Rule { table: "trusted_browser", kept: Kept::For(people::second::TRUST_LIFE) },
    Rule { table: "access_log", kept: Kept::For(access::KEPT) },
    Rule { table: "known_browser", kept: Kept::For(people::known::KNOWN_LIFE) },
    Rule { table: "address_change", kept: Kept::For(people::address::CHANGE_LIFE) },
    Rule { table: "identity", kept: Kept::WithAccount },
    Rule { table: "audit", kept: Kept::For(people::audit::KEPT) },
    Rule { table: "audit_head", kept: Kept::For(people::audit::KEPT) },
    Rule { table: "account_lock", kept: Kept::WithAccount },
    Rule { table: "profile", kept: Kept::WithAccount },
    Rule { table: "license_product", kept: Kept::UntilWithdrawn },
    Rule { table: "license_policy", kept: Kept::UntilWithdrawn },
    Rule { table: "license_seat", kept: SEATS },
    Rule { table: "license_key", kept: Kept::WithAccount },
    Rule { table: "license_log", kept: Kept::For(license::LOG_KEPT) },
];

/// Tables of the operator's own rows, each of which says in `expires_at` when it goes. No device brought them, so
/// that no parcel promises anything of them and no device's erasure takes them with it; of `held` the receipt of the
/// erasure told.
pub static EXPIRING: &[&str] = &[
    "auth_key",
    "hold",
    "held",
    "license_issuer",
    "license_withdrawn",
    "license",
    "license_taken",
    "license_void",
];

/// After an error, and as a floor against spinning.
const PAUSE: Duration = Duration::from_secs(10);
/// The longest sleep: rows written meanwhile are due no earlier than the shortest retention.
const LONGEST: Duration = registration::CODE_LIFE;

impl Rule {
    /// The parcel a device brings the rows by.
    pub const fn parcel(&self) -> Option<&'static Parcel> {
        match self.kept {
            Kept::As(parcel) | Kept::Within(parcel, _) => Some(parcel),
            Kept::For(_) | Kept::WithAccount | Kept::UntilWithdrawn => None,
        }
    }

    /// How long rows are kept, when there is a bound.
    pub fn keeps(&self) -> Option<Duration> {
        let retention = match self.kept {
            Kept::As(parcel) => parcel.retention,
            Kept::For(duration) | Kept::Within(_, duration) => return Some(duration),
            Kept::WithAccount | Kept::UntilWithdrawn => return None,
        };
        match retention {
            Retention::For(duration) => Some(duration),
            Retention::Nothing => Some(Duration::ZERO),
            Retention::UntilDisabled | Retention::UntilUnregistered => None,
        }
    }
}

/// Erases everything that is too old; says when the next row is due.
///
/// # Errors
/// The store's, of the first table that failed; the other tables are swept all the same.
pub async fn sweep(store: &dyn Store, now: Wall) -> Result<Option<Wall>, StoreError> {
    let mut next: Option<Wall> = None;
    let mut failed = None;
    for rule in RULES {
        let Some(keeps) = rule.keeps() else { continue };
        match sweep_table(store, rule.table, keeps, now).await {
            Ok(due) => next = [next, due].into_iter().flatten().min(),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    for table in EXPIRING {
        match sweep_expired(store, table, now).await {
            Ok(due) => next = [next, due].into_iter().flatten().min(),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(next), Err)
}

async fn sweep_expired(
    store: &dyn Store,
    table: &'static str,
    now: Wall,
) -> Result<Option<Wall>, StoreError> {
    let due = store.oldest_expiry(table).await?;
    if due.is_none_or(|due| due > now) || crate::sabotage::off("hub-sweep") {
        return Ok(due);
    }
    let rows = store.sweep_expired(table, now).await?;
    tracing::info!(table, rows, "rows were erased because they had expired");
    store.oldest_expiry(table).await
}

async fn sweep_table(
    store: &dyn Store,
    table: &'static str,
    keeps: Duration,
    now: Wall,
) -> Result<Option<Wall>, StoreError> {
    let due = |made_at: Wall| Wall(made_at.0.saturating_add(keeps));
    let oldest = store.oldest(table).await?;
    if oldest.is_none_or(|made_at| due(made_at) > now) || crate::sabotage::off("hub-sweep") {
        return Ok(oldest.map(due));
    }
    // Rows of exactly this age are due too; times are whole seconds.
    let before = Wall(now.0.saturating_sub(keeps).saturating_add(Duration::from_secs(1)));
    let rows = store.sweep(table, before).await?;
    tracing::info!(table, rows, "rows were erased because their time was over");
    Ok(store.oldest(table).await?.map(due))
}

/// Sweeps for ever: now, and each time a row is due.
pub async fn serve(hub: Arc<Hub>) {
    let mut watch = Watch::default();
    loop {
        let now = hub.clock.now().wall;
        let swept = sweep(hub.store.as_ref(), now).await;
        if let Err(error) = notice::send(hub.store.as_ref(), &hub.people, now).await {
            tracing::error!(%error, "holders of licenses that end could not be told");
        }
        if swept.is_ok() {
            SWEPT_AT.store(now.unix_seconds(), Ordering::Relaxed);
        }
        let wait = match swept {
            Ok(next) => next.map_or(LONGEST, |due| due.0.saturating_sub(now.0)),
            Err(error) => {
                tracing::error!(%error, "rows whose time is over could not be erased");
                PAUSE
            }
        };
        watch.turn(&hub, hub.clock.now()).await;
        tokio::time::sleep(wait.clamp(PAUSE, LONGEST)).await;
    }
}
