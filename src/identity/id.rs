//! The device id: a short name of the public key, and of nothing else.

use data_encoding::BASE32_NOPAD;
use ring::digest::{SHA256, digest};

/// Characters of a device id: 130 bits of the digest, so that nobody makes a second key with it.
pub const ID_CHARS: usize = 26;

/// The id of a public key: the first 26 characters of the lower-case base32 of SHA-256 of its
/// SubjectPublicKeyInfo.
pub fn device_id(spki: &[u8]) -> String {
    of_hash(digest(&SHA256, spki).as_ref())
}

/// The id of a public key whose SHA-256 is known.
pub fn of_hash(hash: &[u8]) -> String {
    let mut text = BASE32_NOPAD.encode(hash);
    text.truncate(ID_CHARS);
    text.make_ascii_lowercase();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_beginning_of_the_digest_in_base32() {
        // SHA-256 of nothing begins e3b0c44298fc1c14 9afbf4c8996fb924 27 (FIPS 180-4 examples).
        assert_eq!(device_id(b""), "4oymiquy7qobjgx36tejs35zeq");
        assert_ne!(device_id(b"a"), device_id(b"b"));
    }
}
