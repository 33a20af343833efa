//! The machine id, which leaves this file only as a keyed hash.

use super::super::root::Root;
use super::place;
use crate::secret::Secret;
use data_encoding::HEXLOWER;
use ring::hmac;

/// Tells machines apart without naming them: HMAC-SHA256 of the machine id under `key`, 64 hex digits.
///
/// `machine-id(5)` asks that the id itself is not shown to others. `None` when the machine has none.
pub fn machine_tag(key: &[u8], root: &Root) -> Option<String> {
    let id = machine_id(root)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    Some(HEXLOWER.encode(hmac::sign(&key, id.expose().as_bytes()).as_ref()))
}

/// 32 hex digits that are not all zeros; an image before its first boot has `uninitialized` or nothing.
fn machine_id(root: &Root) -> Option<Secret<String>> {
    let paths = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
    paths.into_iter().find_map(|path| {
        let text = Secret::new(place::load(root, path).ok()?);
        let id = Secret::new(text.expose().trim().to_ascii_lowercase());
        let digits = id.expose().as_bytes();
        let fits = digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit);
        (fits && digits.iter().any(|b| *b != b'0')).then_some(id)
    })
}
