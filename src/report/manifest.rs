//! The manifest: what a report holds, how each part came out, who wanted it and for whom it is.

use super::age::Recipient;
use super::bundle::{Entry, Status};
use super::fill::Bounds;
use super::make::Order;
use super::options::{Acknowledged, Options};
use serde_json::{Value, json};

/// The manifest of these entries.
pub(super) fn of(order: &Order<'_>, entries: &[Entry], room: u64) -> Value {
    let Options { form, crash, pseudonymize, recipients, acknowledged, argv, .. } = order.options;
    let bounds = Bounds::of(order.options);
    json!({
        "schema": 1,
        "tool": "qcloud-agent",
        "version": env!("CARGO_PKG_VERSION"),
        "mode": if *crash { "crash" } else { "server" },
        "form": form,
        "recipients": recipients.iter().map(Recipient::as_str).collect::<Vec<_>>(),
        "consent": consent(*acknowledged, recipients),
        "pseudonymized": pseudonymize.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "made": order.clock.now().wall.rfc3339(),
        "argv": argv,
        "complete": is_complete(entries),
        "limits": {
            "file_bytes": bounds.file, "section_bytes": bounds.section, "seconds": order.options.time().as_secs(), "archive_bytes": room,
        },
        "entries": entries,
    })
}

/// Whether nothing is missing that this box has and that was asked for.
pub(super) fn is_complete(entries: &[Entry]) -> bool {
    entries.iter().all(|e| matches!(e.status, Status::Ok | Status::Absent | Status::Skipped))
}

/// Who wanted this report, and whom it may be given to.
fn consent(acknowledged: Acknowledged, recipients: &[Recipient]) -> Value {
    if crate::sabotage::off("report-consent-note") {
        return Value::Null;
    }
    let meant = match recipients {
        [] => "it is meant for whomever they hand it to",
        [..] => "it is meant for the recipients named here, and only they can open it",
    };
    json!({
        "by": format!("uid {}", nix::unistd::getuid()),
        "how": "qcloud-agent report",
        "acknowledged": acknowledged,
        "note": format!(
            "The owner of this device, or whoever may act for them on it, made this report by hand and was told what \
             is in it; {meant}. The program did not send it, and nobody but they may be asked for it."
        ),
    })
}
