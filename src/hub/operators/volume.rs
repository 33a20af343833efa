//! An operator who looks at unusually many people (promise S4): an alert, and each further look takes longer. In an
//! emergency it still goes on, because what is noted and told can be judged afterwards.

use super::Operator;
use super::act::Refused;
use super::desk::{Desk, failed};
use crate::clock::Wall;
use crate::hub::watch::Seen;
use core::time::Duration;
use std::collections::BTreeSet;

/// In which time people are counted.
pub(super) const WINDOW: Duration = Duration::from_secs(3600);
/// What each person too many costs, up to [`SLOWEST`]: below the patience of whoever waits at the socket.
const SLOWER: Duration = Duration::from_millis(100);
const SLOWEST: Duration = Duration::from_secs(2);

/// Counts whom an operator has been at within the hour, this time among them. The audit log is what is counted, so
/// that neither a restart nor another way to ask forgets anybody.
pub(super) async fn judge(desk: Desk<'_>, who: &Operator) -> Result<(), Refused> {
    let since = Wall(desk.now.0.saturating_sub(WINDOW));
    let acts = desk.people.acts(since, desk.now).await.map_err(|e| failed(&e))?;
    let own = acts.iter().filter_map(|noted| noted.details.as_ref()).filter(|d| d.uid == who.uid);
    let people: BTreeSet<u64> = own.flat_map(|details| details.accounts.iter().copied()).collect();
    let count = u32::try_from(people.len()).unwrap_or(u32::MAX);
    let over = count.saturating_sub(desk.config.alerts.people_per_hour);
    if over == 0 || crate::sabotage::off("operator-volume") {
        return Ok(());
    }
    tracing::error!(
        uid = who.uid,
        people = count,
        "an operator has looked at unusually many people within an hour"
    );
    if let Some(hub) = desk.hub {
        hub.watch.saw(Seen::ManyPeople { uid: who.uid }, desk.now);
    }
    tokio::time::sleep(SLOWER.saturating_mul(over).min(SLOWEST)).await;
    Ok(())
}
