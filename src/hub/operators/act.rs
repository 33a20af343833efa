//! What an operator can ask, and which role may.

use super::Role;
use super::license::LicenseAct;
use crate::wire::label::{Label, printable};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest reason, in characters.
const MOST_REASON: usize = 200;

/// One thing asked. `who` is a mail address or the number of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    /// All accounts.
    UserList {},
    /// One account.
    UserShow {
        /// Whose.
        who: String,
    },
    /// Makes an account, or lets its holder set another password.
    UserInvite {
        /// The address.
        email: String,
    },
    /// Nobody signs in to it any more.
    UserLock {
        /// Whose.
        who: String,
    },
    /// They may again.
    UserUnlock {
        /// Whose.
        who: String,
    },
    /// Takes a second factor away that was lost.
    UserResetSecond {
        /// Whose.
        who: String,
    },
    /// Ends all sessions of browsers.
    UserSignOut {
        /// Whose.
        who: String,
    },
    /// All devices.
    DeviceList {},
    /// One device.
    DeviceShow {
        /// Which.
        name: Label,
    },
    /// Takes back a device's place.
    DeviceRevoke {
        /// Which.
        name: Label,
    },
    /// Lifts a quarantine.
    DeviceRelease {
        /// Of which; of all when there is none.
        name: Option<Label>,
    },
    /// The acts that were noted.
    AuditList {},
    /// Whether they are all there.
    AuditVerify {},
    /// Something with licenses.
    License {
        /// What.
        what: LicenseAct,
    },
}

/// An act that is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// Why.
    pub why: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Refused {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What an act comes to, as `--json` prints it.
pub type Done = Result<Value, Refused>;

impl Act {
    /// As the command is called.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::UserList {} => "user list",
            Self::UserShow { .. } => "user show",
            Self::UserInvite { .. } => "user invite",
            Self::UserLock { .. } => "user lock",
            Self::UserUnlock { .. } => "user unlock",
            Self::UserResetSecond { .. } => "user reset-second",
            Self::UserSignOut { .. } => "user sign-out",
            Self::DeviceList {} => "device list",
            Self::DeviceShow { .. } => "device show",
            Self::DeviceRevoke { .. } => "device revoke",
            Self::DeviceRelease { .. } => "device release",
            Self::AuditList {} => "audit list",
            Self::AuditVerify {} => "audit verify",
            Self::License { what } => what.word(),
        }
    }

    /// Whether it only shows.
    pub const fn is_look(&self) -> bool {
        matches!(
            self,
            Self::UserList {}
                | Self::UserShow { .. }
                | Self::DeviceList {}
                | Self::DeviceShow { .. }
                | Self::AuditList {}
                | Self::AuditVerify {}
        ) || matches!(self, Self::License { what } if what.is_look())
    }

    /// Whether a role may, and sees what is not masked.
    ///
    /// # Errors
    /// [`Refused`] says which role may.
    pub fn permit(&self, role: Role, reason: Option<&str>) -> Result<bool, Refused> {
        let support = matches!(
            self,
            Self::UserList {}
                | Self::UserShow { .. }
                | Self::UserSignOut { .. }
                | Self::DeviceList {}
                | Self::DeviceShow { .. }
        ) || matches!(self, Self::License { what } if what.is_look());
        let allowed = match role {
            Role::Support => support,
            Role::Privacy => self.is_look(),
            Role::Admin => true,
        };
        if !allowed && !crate::sabotage::off("operator-role") {
            let why = format!("{} is not for the role {}", self.word(), role.word());
            return Err(Refused::new(why).hint("ask somebody whose role in [operators] is admin"));
        }
        let given = reason.is_some_and(|reason| !reason.trim().is_empty());
        match role {
            Role::Support if given && !crate::sabotage::off("operator-role") => {
                let why = "the role support sees masked addresses only, whatever the reason";
                Err(Refused::new(why).hint("ask somebody whose role in [operators] is privacy"))
            }
            Role::Support => Ok(crate::sabotage::off("operator-mask")),
            Role::Privacy => Ok(true),
            Role::Admin => Ok(given || crate::sabotage::off("operator-mask")),
        }
    }
}

/// A reason as it is noted.
pub fn reason(typed: Option<&str>) -> Option<String> {
    let typed = typed.map(str::trim).filter(|text| !text.is_empty())?;
    Some(printable(typed, MOST_REASON))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_it_is_for_and_no_more() {
        let who = || "anna@example.net".to_owned();
        let name = Label::parse("box").unwrap();
        let all = [
            Act::UserList {},
            Act::UserShow { who: who() },
            Act::UserInvite { email: who() },
            Act::UserLock { who: who() },
            Act::UserUnlock { who: who() },
            Act::UserResetSecond { who: who() },
            Act::UserSignOut { who: who() },
            Act::DeviceList {},
            Act::DeviceShow { name: name.clone() },
            Act::DeviceRevoke { name: name.clone() },
            Act::DeviceRelease { name: Some(name) },
            Act::AuditList {},
            Act::AuditVerify {},
        ];
        let may = |role, reason| {
            let yes = all.iter().filter(|act| act.permit(role, reason).is_ok());
            yes.map(Act::word).collect::<Vec<_>>()
        };
        let support = ["user list", "user show", "user sign-out", "device list", "device show"];
        assert_eq!(may(Role::Support, None), support);
        let privacy =
            ["user list", "user show", "device list", "device show", "audit list", "audit verify"];
        assert_eq!(may(Role::Privacy, None), privacy);
        assert_eq!(may(Role::Admin, None).len(), all.len());
        assert!(may(Role::Support, Some("I want to")).is_empty());
        for act in &all {
            assert_ne!(act.permit(Role::Support, None), Ok(true), "{}", act.word());
            assert_eq!(act.permit(Role::Admin, Some("  ")), Ok(false), "an empty reason is none");
            assert_eq!(act.permit(Role::Admin, Some("ticket 7")), Ok(true));
        }
    }
}
