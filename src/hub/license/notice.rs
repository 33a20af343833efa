//! Holders are told before a license ends: 30, 7 and 1 days.

use crate::clock::Wall;
use crate::hub::people::{People, PeopleError};
use crate::hub::store::Store;
use crate::hub::store::people::Happened;
use core::net::{IpAddr, Ipv4Addr};

/// Days before the end, the last one first: who is told of it is not told of those before.
pub const DAYS: [u64; 3] = [1, 7, 30];
/// What the hub itself notes came from no network.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Tells everybody who is due; how many. A hub that dies between telling and noting so tells once more.
///
/// # Errors
/// The store's.
pub async fn send(store: &dyn Store, people: &People, now: Wall) -> Result<u64, PeopleError> {
    let mut told = 0;
    for days in DAYS {
        for row in store.ending(days, now).await? {
            let (Some(account), Some(end)) = (row.account, row.ends_at) else { continue };
            let about = format!("{}, on {}", row.product, end.rfc3339());
            people.tell(account, Happened::LicenseEnds, Some(&about), HERE, now).await?;
            store.noticed(row.lid, days).await?;
            told += 1;
        }
    }
    Ok(told)
}
