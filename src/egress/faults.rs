//! How the words of sockets, rustls, quinn and reqwest become a [`SendError`].

use super::outside::{SendError, UNKNOWN};
use super::permit::Target;
use crate::identity::trust::Distrust;
use crate::wire::label::printable;
use crate::wire::link::{CLOSED_CERTIFICATE_EXPIRED, CLOSED_QUARANTINED, UNKNOWN_DEVICE};
use core::error::Error;
use core::time::Duration;
use rustls::AlertDescription;

/// Of a peer with which no version or cipher is shared.
const TOO_OLD: &str = "it speaks no TLS that is safe today: 1.2 or 1.3 is needed";
/// The most characters of a reason from outside that are shown.
const REASON: usize = 240;

/// No connection to `to`.
pub(super) fn unreachable(to: &Target, why: impl core::fmt::Display) -> SendError {
    SendError::Unreachable { to: to.to_string(), why: printable(&why.to_string(), REASON) }
}

/// The peer at `to` is not whom it should be.
pub(super) fn not_trusted(to: &Target, why: impl core::fmt::Display) -> SendError {
    SendError::NotTrusted { to: to.to_string(), why: printable(&why.to_string(), REASON) }
}

/// No answer from `to` within `limit`.
pub(super) fn timed_out(to: &Target, limit: Duration) -> SendError {
    SendError::TimedOut { to: to.to_string(), seconds: limit.as_secs() }
}

/// No address for the host of `to`.
pub(super) fn no_address(to: &Target, why: impl core::fmt::Display) -> SendError {
    SendError::NoAddress { host: to.host.clone(), why: printable(&why.to_string(), REASON) }
}

/// What the hub said was said to the key that this device had before.
pub(super) fn key_changed(to: &Target) -> SendError {
    unreachable(to, "this device's key was changed meanwhile")
}

/// What went wrong, from a chain of errors: the verifier's word if there is one, else the innermost.
pub(super) fn of_chain(to: &Target, error: &(dyn Error + 'static)) -> SendError {
    let mut last = error;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = rustls_in(error) {
            return of_rustls(to, tls);
        }
        last = error;
        next = error.source();
    }
    unreachable(to, last)
}

/// rustls hands its error over inside one or more `io::Error`s, whose `source` skips what they hold.
fn rustls_in<'a>(mut error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    while let Some(inside) = error.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref()) {
        error = inside;
    }
    error.downcast_ref()
}

fn of_rustls(to: &Target, error: &rustls::Error) -> SendError {
    use rustls::Error::{
        AlertReceived, General, InvalidCertRevocationList, InvalidCertificate,
        NoCertificatesPresented, PeerIncompatible, UnsupportedNameType,
    };
    // Our own verifier's word, which rustls would show as its debug form.
    if let InvalidCertificate(rustls::CertificateError::Other(ours)) = error {
        return not_trusted(to, &ours.0);
    }
    if matches!(
        error,
        InvalidCertificate(_)
            | InvalidCertRevocationList(_)
            | NoCertificatesPresented
            | UnsupportedNameType
            | General(_)
    ) {
        return not_trusted(to, error);
    }
    if let AlertReceived(AlertDescription::ProtocolVersion) = error {
        return unreachable(to, TOO_OLD);
    }
    if let AlertReceived(alert) = error {
        return unreachable(to, format_args!("the hub refused us in TLS ({alert:?})"));
    }
    if let PeerIncompatible(_) = error {
        return unreachable(to, format_args!("{TOO_OLD} ({error})"));
    }
    unreachable(to, format_args!("TLS: {error}"))
}

/// What ended or prevented a QUIC connection.
pub(super) fn of_quinn(to: &Target, error: &quinn::ConnectionError) -> SendError {
    // RFC 9001 section 4.8: a TLS alert is the transport error 0x100 + alert.
    let is_tls = |code: quinn::TransportErrorCode| (0x100..0x200).contains(&u64::from(code));
    match error {
        quinn::ConnectionError::TransportError(e) if is_tls(e.code) => {
            let words = Distrust::within(&e.reason).unwrap_or(&e.reason);
            not_trusted(to, if words.is_empty() { e.to_string() } else { words.into() })
        }
        quinn::ConnectionError::ConnectionClosed(close) if is_tls(close.error_code) => {
            let alert = u64::from(close.error_code) - 0x100;
            unreachable(to, format_args!("the hub refused us in TLS (alert {alert})"))
        }
        quinn::ConnectionError::ApplicationClosed(close)
            if close.error_code.into_inner() == u64::from(CLOSED_CERTIFICATE_EXPIRED) =>
        {
            SendError::CertificateExpired
        }
        quinn::ConnectionError::ApplicationClosed(close)
            if close.error_code == quinn::VarInt::from_u32(CLOSED_QUARANTINED) =>
        {
            let reason = String::from_utf8_lossy(&close.reason);
            SendError::Quarantined { reason: printable(&reason, REASON) }
        }
        // The same word as that of the API, so that whoever asks need not know which way it came.
        quinn::ConnectionError::ApplicationClosed(close)
            if close.error_code == quinn::VarInt::from_u32(UNKNOWN_DEVICE) =>
        {
            let reason = printable(&String::from_utf8_lossy(&close.reason), REASON);
            SendError::Declined { status: UNKNOWN, reason, retry_after: None }
        }
        quinn::ConnectionError::TransportError(_)
        | quinn::ConnectionError::ConnectionClosed(_)
        | quinn::ConnectionError::ApplicationClosed(_)
        | quinn::ConnectionError::VersionMismatch
        | quinn::ConnectionError::Reset
        | quinn::ConnectionError::TimedOut
        | quinn::ConnectionError::LocallyClosed
        | quinn::ConnectionError::CidsExhausted => unreachable(to, error),
    }
}
