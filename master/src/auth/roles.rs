//! What roles may: as it is from the beginning, and as admins have changed it. Changes stand beside the tokens, where all
//! masters find them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use due_core::{Error, Result, config::ConfigSource};
use serde::{Deserialize, Serialize};

use super::{
    Role,
    permissions::{ADMINS, PERMISSIONS, Permission, from_the_beginning, known},
    shared::Shared,
};

/// Where changed roles are kept.
const KEY: &str = ".master/roles";
/// Most roles that were changed or made.
const MOST: usize = 64;
/// The role that has everything, always.
const ADMIN: &str = Role::Admin.as_str();

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoleSet {
    pub(crate) name: String,
    pub(crate) permissions: BTreeSet<Permission>,
    /// Rises with each change; 0 is as it was from the beginning.
    pub(crate) revision: u64,
}

/// The roles that are not as they were from the beginning.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Document {
    roles: BTreeMap<String, Kept>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    permissions: BTreeSet<String>,
    revision: u64,
}

/// The state in which a change expects its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Absent,
    Revision(u64),
}

/// Why a role was not changed.
#[derive(Debug)]
pub(crate) enum NotPut {
    /// It is the admins'.
    Fixed,
    /// No role of this name is there; a new one is to be expected absent.
    Unknown,
    Stale,
    TooMany,
    /// Which is none, or for admins only.
    Permission(String),
    /// It is no name.
    Name,
    Source(Error),
}

impl From<Error> for NotPut {
    fn from(e: Error) -> Self {
        Self::Source(e)
    }
}

/// All roles.
pub(crate) struct Roles(Shared<Document>);

impl Roles {
    pub(crate) fn new(source: Arc<dyn ConfigSource>) -> Self {
        Self(Shared::new(source, KEY, ("roles", "have those of the beginning")))
    }

    /// All of them: first those that are there from the beginning.
    pub(crate) async fn all(&self) -> Result<Vec<RoleSet>> {
        let document = self.0.seen().await?;
        let made = document.roles.keys().filter(|name| Role::ALL.iter().all(|role| role.as_str() != *name));
        let names = Role::ALL.iter().map(|role| role.as_str()).chain(made.map(String::as_str));
        Ok(names.filter_map(|name| document.role(name)).collect())
    }

    /// One of them.
    pub(crate) async fn one(&self, name: &str) -> Result<Option<RoleSet>> {
        Ok(self.0.seen().await?.role(name))
    }

    /// What all of these together may. One that is not there may nothing.
    pub(crate) async fn permit(&self, names: &[String]) -> Result<BTreeSet<Permission>> {
        let document = self.0.seen().await?;
        Ok(names.iter().filter_map(|name| document.role(name)).flat_map(|role| role.permissions).collect())
    }

    /// Changes or makes a role, if it is as it was seen. A dry run only says what it would be.
    pub(crate) async fn put(&self, to: &RoleSet, seen: Seen, dry_run: bool) -> Result<RoleSet, NotPut> {
        self.0.change(dry_run, |document: &mut Document| document.put(to, seen)).await
    }
}

impl Document {
    fn role(&self, name: &str) -> Option<RoleSet> {
        let built = Role::ALL.into_iter().find(|role| role.as_str() == name);
        let (permissions, revision) = match (built, self.roles.get(name)) {
            // Whatever stands there: nobody takes anything away from admins.
            (Some(Role::Admin), _) => (PERMISSIONS.iter().map(|(permission, _)| *permission).collect(), 0),
            (_, Some(kept)) => (kept.permissions.iter().filter_map(|p| known(p)).collect(), kept.revision),
            (Some(role), None) => (from_the_beginning(role).collect(), 0),
            (None, None) => return None,
        };
        let mut set = RoleSet { name: name.to_owned(), permissions, revision };
        if name != ADMIN {
            set.permissions.retain(|permission| !ADMINS.contains(permission));
        }
        Some(set)
    }

