//! What an operator does with licenses.

mod desk;

pub use self::desk::state;

use super::act::Refused;
use crate::clock::Wall;
use crate::hub::store::license::Terms;
use crate::wire::label::printable;
use crate::wire::license::{GRACE, LEASE, Plan};
use core::time::Duration;
use serde::{Deserialize, Serialize};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The most seats of a license, and days of one.
const MOST_SEATS: u32 = 100_000;
/// See [`MOST_SEATS`].
const MOST_DAYS: u64 = 36_500;
/// The longest name of a product or policy, and text in its terms.
const MOST_TEXT: usize = 128;
/// Features of a policy.
const MOST_FEATURES: usize = 32;

/// One thing asked. `holder` and `to` are a mail address or the number of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum LicenseAct {
    /// Makes a key for the issuer to certify.
    SignerNew {},
    /// All keys.
    SignerList {},
    /// Takes the issuer's certificate of a key.
    SignerInstall {
        /// The document.
        certificate: String,
        /// The issuer's public key.
        root: String,
    },
    /// Drops a key.
    SignerDrop {
        /// Which.
        kid: String,
    },
    /// Takes the issuer's word that keys are withdrawn.
    SignerWithdraw {
        /// The document.
        document: String,
        /// The issuer's public key.
        root: String,
    },
    /// Notes a product.
    ProductAdd {
        /// Its short name.
        product: String,
        /// As people call it.
        name: String,
    },
    /// All products.
    ProductList {},
    /// Notes the terms of licenses.
    PolicyAdd {
        /// Of which product.
        product: String,
        /// Their short name.
        policy: String,
        /// The terms.
        terms: Box<Terms>,
    },
    /// All terms.
    PolicyList {},
    /// Makes a license.
    Issue {
        /// Of which product.
        product: String,
        /// By which terms.
        policy: String,
        /// For whom; for whoever shows its key first, where nobody is named.
        holder: Option<String>,
        /// Another number of seats.
        seats: Option<u32>,
        /// Another number of days.
        days: Option<u64>,
        /// Whether with a product key.
        key: bool,
    },
    /// Licenses.
    List {
        /// Whose.
        holder: Option<String>,
    },
    /// One license with its seats.
    Show {
        /// Which.
        lid: String,
    },
    /// Makes a license void.
    Revoke {
        /// Which.
        lid: String,
    },
    /// Gives a license to somebody else.
    Transfer {
        /// Which.
        lid: String,
        /// To whom.
        to: String,
    },
    /// Has a subscription last longer.
    Prolong {
        /// Which.
        lid: String,
        /// By how many days.
        days: u64,
    },
    /// Makes a product key, in the place of the one before.
    KeyMake {
        /// Of which license.
        lid: String,
    },
    /// Frees a seat although nobody gave it back.
    SeatFree {
        /// Of which license.
        lid: String,
        /// Which seat.
        seat: u32,
    },
    /// Counts.
    Stats {},
    /// Answers a request file, or takes a release receipt.
    Answer {
        /// The file.
        text: String,
        /// For which license, where the request names none.
        lid: Option<String>,
    },
}

impl LicenseAct {
    /// As the command is called.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::SignerNew {} => "license signer new",
            Self::SignerList {} => "license signer list",
            Self::SignerInstall { .. } => "license signer install",
            Self::SignerDrop { .. } => "license signer drop",
            Self::SignerWithdraw { .. } => "license signer withdraw",
            Self::ProductAdd { .. } => "license product add",
            Self::ProductList {} => "license product list",
            Self::PolicyAdd { .. } => "license policy add",
            Self::PolicyList {} => "license policy list",
            Self::Issue { .. } => "license issue",
            Self::List { .. } => "license list",
            Self::Show { .. } => "license show",
            Self::Revoke { .. } => "license revoke",
            Self::Transfer { .. } => "license transfer",
            Self::Prolong { .. } => "license prolong",
            Self::KeyMake { .. } => "license key make",
            Self::SeatFree { .. } => "license seat free",
            Self::Stats {} => "license stats",
            Self::Answer { .. } => "license request answer",
        }
    }

    /// Whether it only shows.
    pub const fn is_look(&self) -> bool {
        matches!(
            self,
            Self::SignerList {}
                | Self::ProductList {}
                | Self::PolicyList {}
                | Self::List { .. }
                | Self::Show { .. }
                | Self::Stats {}
        )
    }

    fn lid(&self) -> Option<&str> {
        if let Self::Show { lid }
        | Self::Revoke { lid }
        | Self::Transfer { lid, .. }
        | Self::Prolong { lid, .. }
        | Self::KeyMake { lid }
        | Self::SeatFree { lid, .. }
        | Self::Answer { lid: Some(lid), .. } = self
        {
            return Some(lid);
        }
        None
    }
}

