//! skeleton
pub mod card;
pub mod clock;
#[cfg(feature = "hub")]
pub mod hub;
pub mod sabotage;
pub mod secret;
pub mod wire;
