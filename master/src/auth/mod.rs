//! Who may do what: tokens, roles, scopes, rates.

mod approvals;
mod blocks;
mod guarded;
mod needs;
mod permissions;
mod rate;
mod roles;
mod scopes;
mod shared;
mod tokens;

use std::collections::BTreeSet;

pub(crate) use approvals::{Approvals, Asked, Decision, Held, NotAsked, NotDecided, Person};
pub(crate) use blocks::{Blocks, LONGEST as LONGEST_BLOCK};
pub(crate) use guarded::{Action, Policy, action};
pub(crate) use needs::{NEEDS, Need, Reach, methods, need};
pub(crate) use permissions::{Permission, first_role, known};
pub(crate) use rate::Rates;
pub(crate) use roles::{NotPut, RoleSet, Roles, Seen};
pub(crate) use scopes::{NewScopes, OUT_OF_SCOPE, Scopes};
pub(crate) use tokens::{Holder, Kept, Order, Refused, Tokens, hex};

/// A role that is there from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Looks at nodes, routes and counts. Every role includes this one.
    Viewer,
    /// Sees, kicks and pushes to users.
    Support,
    /// Changes and empties nodes, and broadcasts.
    Operator,
    /// Edits settings.
    Config,
    /// All of it, and tokens and the audit log.
    Admin,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Role; 5] = [Self::Viewer, Self::Support, Self::Operator, Self::Config, Self::Admin];

    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Support => "support",
            Self::Operator => "operator",
            Self::Config => "config",
            Self::Admin => "admin",
        }
    }

    /// Does this role do what `need` does?
    pub(crate) fn covers(self, need: Role) -> bool {
        self == Role::Admin || self == need || need == Role::Viewer
    }
}

/// Whoever asks, by the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    /// What the roles may now.
    pub(crate) can: BTreeSet<Permission>,
    /// How far it reaches.
    pub(crate) scopes: Scopes,
    /// Who has approved what is asked in this one's name, for people.
    pub(crate) approved_by: Option<String>,
}

impl Caller {
    pub(crate) fn may(&self, need: Permission) -> bool {
        self.can.contains(need)
    }
}
