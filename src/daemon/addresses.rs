//! The box's own addresses, told to everybody whenever they change.

use super::feature::Event;
use super::jobs::Happening;
use crate::platform::netlink::Watcher;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Tells them once, and at each change, until nobody listens.
pub(super) async fn watch(events: mpsc::Sender<Happening>) {
    let mut watcher = match Watcher::open() {
        Ok(watcher) => watcher,
        Err(error) => return tracing::error!(%error, "the box's own addresses cannot be watched"),
    };
    loop {
        match watcher.changed().await {
            Ok(addresses) => {
                let event = Event::Addresses(Arc::new(addresses));
                if events.send(Happening::Event(event)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                return tracing::error!(%error, "the box's own addresses are not watched any more");
            }
        }
    }
}
