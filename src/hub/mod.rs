//! The self-hosted other side of the agent: registration, DNS zone, relay.

pub mod device_id;
pub mod store;