fn unknown(lid: &str) -> Refused {
    Refused::new(format!("there is no license {}", printable(lid, 40)))
        .hint("qcloud-hub license list")
}

/// A text of the operator's that stands in documents and on pages. What could be the number of a payment card is
/// refused: no such number has a place in this hub (promise P2).
fn text(what: &str, typed: &str) -> Result<String, Refused> {
    let shown = printable(typed.trim(), MOST_TEXT);
    if shown.is_empty() || typed.len() > MOST_TEXT || shown != typed.trim() {
        return Err(Refused::new(format!("{what} is 1 to {MOST_TEXT} printable bytes")));
    }
    if is_card_number(typed) && !crate::sabotage::off("license-no-card") {
        let why = format!("{what} looks like the number of a payment card; none is kept here");
        return Err(Refused::new(why));
    }
    Ok(shown)
}

/// Whether a text has 13 to 19 digits in a row, spaces and dashes apart, whose Luhn sum is right (ISO/IEC 7812-1).
fn is_card_number(text: &str) -> bool {
    let kept = text.chars().filter(|c| !matches!(c, ' ' | '-')).collect::<String>();
    kept.split(|c: char| !c.is_ascii_digit()).any(|run| {
        let digits: Vec<u32> = run.chars().filter_map(|c| c.to_digit(10)).collect();
        let doubled = |(at, digit): (usize, &u32)| match at % 2 {
            0 => *digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        };
        let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
        (13..=19).contains(&digits.len()) && sum.is_multiple_of(10)
    })
}

fn checked(terms: &Terms) -> Result<Terms, Refused> {
    let most = |span: Duration| span.as_secs() / DAY.as_secs();
    let within = (1..=MOST_SEATS).contains(&terms.seats)
        && terms.days.is_none_or(|days| (1..=MOST_DAYS).contains(&days))
        && (1..=most(LEASE)).contains(&terms.lease_days)
        && terms.grace_days <= most(GRACE)
        && terms.features.len() <= MOST_FEATURES;
    if !within {
        let why = format!(
            "terms are 1 to {MOST_SEATS} seats, 1 to {MOST_DAYS} days, leases of 1 to {} days, grace of at most {}, and \
             at most {MOST_FEATURES} features",
            most(LEASE),
            most(GRACE)
        );
        return Err(Refused::new(why));
    }
    if terms.plan == Plan::Subscription && terms.days.is_none() {
        return Err(Refused::new("a subscription needs a number of days"));
    }
    for (name, value) in &terms.features {
        text("the name of a feature", name)?;
        text("the value of a feature", value)?;
    }
    if let Some(firmware) = &terms.firmware {
        text("the version of the firmware", firmware)?;
    }
    Ok(terms.clone())
}

/// What is asked, when a license ends that begins now.
fn end(terms: &Terms, now: Wall) -> Option<Wall> {
    let days = terms.days.filter(|_| terms.plan == Plan::Subscription)?;
    let life = DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX));
    Some(Wall(now.0.saturating_add(life)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guard: `license-no-card`.
    #[test]
    fn p2_the_number_of_a_card_is_no_name_of_anything() {
        for typed in ["4111 1111 1111 1111", "pro 5500-0055-5555-5559", "x340000000000009"] {
            assert!(text("a name", typed).is_err(), "{typed}");
        }
        for typed in ["Backup 2026", "4111 1111 1111 1112", "serial 12345678", "0"] {
            assert!(text("a name", typed).is_ok(), "{typed}");
        }
    }
}
