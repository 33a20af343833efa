//! What the agent asks of the box it runs on: files, addresses, timers, processes, the service manager.
//!
//! Each kind of contact with the system has one file here and none elsewhere: [`root`] makes every
//! absolute path, [`exec`] starts every process, [`netlink`] watches the addresses, [`sockdiag`] and
//! [`traffic`] read what the kernel counted, [`timer`] owns the timers that see suspend and a set
//! clock, [`health`] asks disks how they are and [`screen`] what is shown, [`privilege`] and [`seccomp`] give up
//! what the agent may do, [`priority`] stands back behind others, [`crash`] keeps this process's last moment and
//! [`cores`] those of others, [`capture`] looks at packets, and [`helper`] keeps the little that needs root.
//! There is no shell, and `unsafe` only in `kernel.rs` and `crash.rs`.

pub mod capture;
pub mod cores;
pub mod crash;
pub mod exec;
pub mod facts;
pub mod features;
pub mod health;
pub mod helper;
mod kernel;
pub mod memory;
pub mod mounts;
pub mod netlink;
pub(crate) mod parse;
pub mod priority;
pub mod privilege;
mod query;
pub mod record;
pub mod root;
pub mod screen;
pub mod seccomp;
pub mod serial;
pub mod service;
pub mod sockdiag;
pub mod timer;
pub mod traffic;
