//! Who this device is, and whom it believes: its key, its certificates, and the pin of its hub.

#[cfg(test)]
mod attacks;
pub mod board;
pub mod device;
pub mod id;
pub mod key;
mod keyring;
pub mod mark;
pub mod pin;
#[cfg(test)]
mod testing;
pub mod ticket;
pub mod tls;
pub mod trust;
pub mod validity;
pub mod webcert;

pub use device::{HubTls, Identity, Web};
pub use ticket::TicketBook;

use crate::state::StateError;

/// Why an identity could not be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The state directory refused.
    #[error("the identity could not be read or kept")]
    State(#[from] StateError),
    /// The system gives no randomness, without which there is no key.
    #[error("no randomness for a new key")]
    Randomness,
    /// A key file holds no key of the kind it should.
    #[error("`{0}` in the state directory does not hold a usable key")]
    BadKey(&'static str),
    /// A certificate that is none.
    #[error("the certificate is not understood")]
    BadCertificate,
    /// A certificate that was made for another key.
    #[error("the certificate belongs to another key than this device's")]
    ForeignCertificate,
    /// A certificate could not be made.
    #[error("no certificate could be made for `{host}`")]
    Mint {
        /// The name it was to be for.
        host: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// rustls refuses what it was given.
    #[error("TLS could not be set up")]
    Tls(#[from] rustls::Error),
}
