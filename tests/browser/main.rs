//! The hub's pages in a real browser, Chromium, on the real programs as processes: what a person does there works,
//! with scripts and without, for eyes, keyboards and screen readers, and nothing is asked of anybody else.
//!
//! Things are found as assistive technology has them, by role and name. `cargo test --test browser -- --ignored
//! pictures` puts every page into `target/screenshots`.
#![allow(clippy::disallowed_methods, reason = "stands for everybody but the agent")]

#[path = "../common/mod.rs"]
mod common;

mod axe;
mod cookies;
mod faults;
mod keyboard;
mod life;
mod person;
mod pipe;
mod stage;
mod tour;
mod watch;
