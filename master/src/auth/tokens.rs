//! Tokens, hashed, in the source of live settings: all masters of a fleet share them and keep nothing themselves.

use std::{fmt, sync::Arc};

use due_core::{Error, Result, config::ConfigSource};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Role, Scopes, shared::Shared};
use crate::clock::seconds as now;

/// Where they are kept; names that begin with a point are not for editors of settings.
const KEY: &str = ".master/tokens";
/// Most tokens.
const MOST: usize = 1000;

/// A token as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    /// Of the secret part, in hexadecimal.
    hash: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    #[serde(default)]
    pub(crate) expires: Option<u64>,
    #[serde(default)]
    pub(crate) scopes: Scopes,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Document {
    tokens: Vec<Kept>,
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    pub(crate) scopes: Scopes,
}

/// A token to be made.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) name: String,
    pub(crate) roles: Vec<String>,
    /// It ends after so many seconds; never without.
    pub(crate) ttl_secs: Option<u64>,
    pub(crate) scopes: Scopes,
}

/// A new token with its secret, which nobody can show again.
pub(crate) struct Minted {
    pub(crate) kept: Kept,
    pub(crate) secret: String,
}

/// Why tokens were not changed.
#[derive(Debug)]
pub(crate) enum Refused {
    Unknown,
    LastAdmin,
    TooMany,
    Source(Error),
}

impl From<Error> for Refused {
    fn from(e: Error) -> Self {
        Self::Source(e)
    }
}

/// All tokens.
pub(crate) struct Tokens(Shared<Document>);

impl Tokens {
    pub(crate) fn new(source: Arc<dyn ConfigSource>) -> Self {
        Self(Shared::new(source, KEY, ("tokens", "begin anew")))
    }

    /// At the first start of all: an admin's token. Nothing if there are tokens already.
    pub(crate) async fn first(&self) -> Result<Option<String>> {
        if self.0.load().await?.is_some() {
            return Ok(None);
        }
        let minted =
            mint(Order { name: "first".to_owned(), roles: vec![Role::Admin.as_str().to_owned()], ..Order::default() });
        let document = Document { tokens: vec![minted.kept] };
        // If another master was first, it has told.
        Ok(self.0.begin(&document).await?.then_some(minted.secret))
    }

    /// Whose token it is; nothing if it is nobody's, or its time is over.
    pub(crate) async fn check(&self, token: &str) -> Result<Option<Holder>> {
        let Some((id, secret)) = token.strip_prefix("due_").and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        let document = self.0.seen().await?;
        let given = hash(secret);
        let same = |kept: &&Kept| bool::from(kept.hash.as_bytes().ct_eq(given.as_bytes()));
        let live = |kept: &&Kept| kept.expires.is_none_or(|at| now() < at);
        let found = document.tokens.iter().filter(|kept| kept.id == id).find(same).filter(live);
        Ok(found.map(Kept::holder))
    }

    /// Whose token this id is; nothing if it has ended.
    pub(crate) async fn of_id(&self, id: &str) -> Result<Option<Holder>> {
        let document = self.0.seen().await?;
        let live = |kept: &&Kept| kept.id == id && kept.expires.is_none_or(|at| now() < at);
        Ok(document.tokens.iter().find(live).map(Kept::holder))
    }

    /// All of them.
    pub(crate) async fn list(&self) -> Result<Vec<Kept>> {
        Ok(self.0.load().await?.unwrap_or_default().tokens)
    }

    /// Makes one. A dry run only looks whether it could.
    pub(crate) async fn mint(&self, order: Order, dry_run: bool) -> Result<Minted, Refused> {
        let minted = mint(order);
        let add = |document: &mut Document| {
            if document.tokens.len() >= MOST {
                return Err(Refused::TooMany);
            }
            document.tokens.push(minted.kept.clone());
            Ok(())
        };
        self.0.change(dry_run, add).await?;
        Ok(minted)
    }

    /// Ends one. The last admin's stays, or nobody could ever make another.
    pub(crate) async fn revoke(&self, id: &str, dry_run: bool) -> Result<(), Refused> {
        let remove = |document: &mut Document| {
            let before = document.tokens.len();
            document.tokens.retain(|kept| kept.id != id);
            let admin = |kept: &Kept| {
                let lasts = kept.expires.is_none() && kept.scopes.is_everything();
                kept.roles.iter().any(|role| role == Role::Admin.as_str()) && lasts
            };
            match () {
                () if document.tokens.len() == before => Err(Refused::Unknown),
                () if !document.tokens.iter().any(admin) => Err(Refused::LastAdmin),
                () => Ok(()),
            }
        };
        self.0.change(dry_run, remove).await
    }
}

