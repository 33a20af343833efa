//! A box that boots before its network.

use super::driver::{MINUTE, World};

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_a_network_cost_no_wake_up_and_the_line_brings_everything_back() {
    let mut world = World::member(&["ddns", "link"]);
    world.offline();
    world.run_for(MINUTE).await;
    let before = (world.hub.lock().handed, world.wakes, world.saves);
    world.run_for(10 * MINUTE).await;
    assert_eq!((world.hub.lock().handed, world.wakes, world.saves), before);
    assert_eq!(world.hub.lock().sessions, 0);

    world.addresses(&["192.168.1.7"], &["2001:db8::7"]);
    world.run_for(5 * MINUTE / 60).await;
    assert_eq!(world.hub.lock().sessions, 1);
    assert_eq!(world.hub.bodies("ddns.update").len(), 1);
}
