//! Operators: who may ask what of the hub, in which role, and what of it they are shown (promise S4).
//!
//! A role belongs to a local user: who asks is read from the operators' socket (SO_PEERCRED), or is whoever runs the
//! command when no hub serves. One function, [`desk::perform`], does everything an operator can ask, for both.

pub mod act;
pub mod desk;
pub mod license;
pub mod settings;
mod shown;
mod volume;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::CString;

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees accounts masked, and signs people out.
    Support,
    /// Sees what is kept of people as it is, and the audit log.
    Privacy,
    /// Does everything; sees what is not masked only with a reason that is noted.
    Admin,
}

impl Role {
    /// As it is written.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Support => "support",
            Self::Privacy => "privacy",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The local user's name, or their number where they have none.
    pub name: String,
    /// Their number.
    pub uid: u32,
    /// In which role.
    pub role: Role,
}

impl Operator {
    /// Who a local user is: by `[operators]` (name, number, then `@group`, of which the lowest role counts), and
    /// without an entry the root user and `own`, the user whose files the hub's are, as [`Role::Admin`].
    pub fn of(roles: &BTreeMap<String, Role>, uid: Uid, own: Uid) -> Option<Self> {
        let user = User::from_uid(uid).ok().flatten();
        let name = user.as_ref().map_or_else(|| uid.to_string(), |user| user.name.clone());
        let groups = || user.as_ref().map(groups).unwrap_or_default();
        let by_group =
            || groups().iter().filter_map(|name| roles.get(&format!("@{name}"))).min().copied();
        let own = (uid.is_root() || uid == own).then_some(Role::Admin);
        let role = roles.get(&name).or_else(|| roles.get(&uid.to_string())).copied();
        let role = role.or_else(by_group).or(own);
        let role = role.or_else(|| crate::sabotage::off("operator-role").then_some(Role::Admin));
        Some(Self { name, uid: uid.as_raw(), role: role? })
    }
}

/// The names of a user's groups.
fn groups(user: &User) -> Vec<String> {
    let name = CString::new(user.name.as_str());
    let all: Vec<Gid> =
        name.ok().and_then(|name| getgrouplist(&name, user.gid).ok()).unwrap_or_default();
    all.into_iter()
        .filter_map(|gid| Group::from_gid(gid).ok().flatten())
        .map(|group| group.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_found_by_name_number_or_group_and_nobody_else_has_one() {
        let roles = |entries: &[(&str, Role)]| {
            entries
                .iter()
                .map(|(name, role)| ((*name).to_owned(), *role))
                .collect::<BTreeMap<_, _>>()
        };
        let role = |entries: &[(&str, Role)], uid| {
            Operator::of(&roles(entries), Uid::from_raw(uid), Uid::from_raw(60_653)).map(|o| o.role)
        };
        assert_eq!(role(&[], 0), Some(Role::Admin), "root");
        assert_eq!(role(&[], 60_653), Some(Role::Admin), "the hub's own user");
        assert_eq!(role(&[], 54_321), None);
        assert_eq!(role(&[("54321", Role::Support)], 54_321), Some(Role::Support));
        assert_eq!(role(&[("root", Role::Support)], 0), Some(Role::Support), "an entry counts");
        assert_eq!(role(&[("@root", Role::Privacy)], 0), Some(Role::Privacy), "by group");
        assert_eq!(role(&[("0", Role::Support), ("root", Role::Privacy)], 0), Some(Role::Privacy));
    }
}
