//! Deletions that are stuck: noticed, and shown as a number (promise H6).
//!
//! None is carried out from here: a clock that once ran ahead makes a device look erased that is not, and no loop may
//! erase whoever it finds so. The operator is told what to run.

use super::backup::prune;
use super::journal::JournalError;
use crate::clock::{Boot, Now, Wall};
use crate::hub::state::Hub;
use crate::hub::store::{Store, StoreError};
use crate::hub::sweep::{EXPIRING, RULES};
use core::sync::atomic::Ordering;
use core::time::Duration;

/// How often is looked: it reads every row that belongs to another one.
const EACH: Duration = Duration::from_secs(600);
/// A row this long over its time should have been swept: the sweep runs when a row is due, and each 10 s after an
/// error.
const GRACE: Duration = Duration::from_secs(60);

/// What is stuck.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stuck {
    /// Tables with rows whose time is over.
    pub overdue: u64,
    /// Rows of something that was erased.
    pub orphans: u64,
    /// Devices that the journal says were erased, and were not.
    pub without_effect: u64,
    /// The journal of deletions cannot be used.
    pub journal: u64,
}

impl Stuck {
    /// All together.
    pub const fn total(&self) -> u64 {
        self.overdue
            .saturating_add(self.orphans)
            .saturating_add(self.without_effect)
            .saturating_add(self.journal)
    }
}

/// When was looked last.
#[derive(Default)]
pub struct Watch(Option<Boot>);

impl Watch {
    /// Looks when it is time to, and tidies the journal and the hub's own old backups.
    pub async fn turn(&mut self, hub: &Hub, now: Now) {
        if self.0.is_some_and(|last| now.boot - last < EACH) {
            return;
        }
        self.0 = Some(now.boot);
        if let Some(keeping) = &hub.keeping {
            if let Err(error) = keeping.journal.sweep(now.wall) {
                tracing::error!(%error, "the journal of deletions could not be swept");
            }
            prune(&hub.dir, keeping, now.wall);
        }
        match look(hub, now.wall).await {
            Ok(stuck) => {
                hub.stuck.store(stuck.total(), Ordering::Relaxed);
                if stuck.total() > 0 && !crate::sabotage::off("hub-stuck") {
                    let Stuck { overdue, orphans, without_effect, journal } = stuck;
                    tracing::error!(
                        overdue,
                        orphans,
                        without_effect,
                        journal,
                        "deletions were stuck"
                    );
                }
            }
            Err(error) => {
                hub.stuck.fetch_max(1, Ordering::Relaxed);
                tracing::error!(%error, "whether deletions are stuck could not be seen");
            }
        }
    }
}

/// What is stuck now.
///
/// # Errors
/// The store's.
pub async fn look(hub: &Hub, now: Wall) -> Result<Stuck, StoreError> {
    let store = hub.store.as_ref();
    let mut stuck = Stuck {
        overdue: overdue(store, now).await?,
        orphans: store.orphans().await?,
        ..Stuck::default()
    };
    let Some(keeping) = &hub.keeping else { return Ok(stuck) };
    let known = store.journaled().await?;
    match keeping.journal.read(known) {
        Ok(entries) => {
            for device in store.without_effect(entries).await? {
                let hint = "qcloud-hub devices names it; qcloud-hub revoke NAME erases it";
                tracing::error!(device = %device.id, hint, "a device was to be erased and is there");
                stuck.without_effect = stuck.without_effect.saturating_add(1);
            }
        }
        Err(JournalError::Missing { .. }) if known.is_none() => {}
        Err(error) => {
            let hint = "move deletions.journal away and run `qcloud-hub backup`: older backups are lost by this";
            tracing::error!(%error, hint, "the journal of deletions cannot be used");
            stuck.journal = 1;
        }
    }
    Ok(stuck)
}

async fn overdue(store: &dyn Store, now: Wall) -> Result<u64, StoreError> {
    let over = |due: Option<Wall>| due.is_some_and(|due| Wall(due.0.saturating_add(GRACE)) <= now);
    let mut tables = 0_u64;
    for rule in RULES {
        let Some(keeps) = rule.keeps() else { continue };
        let oldest = store.oldest(rule.table).await?;
        let due = oldest.map(|made_at| Wall(made_at.0.saturating_add(keeps)));
        tables = tables.saturating_add(u64::from(over(due)));
    }
    for table in EXPIRING {
        tables = tables.saturating_add(u64::from(over(store.oldest_expiry(table).await?)));
    }
    Ok(tables)
}
