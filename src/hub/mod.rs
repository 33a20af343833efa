//! The self-hosted other side of the agent: registration, DNS zone, relay.
//!
//! One process on three sockets. [`front`] tells connections on the TCP port apart by their first bytes: the
//! hub's own [`api`], devices' tripwires, and visitors, whom [`relay`] carries unread through a device's
//! [`session`] (QUIC, on the UDP port of the same number). [`dns`] answers for the zone from memory.
//! [`admin`] is the operator's way to the serving process; [`approval`] finds who waits to be let in.
//! [`operators`] is what an operator may ask of it, in which role; [`health`], [`metrics`] and [`watch`] are how the
//! hub stands. [`store`] is what is kept; [`sweep`] holds it to what the wire's parcels promise.
//! [`speech`] is how people are answered, [`kept`] tells them what is kept, [`export`] gives it to them and [`account`]
//! is the one way an account ends. [`license`] signs what devices hold of products, and counts seats.
//!
//! The row of a key in the store is the authority over a device: certificates only carry the key. Store
//! and zone change under one lock for each device, the zone before the answer.

pub mod access;
pub mod account;
pub mod admin;
pub mod api;
pub mod approval;
pub mod cli;
pub mod config;
pub mod dns;
pub mod export;
pub mod front;
pub mod health;
pub mod hello;
pub mod keeping;
pub mod kept;
pub mod keys;
pub mod license;
pub mod limit;
pub mod listen;
pub mod log;
pub mod mail;
pub mod metrics;
pub mod oidc;
pub mod operators;
pub mod pages;
pub mod people;
pub mod presence;
pub mod relay;
pub mod restrictions;
pub mod seal;
pub mod seal_key;
pub mod serve;
pub mod session;
pub mod speech;
pub mod state;
pub mod store;
pub mod sweep;
pub mod ticket;
pub mod tls;
pub mod watch;
