//! Duplicate logins on a real server that loses writes.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use due_core::{
    Epoch, Owner, Result, SessionId,
    locate::{Attempt, Binding, Capability, Claim, Feed, Locator, Place, Record, Subject, Taken, Verdict},
};
use due_testkit::{
    locate::{
        Bench, Fault, Faults,
        login::{Plan, SOUND, explore},
    },
    server::{Program, Server},
};
use redis::aio::MultiplexedConnection;

use crate::bench::{fresh, locator, url};

const SEEDS: u64 = 60;

/// The one user's record before each write, as the server keeps it.
#[derive(Clone)]
struct History {
    inner: Arc<dyn Locator>,
    key: String,
    connection: MultiplexedConnection,
    before: Arc<Mutex<Vec<Option<Vec<u8>>>>>,
}

impl History {
    async fn note(&self) {
        let mut dump = redis::cmd("DUMP");
        let dumped = dump.arg(&self.key).query_async(&mut self.connection.clone()).await.unwrap();
        self.before.lock().unwrap().push(dumped);
    }

    async fn restore(&self, record: Option<Vec<u8>>) {
        let mut connection = self.connection.clone();
        let Some(dump) = record else {
            return redis::cmd("DEL").arg(&self.key).exec_async(&mut connection).await.unwrap();
        };
        let mut restore = redis::cmd("RESTORE");
        restore.arg(&self.key).arg(0).arg(dump).arg("REPLACE").exec_async(&mut connection).await.unwrap();
    }
}

#[async_trait]
impl Faults for History {
    async fn play(&self, fault: Fault) -> bool {
        let Fault::FailOver(writes) = fault else { return false };
        let lost = {
            let mut before = self.before.lock().unwrap();
            let keep = before.len().saturating_sub(writes);
            before.split_off(keep).into_iter().next()
        };
        if let Some(record) = lost {
            self.restore(record).await;
        }
        true
    }
}

#[async_trait]
impl Locator for History {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        self.note().await;
        self.inner.take(subject, place, claim).await
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.inner.if_absent(subject, place, claim).await
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        self.inner.if_epoch(subject, place, seen, claim).await
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        self.note().await;
        self.inner.reassert(binding).await
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        self.note().await;
        self.inner.unbind(subject, place, session, epoch).await
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        self.inner.locate(subject).await
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        self.inner.check(bindings).await
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        self.inner.fence(owner).await
    }

    async fn watch(&self) -> Result<Feed> {
        self.inner.watch().await
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }
}

async fn history(server: &str) -> History {
    let ns = fresh();
    let inner = locator(&url(server, &format!("ns={ns}"))).await;
    let client = redis::Client::open(format!("redis://{server}/")).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    History { inner, key: format!("due:{{{ns}:u:i1}}"), connection, before: Arc::default() }
}

/// A bench on which nothing has happened.
async fn bench(history: &History) -> Bench {
    history.restore(None).await;
    let history = Arc::new(History { before: Arc::default(), ..history.clone() });
    Bench { a: history.clone(), b: history.clone(), faults: history }
}

// proves P7, P8
#[tokio::test]
async fn one_session_survives() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let history = history(server.address()).await;
    for plan in SOUND {
        let (bad, rounds) = explore(plan, SEEDS, || bench(&history)).await.unwrap();
        assert_eq!(bad, 0, "{plan:?}");
        assert!(rounds <= 4, "{rounds} sweeps");
    }
}

/// The tie rule is not among them: the clock of one server gives no epoch twice.
#[tokio::test]
async fn each_rule_is_needed() {
    let Some(server) = Server::shared(Program::Redis).await else { return };
    let history = history(server.address()).await;
    for plan in [
        Plan { kick_not_remembered: true, without_sweep: true, ..Plan::default() },
        Plan { installs_in_reply_order: true, ..Plan::default() },
        Plan { lost_kick: true, without_sweep: true, ..Plan::default() },
    ] {
        let (bad, _) = explore(plan, SEEDS, || bench(&history)).await.unwrap();
        assert!(bad > 0, "{plan:?}");
    }
}
