//! The one way out. A feature hands a typed body to the gate; the gate judges it against what the feature's
//! card declares, and only then makes a [`Permit`](permit::Permit) (one message) or a
//! [`Passage`](permit::Passage) (a long flow). Carriers take permits and nothing else, and every
//! permit ends as a line of the ledger, refused ones included.

pub mod backoff;
mod budget;
pub mod carriers;
pub mod catalogue;
pub mod consent;
mod datagrams;
pub mod denied;
pub(crate) mod dns;
mod faults;
pub mod gate;
pub mod https;
pub mod ledger;
pub mod local;
pub mod metered;
pub mod outside;
pub mod permit;
pub mod pump;
pub mod quic;
pub mod reconcile;
pub mod resolver;
pub mod session;
mod shown;
mod tcp;
#[cfg(test)]
mod testing;
pub mod totals;
mod underway;