fn mint(order: Order) -> Minted {
    let Order { name, roles, ttl_secs, scopes } = order;
    let (id, secret) = (hex(&rand::random::<[u8; 6]>()), hex(&rand::random::<[u8; 32]>()));
    let created = now();
    let expires = ttl_secs.map(|ttl| created.saturating_add(ttl));
    let kept = Kept { id: id.clone(), name, roles, hash: hash(&secret), created, expires, scopes };
    Minted { kept, secret: format!("due_{id}_{secret}") }
}

impl Kept {
    fn holder(&self) -> Holder {
        let Self { id, name, roles, scopes, .. } = self.clone();
        Holder { id, name, roles, scopes }
    }
}

fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The secret stays out of logs.
impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted").field("kept", &self.kept).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use due_core::config::memory::Memory;

    use super::*;

    fn order(name: &str, role: &str, ttl_secs: Option<u64>) -> Order {
        Order { name: name.to_owned(), roles: vec![role.to_owned()], ttl_secs, ..Order::default() }
    }

    fn tokens() -> (Memory, Tokens) {
        let memory = Memory::default();
        (memory.clone(), Tokens::new(Arc::new(memory)))
    }

    #[tokio::test]
    async fn the_first_token_is_made_once_and_kept_without_its_secret() {
        let (memory, tokens) = tokens();
        let first = tokens.first().await.unwrap().unwrap();
        assert!(tokens.first().await.unwrap().is_none());
        let secret = first.rsplit_once('_').unwrap().1;
        let kept = memory.load(KEY).await.unwrap().unwrap().value;
        let kept = String::from_utf8(kept.to_vec()).unwrap();
        assert!(!kept.contains(secret) && kept.contains(&hash(secret)), "{kept}");
        let caller = tokens.check(&first).await.unwrap().unwrap();
        assert_eq!((caller.name.as_str(), caller.roles), ("first", vec!["admin".to_owned()]));
    }

    #[tokio::test]
    async fn what_is_no_token_is_nobodys() {
        let (_, tokens) = tokens();
        let first = tokens.first().await.unwrap().unwrap();
        let (id, secret) = first.strip_prefix("due_").unwrap().split_once('_').unwrap();
        // B108: a token with another form says nothing of itself.
        let jwt = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.";
        for wrong in [
            "",
            "due_",
            "due__",
            jwt,
            secret,
            &format!("due_{id}_"),
            &format!("due_x_{secret}"),
            &first[..first.len() - 1],
        ] {
            assert!(tokens.check(wrong).await.unwrap().is_none(), "{wrong}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_token_is_nobodys_at_once_here_and_after_a_second_elsewhere() {
        let (memory, here) = tokens();
        let elsewhere = Tokens::new(Arc::new(memory));
        here.first().await.unwrap();
        let minted = here.mint(order("ops", "operator", None), false).await.unwrap();
        assert!(elsewhere.check(&minted.secret).await.unwrap().is_some());
        here.revoke(&minted.kept.id, false).await.unwrap();
        assert!(here.check(&minted.secret).await.unwrap().is_none());
        tokio::time::advance(super::super::shared::FRESH).await;
        assert!(elsewhere.check(&minted.secret).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_last_admin_stays_and_one_that_expires_or_is_limited_does_not_count() {
        let (_, tokens) = tokens();
        tokens.first().await.unwrap();
        let first = tokens.list().await.unwrap().remove(0).id;
        tokens.mint(order("guest", "admin", Some(60)), false).await.unwrap();
        let scopes = serde_json::from_str(r#"{"config":["game/"]}"#).unwrap();
        tokens.mint(Order { scopes, ..order("narrow", "admin", None) }, false).await.unwrap();
        assert!(matches!(tokens.revoke(&first, false).await, Err(Refused::LastAdmin)));
        tokens.mint(order("second", "admin", None), false).await.unwrap();
        tokens.revoke(&first, true).await.unwrap();
        assert_eq!(tokens.list().await.unwrap().len(), 4, "a dry run changes nothing");
        tokens.revoke(&first, false).await.unwrap();
        assert!(matches!(tokens.revoke(&first, false).await, Err(Refused::Unknown)));
    }

    #[tokio::test]
    async fn a_token_ends_with_its_time() {
        let (_, tokens) = tokens();
        let minted = tokens.mint(order("short", "viewer", Some(0)), false).await.unwrap();
        assert!(tokens.check(&minted.secret).await.unwrap().is_none());
    }
}
