//! Who may do what: tokens, roles, rates.

mod needs;
mod rate;
mod tokens;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use needs::{NEEDS, Need, methods, need};
pub(crate) use rate::Rates;
pub(crate) use tokens::{Kept, Refused, Tokens, hex};

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
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
    pub(crate) fn as_str(self) -> &'static str {
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
    pub(crate) roles: Vec<Role>,
}

impl Caller {
    pub(crate) fn may(&self, need: Role) -> bool {
        self.roles.iter().any(|role| role.covers(need))
    }
}
