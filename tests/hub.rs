//! The hub, from its store to the whole program.
#![allow(clippy::unwrap_used)]
