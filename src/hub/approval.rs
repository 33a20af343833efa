//! An owner's yes or no to a device that waits: finding it by its user code.
//!
//! A user code has 34.6 bits (RFC 8628 section 6.1), which is little for who may guess for long. So whoever is asked
//! for a code by somebody over the network asks [`Approvals::find`], which stops a network that guesses (section 5.1).

use super::limit::Limit;
use super::store::{Pending, Store, StoreError};
use crate::clock::{Now, Wall};
use crate::wire::registration::CODE_LIFE;
use core::net::IpAddr;
use core::time::Duration;

/// Wrong codes a network may try at once, and how often one more: ten, then ten each minute.
const WRONG: (u32, Duration) = (10, Duration::from_secs(6));

/// Why no request was found.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// No device waits with this code, or its time is over.
    #[error("no device waits with this code")]
    NoSuchCode,
    /// Too many wrong codes came from there.
    #[error("too many wrong codes; {} s until the next one is looked at", wait.as_secs().max(1))]
    TooMany {
        /// Until then nothing is looked up.
        wait: Duration,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds requests for people who come over the network.
pub struct Approvals {
    wrong: Limit,
}

impl Default for Approvals {
    fn default() -> Self {
        Self { wrong: Limit::new(WRONG.0, WRONG.1) }
    }
}

impl Approvals {
    /// The request with this code, as somebody at this address typed it.
    ///
    /// # Errors
    /// [`NotFound`]. A right code is not looked at either while too many wrong ones came from there.
    pub async fn find(
        &self,
        store: &dyn Store,
        from: IpAddr,
        typed: &str,
        now: Now,
    ) -> Result<Pending, NotFound> {
        self.wrong.room(from, now.boot).map_err(|wait| NotFound::TooMany { wait })?;
        let found = find(store, &typed_code(typed), now.wall).await?;
        found.ok_or_else(|| {
            // The wait it may come to is that of the next try.
            let _ = self.wrong.take(from, now.boot);
            NotFound::NoSuchCode
        })
    }
}

/// The most letters of what was typed that are looked at: twice as many as a code has.
const MOST_TYPED: usize = 16;

/// The code as it is kept: `bcdf-ghjk` and `BCDF GHJK` are meant as `BCDFGHJK`.
pub fn typed_code(typed: &str) -> String {
    let letters = typed.chars().filter(char::is_ascii_alphabetic).take(MOST_TYPED);
    letters.map(|c| c.to_ascii_uppercase()).collect()
}

/// Codes made before this are over.
pub fn since(now: Wall) -> Wall {
    Wall(now.0.saturating_sub(CODE_LIFE))
}

/// The request that stands with this code. It bounds nobody: only for those who have the store's file anyway.
///
/// # Errors
/// The store's.
pub async fn find(store: &dyn Store, code: &str, now: Wall) -> Result<Option<Pending>, StoreError> {
    let since = since(now);
    let rows = store.pending().await?;
    Ok(rows.into_iter().find(|row| row.user_code == code && row.made_at >= since))
}
