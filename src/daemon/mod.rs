//! The house around the features: the pure supervisor, and the one event loop that gives it time and a world.

mod addresses;
pub mod clone;
pub mod config;
pub mod control;
pub mod dial;
mod erasure;
pub mod feature;
pub mod handover;
mod house;
pub mod household;
pub mod jobs;
pub mod quarantine;
pub mod records;
pub mod rules;
pub mod run;
mod signals;
pub mod status;
pub mod supervisor;
mod verbs;
pub mod world;
