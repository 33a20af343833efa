//! The house around the features: the pure supervisor, and the one event loop that gives it time and a world.

pub mod clone;
pub mod config;
pub mod control;
pub mod dial;
mod erasure;
mod examine;
pub mod feature;
pub mod handover;
mod house;
pub mod household;
pub mod jobs;
pub mod moving;
pub mod quarantine;
pub mod records;
pub mod reset;
pub mod rules;
pub mod run;
mod saving;
pub mod shape;
pub mod start;
pub mod status;
pub mod supervisor;
mod verbs;
pub mod warnings;
mod watch;
pub mod world;
