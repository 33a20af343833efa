//! skeleton
pub mod card;
pub mod clock;
pub mod egress;
pub mod sabotage;
pub mod secret;
pub mod wire;
