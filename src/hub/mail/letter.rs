//! What a letter says.

use super::Post;
use crate::hub::people::email::Email;
use crate::hub::people::farewell::Farewell;
use crate::hub::speech::{Said, said};
use crate::hub::store::people::{Entry, Happened};
use crate::wire::label::printable;
use core::net::IpAddr;
use lettre::Message;
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, Mailbox};

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
    plain(post, to, subject(entry.what, about), text(&post.pages, entry, about))
}

/// The letter to an address that an account is to have.
///
/// # Errors
/// An address that the mail library does not take.
pub(super) fn confirmation(
    post: &Post,
    to: &Email,
    token: &str,
) -> Result<Message, Box<dyn core::error::Error + Send + Sync>> {
    let pages = &post.pages;
    let text = format!(
        "Somebody with an account at {pages} wants letters about it to come here.\n\n\
         If this was you, open this page within a day in a browser that is signed in there:\n\n\
         https://{pages}/address/{token}\n\n\
         If it was not, there is nothing to do: without the page this address is forgotten.\n"
    );
    plain(post, to, "Is this your address?".into(), text)
}

/// A letter without a picture, a page in it, or a word of who sent it but the address.
fn plain(
    post: &Post,
    to: &Email,
    subject: String,
    text: String,
) -> Result<Message, Box<dyn core::error::Error + Send + Sync>> {
    let to = Mailbox::new(None, to.as_str().parse()?);
    let message = Message::builder().from(post.from.clone()).to(to);
    // RFC 3834 section 5: no out-of-office replies to a program.
    let message = message.subject(subject).header(AutoSubmitted);
    let kind = if crate::sabotage::off("mail-plain") {
        ContentType::TEXT_HTML
    } else {
        ContentType::TEXT_PLAIN
    };
    Ok(message.header(kind).body(body(text))?)
}

/// The letter to whoever runs the hub, about something unusual. It names nobody.
///
/// # Errors
/// An address that the mail library does not take.
pub(super) fn alert(
    post: &Post,
    to: &Email,
    host: &str,
    text: &str,
) -> Result<Message, Box<dyn core::error::Error + Send + Sync>> {
    let to = Mailbox::new(None, to.as_str().parse()?);
    let message = Message::builder().from(post.from.clone()).to(to).header(AutoSubmitted);
    let message = message.subject(format!("Something unusual at the hub {host}"));
    let body = format!(
        "{text}\n\n\
         What it was is in the hub's log and metrics; whom it concerns was told in their account's log.\n\
         Operators' acts: qcloud-hub audit list\n"
    );
    Ok(message.header(ContentType::TEXT_PLAIN).body(body)?)
}

/// The last letter to somebody whose account is gone.
///
/// # Errors
/// An address that the mail library does not take.
pub(super) fn farewell(
    post: &Post,
    farewell: &Farewell,
) -> Result<Message, Box<dyn core::error::Error + Send + Sync>> {
    let to = Mailbox::new(None, farewell.to.as_str().parse()?);
    let message = Message::builder().from(post.from.clone()).to(to);
    let subject = SUBJECT.to(farewell.language);
    let message = message.subject(subject).header(AutoSubmitted);
    let devices: Vec<_> = farewell.devices.iter().map(|name| printable(name, 80)).collect();
    let devices = if devices.is_empty() { "-".into() } else { devices.join(", ") };
    let text = LAST
        .to(farewell.language)
        .replace("{pages}", &post.pages)
        .replace("{when}", &farewell.erased_at.rfc3339())
        .replace("{rows}", &farewell.rows.to_string())
        .replace("{devices}", &devices)
        .replace("{receipt}", &farewell.receipt);
    Ok(message.header(ContentType::TEXT_PLAIN).body(text)?)
}

const SUBJECT: Said =
    said("Your account was deleted", "Ihr Konto wurde gelöscht", "Ditt konto har raderats");
const LAST: Said = said(
    "Your account at {pages} was deleted, with everything that was kept of you and your devices.\n\n\
     when:    {when}\nrows:    {rows}\ndevices: {devices}\n\n\
     This is the last letter; your address was kept in memory for it, and is forgotten now.\n\
     The hub signs for the erasure with this receipt:\n\n{receipt}\n",
    "Ihr Konto bei {pages} wurde gelöscht, mit allem, was über Sie und Ihre Geräte aufbewahrt wurde.\n\n\
     wann:    {when}\nZeilen:  {rows}\nGeräte:  {devices}\n\n\
     Dies ist der letzte Brief; Ihre Adresse stand dafür noch im Arbeitsspeicher und ist nun vergessen.\n\
     Der Hub quittiert die Löschung mit dieser Signatur:\n\n{receipt}\n",
    "Ditt konto hos {pages} har raderats, med allt som sparats om dig och dina enheter.\n\n\
     när:     {when}\nrader:   {rows}\nenheter: {devices}\n\n\
     Det här är det sista brevet; din adress fanns kvar i minnet för det och är nu glömd.\n\
     Hubben kvitterar raderingen med den här signaturen:\n\n{receipt}\n",
);

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
        Happened::NewBrowser => "Your account was signed in to with a new browser".into(),
        Happened::BrowserForgotten => "Browsers are known to your account no more".into(),
        Happened::AddressAsked => format!("Another address was asked for: {about}"),
        Happened::AddressChanged => format!("Your account has another address now: {about}"),
        Happened::Linked => format!("Your account can be signed in to by {about}"),
        Happened::Unlinked => format!("Your account cannot be signed in to by {about} any more"),
        Happened::Revoked => format!("The device {about} was taken out of your account"),
        Happened::Left => format!("The device {about} left your account"),
        Happened::Released => format!("The device {about} may come back"),
        Happened::OperatorLooked => "An operator of the hub looked at your account".into(),
        Happened::OperatorActed => format!("An operator of the hub changed your account: {about}"),
        Happened::SecondReset => "An operator of the hub removed your second factor".into(),
        Happened::Unusual => format!("Something unusual happened with your account: {about}"),
        Happened::ProfileChanged => "Your profile was changed".into(),
        Happened::Exported => "Everything kept of you was downloaded".into(),
        Happened::LicenseEnds => format!("A license of yours ends soon: {about}"),
        Happened::LicenseChanged => format!("A license of yours changed: {about}"),
    }
}

fn text(pages: &str, entry: &Entry, about: Option<&str>) -> String {
    format!(
        "{}.\n\n\
         when:  {}\n\
         from:  {}\n\
         where: {pages}\n\n\
         If this was you, there is nothing to do. If it was not, sign in at {pages}, look at the\n\
         account log, and ask whoever runs this hub for an invitation to set another password.\n\n\
         Letters like this one are about the safety of your account; there are no others, and these\n\
         cannot be switched off.\n",
        subject(entry.what, about),
        entry.made_at.rfc3339(),
        whence(entry.masked),
    )
}

/// As it is, where mail takes it so (RFC 5322 section 2.1.1): the library would break a link of more than 76 characters
/// in two, which is right, and not what somebody sees who reads mail raw.
fn body(text: String) -> Body {
    if text.is_ascii() && text.lines().all(|line| line.len() <= 998) {
        let bytes = text.replace('\n', "\r\n").into_bytes();
        return Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}

/// Nobody comes from the unspecified address: what happened came from the device, or from who runs the hub.
fn whence(masked: IpAddr) -> String {
    if masked.is_unspecified() { "this hub itself".into() } else { format!("the network {masked}") }
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