    fn put(&mut self, to: &RoleSet, seen: Seen) -> Result<RoleSet, NotPut> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if to.name == ADMIN {
            return Err(NotPut::Fixed);
        }
        if !(1..=32).contains(&to.name.len()) || !to.name.bytes().all(plain) {
            return Err(NotPut::Name);
        }
        if let Some(wrong) = to.permissions.iter().find(|permission| ADMINS.contains(*permission)) {
            return Err(NotPut::Permission((*wrong).to_owned()));
        }
        let now = self.role(&to.name);
        match (seen, &now) {
            (Seen::Absent, Some(_)) => return Err(NotPut::Stale),
            (Seen::Revision(_), None) => return Err(NotPut::Unknown),
            (Seen::Revision(revision), Some(now)) if now.revision != revision => return Err(NotPut::Stale),
            _ => {}
        }
        if self.roles.len() >= MOST && !self.roles.contains_key(&to.name) {
            return Err(NotPut::TooMany);
        }
        let made = RoleSet { revision: now.map_or(0, |now| now.revision) + 1, ..to.clone() };
        let permissions = made.permissions.iter().map(|permission| (*permission).to_owned()).collect();
        self.roles.insert(to.name.clone(), Kept { permissions, revision: made.revision });
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use due_core::config::{Expect, memory::Memory};

    use super::*;

    fn role(name: &str, permissions: &[&str]) -> RoleSet {
        let permissions = permissions.iter().map(|p| known(p).unwrap()).collect();
        RoleSet { name: name.to_owned(), permissions, revision: 0 }
    }

    fn roles() -> (Memory, Roles) {
        let memory = Memory::default();
        (memory.clone(), Roles::new(Arc::new(memory)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_is_changed_if_it_is_as_it_was_seen_here_at_once_and_elsewhere_after_a_second() {
        let (memory, here) = roles();
        let elsewhere = Roles::new(Arc::new(memory));
        let support = ["support".to_owned()];
        assert!(elsewhere.permit(&support).await.unwrap().contains("users:kick"));
        let less = role("support", &["users:read"]);
        assert_eq!(here.put(&less, Seen::Revision(0), false).await.unwrap().revision, 1);
        assert_eq!(here.permit(&support).await.unwrap(), less.permissions);
        assert!(matches!(here.put(&less, Seen::Revision(0), false).await, Err(NotPut::Stale)));
        tokio::time::advance(super::super::shared::FRESH).await;
        assert_eq!(elsewhere.permit(&support).await.unwrap(), less.permissions);
        assert_eq!(elsewhere.put(&less, Seen::Revision(1), true).await.unwrap().revision, 2);
        assert_eq!(elsewhere.one("support").await.unwrap().unwrap().revision, 1, "a dry run changes nothing");
    }

    #[tokio::test]
    async fn admins_stay_what_they_are_whatever_is_stored_and_nobody_else_makes_himself_one() {
        let (memory, roles) = roles();
        let stored = r#"{"roles":{"admin":{"permissions":[],"revision":7},
            "sly":{"permissions":["tokens:write","roles:write","nodes:read","moon:land"],"revision":1}}}"#;
        memory.store(KEY, stored.into(), Expect::Absent).await.unwrap();
        assert_eq!(roles.permit(&["admin".to_owned()]).await.unwrap().len(), PERMISSIONS.len());
        assert_eq!(roles.permit(&["sly".to_owned()]).await.unwrap(), BTreeSet::from(["nodes:read"]));
        assert!(matches!(roles.put(&role("admin", &[]), Seen::Revision(0), false).await, Err(NotPut::Fixed)));
        let sly = role("viewer", &["tokens:write"]);
        assert!(matches!(roles.put(&sly, Seen::Revision(0), false).await, Err(NotPut::Permission(_))));
    }

    #[tokio::test]
    async fn new_roles_are_made_under_plain_names_and_so_many_at_most() {
        let (_, roles) = roles();
        let night = role("night-shift", &["nodes:read", "users:kick"]);
        assert!(matches!(roles.put(&night, Seen::Revision(0), false).await, Err(NotPut::Unknown)));
        roles.put(&night, Seen::Absent, false).await.unwrap();
        assert!(matches!(roles.put(&night, Seen::Absent, false).await, Err(NotPut::Stale)));
        let names: Vec<_> = roles.all().await.unwrap().into_iter().map(|role| role.name).collect();
        assert_eq!(names, ["viewer", "support", "operator", "config", "admin", "night-shift"]);
        for wrong in ["", "A", "a b", "a/b", &"x".repeat(33)] {
            assert!(matches!(roles.put(&role(wrong, &[]), Seen::Absent, false).await, Err(NotPut::Name)), "{wrong}");
        }
        for n in 1..MOST {
            roles.put(&role(&format!("r{n}"), &[]), Seen::Absent, false).await.unwrap();
        }
        assert!(matches!(roles.put(&role("more", &[]), Seen::Absent, false).await, Err(NotPut::TooMany)));
    }
}
