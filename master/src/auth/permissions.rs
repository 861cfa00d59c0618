//! What may be permitted: a resource and what is done with it. Each belongs to one of the roles that are there from the
//! beginning, and to all that include that one.

use super::Role;

use Role::{Admin, Config, Operator, Support, Viewer};

/// A resource and a verb: `users:kick`.
pub(crate) type Permission = &'static str;

/// All of them, by name, each with the role that has it from the beginning.
pub(crate) const PERMISSIONS: &[(Permission, Role)] = &[
    ("audit:read", Admin),
    ("broadcasts:read", Viewer),
    ("broadcasts:send", Operator),
    ("channels:read", Viewer),
    ("cluster:read", Viewer),
    ("config:read", Viewer),
    ("config:write", Config),
    ("connections:read", Operator),
    ("crowds:kick", Operator),
    ("events:read", Viewer),
    ("master:read", Viewer),
    ("nodes:drain", Operator),
    ("nodes:read", Viewer),
    ("nodes:write", Operator),
    ("roles:read", Viewer),
    ("roles:write", Admin),
    ("routes:read", Viewer),
    ("services:read", Viewer),
    ("sessions:read", Support),
    ("tokens:read", Admin),
    ("tokens:write", Admin),
    ("users:kick", Support),
    ("users:push", Support),
    ("users:read", Support),
];

/// Whoever has one of these makes himself an admin: no other role gets them.
pub(crate) const ADMINS: [Permission; 2] = ["roles:write", "tokens:write"];

/// The permission of this name.
pub(crate) fn known(name: &str) -> Option<Permission> {
    PERMISSIONS.iter().find(|(permission, _)| *permission == name).map(|(permission, _)| *permission)
}

/// The role that has it from the beginning.
pub(crate) fn first_role(permission: Permission) -> Role {
    PERMISSIONS.iter().find(|(known, _)| *known == permission).map_or(Admin, |(_, role)| *role)
}

/// What a role may from the beginning.
pub(crate) fn from_the_beginning(role: Role) -> impl Iterator<Item = Permission> {
    PERMISSIONS.iter().filter(move |(_, first)| role.covers(*first)).map(|(permission, _)| *permission)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{NEEDS, Need};

    #[test]
    fn each_permission_is_there_once_and_some_endpoint_needs_it() {
        assert!(PERMISSIONS.is_sorted_by(|a, b| a.0 < b.0));
        let needed = |permission| NEEDS.iter().any(|(_, _, need, _)| *need == Need::May(permission));
        assert!(PERMISSIONS.iter().all(|(permission, _)| needed(permission)));
        let unknown = NEEDS.iter().find(|(_, _, need, _)| matches!(need, Need::May(p) if known(p).is_none()));
        assert_eq!(unknown, None);
    }
}
