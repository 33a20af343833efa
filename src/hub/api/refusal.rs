//! Answers other than yes: a status, one line for a person, and what to do.

use crate::hub::keys::KeyError;
use crate::hub::metrics::{ERRORS, REFUSALS};
use crate::hub::store::StoreError;
use crate::hub::ticket::QUARANTINED;
use crate::wire::registration::CERTIFICATE_EXPIRED;
use crate::wire::{MAX_BODY, link};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use core::time::Duration;
use serde::Serialize;

/// A refusal, as the asker gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    #[serde(skip)]
    retry_after: Option<Duration>,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// For programs, where one acts on it by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl Refusal {
    /// A refusal of one line.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, retry_after: None, error: error.into(), field: None, hint: None, code: None }
    }

    /// Names the field that is wrong.
    pub fn field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// Adds what to do.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Adds what programs go by.
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// No such thing is served, whatever was asked for.
    pub fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing is served here")
    }

    /// The key shown, or none, has no row.
    pub fn not_registered() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "this device is not registered here")
            .hint("qcloud-agent register")
    }

    /// The key is known; the certificate it was shown with is over.
    pub fn certificate_over() -> Self {
        let error = "the certificate of this device is over; only its renewal is served";
        let refusal = Self::new(StatusCode::UNAUTHORIZED, error).hint("qcloud-agent status");
        Self { code: Some(CERTIFICATE_EXPIRED), ..refusal }
    }

    /// Two boxes use this device's identity.
    pub fn quarantined() -> Self {
        let refusal = Self::new(StatusCode::FORBIDDEN, QUARANTINED)
            .hint("qcloud-agent register --fork, on the copy");
        Self { code: Some(link::QUARANTINED), ..refusal }
    }

    /// The body is not the JSON that belongs here.
    pub fn not_understood(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let refusal =
            Self::new(StatusCode::BAD_REQUEST, format!("the request is not understood: {text}"));
        let named = text.starts_with("missing field `") || text.starts_with("unknown field `");
        match text.split('`').nth(1).filter(|_| named) {
            Some(field) => refusal.field(field),
            None => refusal,
        }
    }

    /// More than [`MAX_BODY`].
    pub fn too_large() -> Self {
        let error = format!("the request is larger than {MAX_BODY} bytes, or broke off");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    /// The body did not come in time.
    pub fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the request did not come in time")
    }

    /// Too often, from this network.
    pub fn too_many(wait: Duration) -> Self {
        let error = "too many requests from this network";
        Self { retry_after: Some(wait), ..Self::new(StatusCode::TOO_MANY_REQUESTS, error) }
    }

    /// No room, for the time being.
    pub fn full(error: &str, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, error) }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::NoDevice) {
            return Self::not_registered();
        }
        internal(&error)
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        internal(&error)
    }
}

/// The operator reads why in the log; the asker only learns that it may come again.
fn internal(error: &(dyn core::error::Error + 'static)) -> Refusal {
    let reason = error.source().map(ToString::to_string);
    ERRORS.count("api");
    tracing::error!(%error, reason, "a request could not be served");
    let text = "the hub could not do this now; its log says why";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        REFUSALS.count(self.status.as_str());
        let wait = self.retry_after.map(|wait| HeaderValue::from(wait.as_secs().max(1)));
        let mut response = (self.status, Json(self)).into_response();
        if let Some(seconds) = wait {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
