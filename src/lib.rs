//! skeleton
pub mod card;
pub mod cli;
pub mod clock;
pub mod daemon;
pub mod egress;
pub mod features;
#[cfg(feature = "hub")]
pub mod hub;
pub mod identity;
pub mod platform;
pub mod sabotage;
pub mod secret;
pub mod state;
pub mod wire;
