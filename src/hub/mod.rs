//! The self-hosted other side of the agent: registration, DNS zone, relay.

pub mod config;
pub mod device_id;
pub mod dns;
pub mod keys;
pub mod listen;
pub mod store;
pub mod tls;
