//! The hub, from its store to the whole program.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

#[path = "hub/api.rs"]
mod api;
#[path = "hub/dns.rs"]
mod dns;
#[path = "hub/link.rs"]
mod link;
#[path = "hub/privacy.rs"]
mod privacy;
#[path = "hub/rights.rs"]
mod rights;
#[path = "hub/store_contract.rs"]
mod store_contract;
#[path = "hub/support.rs"]
mod support;
