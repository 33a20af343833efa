//! The report: one archive, made on the box, that never leaves it by itself.
//!
//! ```text
//!   recipe ──► source, survey ──► scrub ──► bundle ──► a second look ──► a name
//!                                   │
//!                                   └──► report.txt, findings, manifest
//! ```
//!
//! It needs no daemon, no hub, no network and no other program, and every step is bounded: a section in size and
//! time, the whole in both. A section that fails is a line in the manifest. There is no code here that sends
//! anything, and there may be none: `tests/house.rs` sees to it that this directory knows neither `egress` nor `wire`.

pub mod age;
pub mod bundle;
pub mod crash;
mod digest;
mod display;
mod fill;
pub mod findings;
mod forms;
mod gauges;
mod make;
mod manifest;
pub mod options;
pub mod output;
mod page;
mod picture;
pub mod pseudonym;
pub mod recipe;
mod scratch;
pub mod scrub;
pub mod secrets;
mod shown;
pub mod source;
pub mod survey;
mod tar;
pub mod view;

pub use make::{Made, Order, Progress, ReportError, make};
