//! The rules of the house. Each is a test; what a rule means is in its name.
#![allow(clippy::unwrap_used)]

#[path = "house/cards.rs"]
mod cards;
#[path = "house/source.rs"]
mod source;
