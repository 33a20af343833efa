//! `qcloud-agent` and `qcloud-hub`: a device agent for NAS boxes that its owner can see through, and its
//! self-hosted other side.
//!
//! # Bird's eye
//!
//! ```text
//!   events, time, people            features (pure)              world
//!   netlink  timerfd  socket  ──►  supervisor ──► effects  ──►  gate ──► carriers ──► hub, DNS, services
//!                                      ▲                         │
//!                                      └──── replies, notes ◄────┘ ledger
//! ```
//!
//! A *feature* is a pure core behind [`daemon::feature::Feature`]: it gets an input and the moment, and
//! pushes effects. The *supervisor* holds the features and turns effects into commands; it is pure as
//! well. The *event loop* ([`daemon::run`]) is the only place where time, events and people come in. What
//! takes time is a *job*, an async function that gets [`daemon::dial::Hands`] and nothing else.
//!
//! Everything that leaves the device is a *parcel*: declared as a constant on a feature's card
//! ([`card::Parcel`]), typed ([`wire`]), judged by the *gate* ([`egress::gate`]), carried by a carrier
//! that takes only the gate's permits, and written into the *ledger* ([`egress::ledger`]). The catalogue,
//! the preview, the hub's routes and the hub's retention sweep read the same constants.
//!
//! # Where things are
//!
//! | you look for | it is in |
//! |---|---|
//! | the code of `qcloud-agent NOUN` | `features/NOUN/`, or `cli/` for the house's own verbs |
//! | what may leave, and why | `wire/`, one file for each API |
//! | whether it may leave now | `egress/gate.rs` |
//! | how it leaves | `egress/{https,quic,session,resolver,local}` |
//! | when something is done | `next_wake` of the feature, with its reason |
//! | what is on disk | `daemon/household.rs` (what), `state.rs` (how) |
//! | what is in a report, and what is taken out | `report/recipe.rs`, `report/scrub/` |
//! | the hub | `hub/`: `front.rs` first |
//!
//! Imports go one way: `card <- clock, state <- wire <- egress <- daemon <- features <- cli`; `platform` and
//! `identity` stand beside `egress`; `report` knows `platform` only; `hub` uses `card`, `wire` and `identity`, never `features` or `daemon`.
//!
//! # Invariants
//!
//! - Sockets, clocks, system paths and process starts each live in one place; a lint and
//!   `tests/house.rs` keep it so.
//! - Only the gate makes a [`egress::permit::Permit`] or a [`egress::permit::Passage`].
//! - With everything off there is no timer, no packet and no write.
//! - A feature that panics costs that feature and one warning; its data at the hub can be erased all the same.
//! - What was switched off is erased at the hub, today or whenever it is back, and the hub signs for it.
//! - Nothing outside is believed further than its signature: receipts, addresses, names.
//!
//! # Deliberately absent
//!
//! A database on the device, a second TLS, HTTP or DNS stack, a TCP port of the agent's own, a shell, a
//! way to upload a report, a list of boxes by public address, and remote calls of the hub that publish,
//! configure or report.

pub mod card;
pub mod cli;
pub mod clock;
pub mod daemon;
pub mod egress;
pub mod features;
#[doc(hidden)]
pub mod fuzz;
#[cfg(feature = "hub")]
pub mod hub;
pub mod identity;
pub mod platform;
pub mod report;
pub mod sabotage;
pub mod secret;
pub mod state;
pub mod wire;
