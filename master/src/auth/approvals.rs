//! Requests that wait for a second person. They stand beside the tokens, where all masters find them, and one decides.

use std::sync::Arc;

use due_core::{Error, Result, config::ConfigSource};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Action, Caller,
    shared::{self, Shared},
};
use crate::clock::seconds as now;

/// Where they are kept.
const KEY: &str = ".master/approvals";
/// Most that wait.
const MOST: usize = 256;
/// Most that are kept with those that were decided or have expired; the oldest of these go.
const KEPT: usize = 512;
/// Most bytes of all together: no source of settings takes much more in one value.
const BYTES: usize = 384 * 1024;
/// So long one waits, in seconds.
const WAITS: u64 = 3600;

/// A request that waits, or did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) id: String,
    pub(crate) action: Action,
    /// The token that has asked.
    pub(crate) by: Person,
    pub(crate) reason: String,
    /// Seconds since 1970, like all times here.
    pub(crate) asked: u64,
    pub(crate) expires: u64,
    pub(crate) request: Held,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decision: Option<Decision>,
}

/// A token, by its id and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
}

impl From<&Caller> for Person {
    fn from(caller: &Caller) -> Self {
        Self { id: caller.id.clone(), name: caller.name.clone() }
    }
}

/// What was asked, as it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    /// The path as the table of endpoints has it.
    pub(crate) route: String,
    /// The instance or the setting that the path names.
    #[serde(default)]
    pub(crate) target: Option<String>,
    #[serde(default)]
    pub(crate) if_match: Option<String>,
    #[serde(default)]
    pub(crate) if_none_match: Option<String>,
    /// Kept until it is decided.
    #[serde(default)]
    pub(crate) body: Option<Value>,
}

/// What a second person has said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Decision {
    pub(crate) approved: bool,
    pub(crate) by: Person,
    pub(crate) reason: String,
    pub(crate) at: u64,
    /// `done` or the code of the problem; nothing before it was carried out, or if the master ended meanwhile.
    #[serde(default)]
    pub(crate) outcome: Option<String>,
}

impl Asked {
    /// One that waits from now on.
    pub(crate) fn new(id: String, action: Action, (by, reason): (Person, String), request: Held) -> Self {
        let asked = now();
        Self { id, action, by, reason, asked, expires: asked + WAITS, request, decision: None }
    }

    /// What it is in the audit log.
    pub(crate) fn resource(&self) -> String {
        format!("approval/{}/{}", self.action.as_str(), self.id)
    }

    /// Is it too late to decide?
    pub(crate) fn has_expired(&self) -> bool {
        self.decision.is_none() && now() >= self.expires
    }

    fn waits(&self) -> bool {
        self.decision.is_none() && !self.has_expired()
    }
}

/// Why a request does not wait.
#[derive(Debug)]
pub(crate) enum NotAsked {
    /// So many wait already.
    Full,
    /// It is larger than all together may be.
    TooLarge,
    Source(Error),
}

/// Why nothing was decided.
#[derive(Debug)]
pub(crate) enum NotDecided {
    Unknown,
    /// Whoever has asked is not a second person.
    Same,
    Expired,
    Already,
    Source(Error),
}

impl From<Error> for NotAsked {
    fn from(e: Error) -> Self {
        Self::Source(e)
    }
}

