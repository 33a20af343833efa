//! Licenses: signed documents that the device verifies by itself, and the few parcels that fetch them.
//!
//! Who signs what, and with which rights:
//!
//! ```text
//! issuer key (pinned on the device, kept offline)
//!   ├─ key certificate  qcl-key+jws   names a key of a hub, what it may sign, and from when to when
//!   │    ├─ entitlement      qcl-ent+jws    what was bought: product, seats, until when
//!   │    ├─ lease            qcl-lease+jws  the seat this box holds: bound to it, 30 days, then 14 of grace
//!   │    ├─ revocation list  qcl-rev+jws    what does not hold any more; its epoch only rises
//!   │    └─ signed time      qcl-time+jws   answers one nonce of one device
//! device key
//!   ├─ request          qcl-req+jws   what a hub needs for a lease, carried there in a file
//!   └─ release receipt  qcl-rel+jws   this box gives its seat back
//! ```
//!
//! The issuer key itself may sign all that a certified key may. A document is [`jws`] compact with one header for each
//! kind; its signature is verified before its payload is parsed; a payload must be, byte for byte, what this
//! program writes for what it read, so that members twice, members too many, another order or another case are no way in.
//!
//! A `.qcl` file is text, one document a line ([`bundle`]), in any order; a request and a receipt are two lines, the
//! device's public key and the document ([`jws::open_own`]).

pub mod bind;
pub mod claims;
pub mod jws;
pub mod key;
pub mod parcels;
#[cfg(test)]
mod tests;
pub mod trust;

pub use bind::{Binding, Facts};
pub use claims::{
    Entitlement, KeyCertificate, Lease, Model, Plan, Release, Request, Revocations, SignedTime, Use,
};
pub use jws::{BadLicense, Kind, Sealed, kid_of};
pub use key::{LicenseId, Product, ProductKey, Wanted};
pub use parcels::{
    ACTIVATE, Activate, Documents, FORGET, Forget, RELEASE, RENEW, REVOKED, Released, Renew,
    Return, Revoked,
};
pub use trust::{Opened, Trust};

use core::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a lease holds, at most. An agent refuses one that says more (promise L11).
pub const LEASE: Duration = Duration::from_secs(30 * DAY.as_secs());
/// How long it is honoured after that while no hub answers, at most.
pub const GRACE: Duration = Duration::from_secs(14 * DAY.as_secs());
/// The next contact is this long after a lease was made...
pub const NEXT: Duration = Duration::from_secs(7 * DAY.as_secs());
/// ...give or take this many hundredths, so that boxes which were set up together do not come together.
pub const NEXT_JITTER_PERCENT: u32 = 20;

/// The largest file of documents that is read, in bytes.
pub const MAX_BUNDLE: usize = 12 * 1024;
/// The most documents in it.
pub const MAX_DOCUMENTS: usize = 64;

/// The documents of a `.qcl` file: one a line; empty lines and those that begin with `#` are for people.
///
/// # Errors
/// [`BadLicense::Malformed`] for a file that is too large, has too many lines, or none.
pub fn bundle(text: &str) -> Result<Vec<&str>, BadLicense> {
    if text.len() > MAX_BUNDLE {
        return Err(BadLicense::Malformed("the file is too large".into()));
    }
    let lines: Vec<_> =
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    if lines.is_empty() || lines.len() > MAX_DOCUMENTS {
        return Err(BadLicense::Malformed(format!("there are {} documents in it", lines.len())));
    }
    Ok(lines)
}
