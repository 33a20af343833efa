//! The device id: a name for a key, derived from nothing else.

use data_encoding::BASE32_NOPAD;
use ring::digest::{SHA256, digest};

/// Letters of a device id: 130 of the 256 bits, too many for anybody to find a second key.
const LENGTH: usize = 26;

/// The first 26 lower-case base32 letters (RFC 4648) of the SHA-256 of a SubjectPublicKeyInfo in DER.
pub fn device_id(spki: &[u8]) -> String {
    let mut id = BASE32_NOPAD.encode(digest(&SHA256, spki).as_ref()).to_ascii_lowercase();
    id.truncate(LENGTH);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_26_letters_of_the_key_alone() {
        // SHA-256 of nothing begins e3b0c44298fc1c14, base32 4OYMIQUY7QOBI...
        assert!(device_id(b"").starts_with("4oymiquy7qobj"));
        assert_eq!(device_id(b"").len(), LENGTH);
        assert_ne!(device_id(b""), device_id(b"x"));
    }
}
