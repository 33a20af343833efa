//! skeleton
pub mod card;
pub mod clock;
pub mod identity;
pub mod platform;
pub mod sabotage;
pub mod secret;
pub mod state;
pub mod wire;
