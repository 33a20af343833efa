//! What the agent asks of the box it runs on: files, addresses, timers, processes, the service manager.
//!
//! Each kind of contact with the system has one file here and none elsewhere: [`root`] makes every
//! absolute path, [`exec`] starts every process, [`netlink`] watches the addresses, [`sockdiag`] and
//! [`traffic`] read what the kernel counted, [`timer`] owns the timers that see suspend and a set
//! clock. There is no shell, and `unsafe` only in `kernel.rs`.

pub mod exec;
pub mod facts;
pub mod features;
mod kernel;
pub mod netlink;
pub(crate) mod parse;
mod query;
pub mod root;
pub mod service;
pub mod sockdiag;
pub mod timer;
pub mod traffic;
