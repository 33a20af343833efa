//! What a letter says.

use super::Post;
use crate::hub::people::email::Email;
use crate::hub::store::people::{Entry, Happened};
use crate::wire::label::printable;
use lettre::Message;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;

/// The letter about a line of somebody's log.
///
/// # Errors
/// An address that the mail library does not take.
pub(super) fn message(
    post: &Post,
    to: &Email,
    entry: &Entry,
    about: Option<&str>,
) -> Result<Message, Box<dyn core::error::Error + Send + Sync>> {
    let to = Mailbox::new(None, to.as_str().parse()?);
    let message = Message::builder().from(post.from.clone()).to(to);
    let subject = subject(entry.what, about);
    // RFC 3834 section 5: no out-of-office replies to a program.
    let message = message.subject(subject).header(AutoSubmitted);
    let text = text(&post.pages, entry, about);
    Ok(message.header(ContentType::TEXT_PLAIN).body(text)?)
}

fn subject(what: Happened, about: Option<&str>) -> String {
    let about = printable(about.unwrap_or_default(), 80);
    match what {
        Happened::PasswordSet => "Your password was set".into(),
        Happened::SignedIn => "Somebody signed in to your account".into(),
        Happened::Approved => format!("The device {about} was added to your account"),
        Happened::SignInFailed => "Somebody tried to sign in to your account".into(),
        Happened::SignedOut => "Somebody signed out of your account".into(),
        Happened::Denied => format!("The device {about} was refused"),
        Happened::PasswordChanged => "Your password was changed".into(),
        Happened::SecondOn => "A second factor protects your account now".into(),
        Happened::SecondOff => "The second factor of your account was switched off".into(),
        Happened::SecondFailed => "A code of your second factor was wrong".into(),
        Happened::SecondLocked => "Too many wrong codes for your account".into(),
        Happened::RecoveryMade => "New recovery codes were made for your account".into(),
        Happened::RecoveryUsed => "A recovery code of your account was used".into(),
        Happened::BrowserTrusted => "A browser is trusted to sign in without a code".into(),
        Happened::TrustEnded => "Browsers are trusted no more to sign in without a code".into(),
        Happened::OthersSignedOut => "Browsers were signed out of your account".into(),
        Happened::DeviceRevoked => format!("The device {about} was revoked"),
        Happened::DeviceReleased => format!("The device {about} was released from quarantine"),
        Happened::VisibilitySet => format!("Who may find your device was changed: {about}"),
        Happened::GuestInvited => format!("Somebody was invited to your device: {about}"),
        Happened::GuestRemoved => format!("Your device was taken back from somebody: {about}"),
        Happened::OfferAccepted => format!("You may find somebody's device now: {about}"),
        Happened::OfferEnded => format!("You may not find somebody's device any more: {about}"),
    }
}

fn text(pages: &str, entry: &Entry, about: Option<&str>) -> String {
    format!(
        "{}.\n\n\
         when:  {}\n\
         from:  the network {}\n\
         where: {pages}\n\n\
         If this was you, there is nothing to do. If it was not, sign in at {pages}, look at the\n\
         account log, and ask whoever runs this hub for an invitation to set another password.\n\n\
         Letters like this one are about the safety of your account; there are no others, and these\n\
         cannot be switched off.\n",
        subject(entry.what, about),
        entry.made_at.rfc3339(),
        entry.masked,
    )
}

#[derive(Clone)]
struct AutoSubmitted;

impl lettre::message::header::Header for AutoSubmitted {
    fn name() -> lettre::message::header::HeaderName {
        lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn core::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> lettre::message::header::HeaderValue {
        lettre::message::header::HeaderValue::new(Self::name(), "auto-generated".into())
    }
}
