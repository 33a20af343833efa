//! Requests that come with an auth key of the operator.

use super::refusal::Refusal;
use crate::hub::state::Hub;
use crate::hub::store::{Hash, fits};
use crate::wire::registration::Start;
use axum::http::StatusCode;
use core::net::IpAddr;
use ring::digest::{SHA256, digest};
use ring::hmac;

/// The id of the key that stands for a request; `None` when it came without one.
///
/// # Errors
/// One and the same refusal for a key that is unknown, wrong, expired or used up, and for a name it does not let in,
/// after the same work. A network that was refused too often is asked to wait.
pub(super) async fn judge(
    hub: &Hub,
    from: IpAddr,
    start: &Start,
    spki: &[u8],
) -> Result<Option<String>, Refusal> {
    let Some(key) = &start.auth_key else { return Ok(None) };
    let now = hub.clock.now();
    if !hub.config.sandbox {
        hub.guesses.room(from, now.boot).map_err(Refusal::too_many)?;
    }
    let (id, secret) = key.parts().unwrap_or_default();
    let found = hub.store.auth_key(id.to_owned()).await?;
    let kept = found.as_ref().map_or([0; 32], |row| row.hash);
    let right = same(&kept, digest(&SHA256, secret.as_bytes()).as_ref());
    let own = hub.store.came_by(id.to_owned(), spki.to_owned()).await?;
    let good = found.is_some_and(|row| {
        let is_good = row.is_good(now.wall) | (own & (now.wall < row.expires_at));
        is_good & fits(&row.pattern, start.name.as_str())
    });
    if right & good {
        return Ok(Some(id.to_owned()));
    }
    // The wait it may come to is that of the next try.
    let _ = hub.guesses.take(from, now.boot);
    tracing::warn!("an auth key was refused");
    let error = "this auth key does not let this device in";
    Err(Refusal::new(StatusCode::FORBIDDEN, error)
        .field("auth_key")
        .hint("qcloud-hub authkey list"))
}

/// Whether two hashes are the same, in a time that does not tell where they differ.
fn same(one: &Hash, other: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"qcloud-authkey/1");
    hmac::verify(&key, other, hmac::sign(&key, one).as_ref()).is_ok()
}