impl From<Error> for NotDecided {
    fn from(e: Error) -> Self {
        Self::Source(e)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Document {
    /// The oldest first.
    requests: Vec<Asked>,
}

/// All of them.
pub(crate) struct Approvals(Shared<Document>);

impl Approvals {
    pub(crate) fn new(source: Arc<dyn ConfigSource>) -> Self {
        Self(Shared::new(source, KEY, ("requests that wait for approval", "forget all that wait")))
    }

    /// All that are kept, newest first, as they stand now.
    pub(crate) async fn all(&self) -> Result<Vec<Asked>> {
        let mut all = self.0.load().await?.unwrap_or_default().requests;
        all.reverse();
        Ok(all)
    }

    /// One of them.
    pub(crate) async fn one(&self, id: &str) -> Result<Option<Asked>> {
        Ok(self.all().await?.into_iter().find(|asked| asked.id == id))
    }

    /// Keeps one that waits from now on.
    pub(crate) async fn ask(&self, asked: &Asked) -> Result<(), NotAsked> {
        self.0.change(false, |document: &mut Document| document.ask(asked)).await
    }

    /// Decides one, once; what was asked.
    pub(crate) async fn decide(&self, id: &str, decision: &Decision) -> Result<Asked, NotDecided> {
        self.0.change(false, |document: &mut Document| document.decide(id, decision)).await
    }

    /// What came of one that was approved, `done` or the code of a problem.
    pub(crate) async fn finish(&self, id: &str, outcome: &str) -> Result<Option<Asked>> {
        let end = |document: &mut Document| {
            let found = document.requests.iter_mut().find(|asked| asked.id == id);
            Ok(found.map(|asked| {
                if let Some(decision) = &mut asked.decision {
                    decision.outcome = Some(outcome.to_owned());
                }
                asked.clone()
            }))
        };
        self.0.change::<_, Error>(false, end).await
    }
}

impl Document {
    fn ask(&mut self, asked: &Asked) -> Result<(), NotAsked> {
        for old in self.requests.iter_mut().filter(|old| !old.waits()) {
            old.request.body = None;
        }
        if self.requests.iter().filter(|old| old.waits()).count() >= MOST {
            return Err(NotAsked::Full);
        }
        self.requests.push(asked.clone());
        while self.requests.len() > KEPT || self.bytes()? > BYTES {
            let Some(oldest) = self.requests.iter().position(|old| !old.waits()) else {
                return Err(if self.requests.len() == 1 { NotAsked::TooLarge } else { NotAsked::Full });
            };
            self.requests.remove(oldest);
        }
        Ok(())
    }

    fn bytes(&self) -> Result<usize> {
        shared::written(self).map(|json| json.len())
    }

    fn decide(&mut self, id: &str, decision: &Decision) -> Result<Asked, NotDecided> {
        let found = self.requests.iter_mut().find(|asked| asked.id == id).ok_or(NotDecided::Unknown)?;
        match &found.decision {
            _ if found.by.id == decision.by.id => return Err(NotDecided::Same),
            Some(_) => return Err(NotDecided::Already),
            None if found.has_expired() => return Err(NotDecided::Expired),
            None => {}
        }
        found.decision = Some(decision.clone());
        let decided = found.clone();
        found.request.body = None;
        Ok(decided)
    }
}

#[cfg(test)]
mod tests {
    use due_core::config::memory::Memory;

    use super::*;

    fn person(name: &str) -> Person {
        Person { id: name.to_owned(), name: name.to_owned() }
    }

    fn asked(id: &str, body: &str) -> Asked {
        let request = Held {
            method: "POST".to_owned(),
            path: "/api/v1/users/kick".to_owned(),
            route: "/api/v1/users/kick".to_owned(),
            target: None,
            if_match: None,
            if_none_match: None,
            body: Some(Value::from(body)),
        };
        Asked::new(id.to_owned(), Action::KickAll, (person("ann"), "a test".to_owned()), request)
    }

    fn decision(by: &str, approved: bool) -> Decision {
        Decision { approved, by: person(by), reason: "seen".to_owned(), at: now(), outcome: None }
    }

    #[tokio::test]
    async fn of_two_masters_one_decides_and_both_know_it() {
        let memory = Memory::default();
        let (here, there) = (Approvals::new(Arc::new(memory.clone())), Approvals::new(Arc::new(memory)));
        here.ask(&asked("a", "x")).await.unwrap();
        assert!(matches!(there.decide("a", &decision("ann", true)).await, Err(NotDecided::Same)));
        assert!(matches!(there.decide("b", &decision("bob", true)).await, Err(NotDecided::Unknown)));
        let (bob, eve) = (decision("bob", true), decision("eve", false));
        let (one, other) = tokio::join!(there.decide("a", &bob), here.decide("a", &eve));
        assert_eq!(one.is_ok() as u8 + other.is_ok() as u8, 1);
        let won = one.or(other).unwrap();
        assert_eq!(won.request.body, Some(Value::from("x")), "it is handed out to be carried out");
        assert!(matches!(here.decide("a", &decision("bob", true)).await, Err(NotDecided::Already)));
        let kept = here.one("a").await.unwrap().unwrap();
        assert_eq!((kept.decision, kept.request.body), (won.decision, None));
        there.finish("a", "done").await.unwrap();
        assert_eq!(here.one("a").await.unwrap().unwrap().decision.unwrap().outcome.as_deref(), Some("done"));
    }

    #[test]
    fn what_has_expired_is_not_decided_and_makes_room() {
        let mut document = Document::default();
        for n in 0..MOST {
            document.ask(&asked(&format!("a{n}"), "x")).unwrap();
        }
        assert!(matches!(document.ask(&asked("more", "x")), Err(NotAsked::Full)));
        document.requests[0].expires = 0;
        assert!(matches!(document.decide("a0", &decision("bob", true)), Err(NotDecided::Expired)));
        document.ask(&asked("more", "x")).unwrap();
        assert_eq!((document.requests.len(), &document.requests[0].request.body), (MOST + 1, &None));
    }

    #[test]
    fn all_together_are_bounded_and_those_that_wait_stay() {
        let mut document = Document::default();
        assert!(matches!(document.ask(&asked("a", &"x".repeat(BYTES))), Err(NotAsked::TooLarge)));
        document.requests.clear();
        document.ask(&asked("a", &"x".repeat(BYTES / 2))).unwrap();
        assert!(matches!(document.clone().ask(&asked("b", &"x".repeat(BYTES / 2))), Err(NotAsked::Full)));
        document.decide("a", &decision("bob", true)).unwrap();
        document.ask(&asked("b", &"x".repeat(BYTES / 2))).unwrap();
        for n in 0..=KEPT {
            document.ask(&asked(&format!("c{n}"), "x")).unwrap();
            document.decide(&format!("c{n}"), &decision("bob", false)).unwrap();
        }
        assert!(document.requests.len() <= KEPT && document.requests[0].id == "b", "{:?}", document.requests[0]);
    }
}
