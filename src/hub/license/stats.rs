//! What a vendor learns of who uses their product: counts, and no small ones (promise L9).
//!
//! A count below [`SMALLEST`] could be about somebody one knows, so it is not said; and no sum is given that has it in
//! it, for what is left after subtracting the rest would say it all the same.

use crate::clock::Wall;
use crate::hub::store::license::Cell;
use crate::hub::store::{Store, StoreError};
use serde_json::{Value, json};

/// The smallest count that is said (the same as for all statistics, promise N2).
pub const SMALLEST: u64 = 20;

fn said(count: u64) -> Option<u64> {
    (count >= SMALLEST || crate::sabotage::off("license-small-counts")).then_some(count)
}

fn row(cell: &Cell) -> Value {
    json!({
        "product": cell.product,
        "policy": cell.policy,
        "good": said(cell.good),
        "ended": said(cell.ended),
        "seats_taken": said(cell.taken),
    })
}

/// Counts by product and policy; `null` for those below [`SMALLEST`].
///
/// # Errors
/// The store's.
pub async fn counts(store: &dyn Store, now: Wall) -> Result<Value, StoreError> {
    let cells = store.count_licenses(now).await?;
    Ok(json!({ "smallest": SMALLEST, "counts": cells.iter().map(row).collect::<Vec<_>>() }))
}
