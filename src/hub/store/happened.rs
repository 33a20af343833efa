//! [`Happened`]: everything that a line of an account's log can be about.

/// What a line of an account's log is about (promise S11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A password was set.
    PasswordSet,
    /// A browser was signed in.
    SignedIn,
    /// Somebody tried to.
    SignInFailed,
    /// A browser was signed out.
    SignedOut,
    /// A device was let in.
    Approved,
    /// A device was refused.
    Denied,
    /// The password was changed.
    PasswordChanged,
    /// The second factor was switched on.
    SecondOn,
    /// The second factor was switched off.
    SecondOff,
    /// A code of the second factor was wrong, after the right password.
    SecondFailed,
    /// The second step was closed for a while.
    SecondLocked,
    /// New recovery codes were made.
    RecoveryMade,
    /// A recovery code was used.
    RecoveryUsed,
    /// A browser is trusted from now on.
    BrowserTrusted,
    /// Browsers are trusted no more.
    TrustEnded,
    /// Browsers were signed out from another one, or all of them at once.
    OthersSignedOut,
    /// A device was revoked at the pages.
    DeviceRevoked,
    /// A device was released from quarantine at the pages.
    DeviceReleased,
    /// Its owner decided anew who may find a device.
    VisibilitySet,
    /// Somebody was invited to find a device.
    GuestInvited,
    /// Somebody may find a device no more, or an invitation was taken back.
    GuestRemoved,
    /// An invitation to somebody else's device was accepted.
    OfferAccepted,
    /// An invitation was declined, or a shared device given back.
    OfferEnded,
    /// A browser was signed in with that this account had not used before.
    NewBrowser,
    /// Browsers are known no more.
    BrowserForgotten,
    /// Another address was asked for.
    AddressAsked,
    /// The account has another address.
    AddressChanged,
    /// Somebody at a provider of identities may sign in.
    Linked,
    /// That one may sign in no more.
    Unlinked,
    /// The operator took a device's place back.
    Revoked,
    /// A device went by itself.
    Left,
    /// The operator lifted a device's quarantine.
    Released,
    /// An operator looked at the account (promise S4).
    OperatorLooked,
    /// An operator did something with the account.
    OperatorActed,
    /// An operator removed a second factor that was lost.
    SecondReset,
    /// The hub saw something unusual with the account (promise S18).
    Unusual,
    /// The profile was changed.
    ProfileChanged,
    /// Everything that is kept was downloaded.
    Exported,
    /// A license ends soon.
    LicenseEnds,
    /// A license came to the account or left it, or a seat of it was taken or freed at the pages.
    LicenseChanged,
}

impl Happened {
    /// All there are, with the codes they are kept as.
    pub const ALL: [(&'static str, Self); 40] = [
        ("password_set", Self::PasswordSet),
        ("signed_in", Self::SignedIn),
        ("sign_in_failed", Self::SignInFailed),
        ("signed_out", Self::SignedOut),
        ("approved", Self::Approved),
        ("denied", Self::Denied),
        ("password_changed", Self::PasswordChanged),
        ("second_on", Self::SecondOn),
        ("second_off", Self::SecondOff),
        ("second_failed", Self::SecondFailed),
        ("second_locked", Self::SecondLocked),
        ("recovery_made", Self::RecoveryMade),
        ("recovery_used", Self::RecoveryUsed),
        ("browser_trusted", Self::BrowserTrusted),
        ("trust_ended", Self::TrustEnded),
        ("others_signed_out", Self::OthersSignedOut),
        ("device_revoked", Self::DeviceRevoked),
        ("device_released", Self::DeviceReleased),
        ("visibility_set", Self::VisibilitySet),
        ("guest_invited", Self::GuestInvited),
        ("guest_removed", Self::GuestRemoved),
        ("offer_accepted", Self::OfferAccepted),
        ("offer_ended", Self::OfferEnded),
        ("new_browser", Self::NewBrowser),
        ("browser_forgotten", Self::BrowserForgotten),
        ("address_asked", Self::AddressAsked),
        ("address_changed", Self::AddressChanged),
        ("linked", Self::Linked),
        ("unlinked", Self::Unlinked),
        ("revoked", Self::Revoked),
        ("left", Self::Left),
        ("released", Self::Released),
        ("operator_looked", Self::OperatorLooked),
        ("operator_acted", Self::OperatorActed),
        ("second_reset", Self::SecondReset),
        ("unusual", Self::Unusual),
        ("profile_changed", Self::ProfileChanged),
        ("exported", Self::Exported),
        ("license_ends", Self::LicenseEnds),
        ("license_changed", Self::LicenseChanged),
    ];

    /// As it is kept.
    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(_, what)| *what == self).map_or("", |(code, _)| code)
    }

    /// Whether its account is told by mail (promise S13): what somebody else might have done.
    pub const fn is_mailed(self) -> bool {
        match self {
            Self::PasswordSet
            | Self::PasswordChanged
            | Self::Approved
            | Self::SecondOn
            | Self::SecondOff
            | Self::SecondLocked
            | Self::RecoveryMade
            | Self::RecoveryUsed
            | Self::BrowserTrusted
            | Self::DeviceRevoked
            | Self::DeviceReleased
            | Self::VisibilitySet
            | Self::GuestInvited
            | Self::GuestRemoved
            | Self::OfferAccepted
            | Self::NewBrowser
            | Self::AddressAsked
            | Self::AddressChanged
            | Self::Linked
            | Self::Unlinked
            | Self::Revoked
            | Self::Left
            | Self::OperatorActed
            | Self::SecondReset
            | Self::Unusual
            | Self::Exported
            | Self::LicenseEnds
            | Self::LicenseChanged => true,
            Self::SignedIn
            | Self::SignInFailed
            | Self::SignedOut
            | Self::Denied
            | Self::SecondFailed
            | Self::TrustEnded
            | Self::OthersSignedOut
            | Self::OfferEnded
            | Self::BrowserForgotten
            | Self::Released
            | Self::OperatorLooked
            | Self::ProfileChanged => false,
        }
    }

    /// From how it is kept.
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == code).map(|(_, what)| *what)
    }
}
