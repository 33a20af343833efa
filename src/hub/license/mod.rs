//! Licenses at the hub: what is signed, for whom, and what is refused.
//!
//! The issuer's key is made on another machine and stays there ([`root`]); of it the hub has a certificate for a key of
//! its own ([`signing`]), which lies sealed in the store. [`office`] is the one place where a seat is asked for, be it
//! by a device, in a file that a person brings, or by an operator. [`notice`] tells holders before a license ends, and
//! [`stats`] is all that a vendor learns: counts.

pub mod notice;
pub mod office;
pub mod root;
pub mod signing;
pub mod stats;
