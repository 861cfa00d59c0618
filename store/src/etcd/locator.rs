//! The operations: look, decide by the rules, and make it so if nothing has changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Epoch, Error, Kind, Owner, Result, Retry, SessionId, Url,
    locate::{Attempt, Binding, Capability, Claim, Feed, Locator, Place, Record, Subject, Taken, Verdict},
};
use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse, TxnResponse};
use serde::Deserialize;
use tokio::time;

use super::{
    client::{Effect, Etcd, Login},
    feed,
    record::Kept,
    rules::{self, If, Plan, Seen},
    tombs::Tombs,
};

/// Time of one operation: a caller hears within 1 s.
const LIMIT: Duration = Duration::from_millis(900);

/// Operations in one transaction; etcd allows 128 unless told otherwise.
const AT_ONCE: usize = 100;

/// Bindings of one check.
const MAX_CHECK: usize = 1000;

/// Bindings in etcd.
pub struct Bindings {
    etcd: Arc<Etcd>,
    tombs: Tombs,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    user: Option<String>,
    password: Option<String>,
}

impl Bindings {
    pub(super) async fn open(url: &Url) -> Result<Self> {
        let Settings { user, password } = url.query()?;
        let etcd = Etcd::open(url, Login { user, password }, "locator", LIMIT).await?;
        Ok(Self { etcd: Arc::new(etcd), tombs: Tombs::default() })
    }

    /// Runs one operation on a subject within the time limit. `claimant` must not be fenced, or `decide` is told so.
    async fn act<T: Send>(
        &self,
        subject: &Subject,
        claimant: Option<&Owner>,
        decide: impl Fn(&Seen) -> Result<Plan<T>> + Send + Sync,
    ) -> Result<T> {
        let writing = AtomicBool::new(false);
        let work = async {
            let mut seen = self.look(subject).await?;
            loop {
                let plan = decide(&seen)?;
                match self.settle(&seen, claimant, plan.write.as_ref(), &writing).await? {
                    None => return Ok(plan.answer),
                    Some(newer) => seen = newer,
                }
            }
        };
        in_time(work, &writing).await.map_err(|e| e.context("subject", subject))
    }

    async fn look(&self, subject: &Subject) -> Result<Seen> {
        let mut answer = self.etcd.get(&self.at(subject), GetOptions::new()).await?;
        let now = answer.header().map_or(0, |h| h.revision());
        Ok(seen(subject, answer.take_kvs().pop(), now, BTreeSet::new()))
    }

    /// Writes, if what was seen is still true and no owner is fenced but those known to be. Else gives what is true now.
    async fn settle(
        &self,
        seen: &Seen,
        claimant: Option<&Owner>,
        write: Option<&Kept>,
        writing: &AtomicBool,
    ) -> Result<Option<Seen>> {
        let subject = &seen.kept.subject;
        let mut owners = seen.kept.owners();
        owners.extend(claimant.filter(|c| !owners.contains(c)).cloned());
        owners.retain(|owner| !seen.fenced.contains(owner));
        if write.is_none() && owners.is_empty() {
            return Ok(None);
        }
        let mut compares = vec![Compare::mod_revision(self.at(subject), CompareOp::Equal, seen.written)];
        compares.extend(owners.iter().map(|o| Compare::version(self.fence_of(o), CompareOp::Equal, 0)));
        let mut looks = vec![TxnOp::get(self.at(subject), None)];
        looks.extend(owners.iter().map(|o| TxnOp::get(self.fence_of(o), Some(GetOptions::new().with_keys_only()))));
        let lease = match write {
            Some(kept) if rules::is_forgettable(kept, seen.now) => self.tombs.lease(&self.etcd).await?,
            _ => 0,
        };
        let puts = write.map(|kept| self.put(kept, lease)).transpose()?;
        let effect = if puts.is_some() { Effect::Writes } else { Effect::Reads };
        let txn = Txn::new().when(compares).and_then(puts.into_iter().collect::<Vec<_>>()).or_else(looks);
        writing.store(effect == Effect::Writes, Ordering::Relaxed);
        let outcome = self.etcd.txn(&txn, effect).await;
        writing.store(false, Ordering::Relaxed);
        match outcome {
            Ok(answer) if answer.succeeded() => Ok(None),
            Ok(answer) => Ok(Some(newer(seen, &owners, &answer))),
            Err(e) if e.kind() == Kind::Gone => {
                self.tombs.lost(lease).await;
                self.look(subject).await.map(Some)
            }
            Err(e) => Err(e),
        }
    }

    fn put(&self, kept: &Kept, lease: i64) -> Result<TxnOp> {
        let json = kept.bytes().map_err(|e| Error::new(Kind::Internal, "a record as JSON").because(e))?;
        Ok(TxnOp::put(self.at(&kept.subject), json, Some(PutOptions::new().with_lease(lease))))
    }

    async fn claim(&self, subject: Subject, place: Place, claim: Claim, when: If) -> Result<Attempt> {
        rules::check_names(&subject, &place)?;
        self.act(&subject, Some(&claim.owner), |seen| seen.claim(&place, &claim, when)).await
    }

    async fn verdicts(&self, bindings: &[Binding]) -> Result<Vec<Verdict>> {
        let mut records: BTreeMap<String, Kept> = BTreeMap::new();
        let keys: BTreeSet<_> = bindings.iter().map(|b| self.at(&b.subject)).collect();
        for (key, kv) in self.get_all(keys, GetOptions::new()).await? {
            records.extend(Kept::read(kv.value(), None).map(|kept| (key, kept)));
        }
        let mut owners: BTreeSet<_> = bindings.iter().map(|b| b.slot.owner.clone()).collect();
        owners.extend(records.values().flat_map(Kept::owners));
        let marks = owners.iter().map(|o| self.fence_of(o)).collect();
        let marks = self.get_all(marks, GetOptions::new().with_keys_only()).await?;
        let fenced: BTreeSet<_> = owners.into_iter().filter(|o| marks.contains_key(&self.fence_of(o))).collect();
        let verdict = |binding: &Binding| {
            let kept = records.get(&self.at(&binding.subject)).filter(|kept| kept.subject == binding.subject);
            let kept = kept.cloned().unwrap_or_else(|| Kept::new(binding.subject.clone()));
            Seen { written: 0, now: 0, kept, fenced: fenced.clone() }.verdict(binding)
        };
        Ok(bindings.iter().map(verdict).collect())
    }

    /// Those of the keys that exist.
    async fn get_all(&self, keys: BTreeSet<String>, how: GetOptions) -> Result<BTreeMap<String, KeyValue>> {
        let keys: Vec<_> = keys.into_iter().collect();
        let mut found = BTreeMap::new();
        for some in keys.chunks(AT_ONCE) {
            let gets: Vec<_> = some.iter().map(|key| TxnOp::get(&**key, Some(how.clone()))).collect();
            let answer = self.etcd.txn(&Txn::new().and_then(gets), Effect::Reads).await?;
            found.extend(some.iter().zip(gotten(&answer)).filter_map(|(key, kv)| Some((key.clone(), kv?))));
        }
        Ok(found)
    }

    async fn mark(&self, owner: &Owner, writing: &AtomicBool) -> Result<()> {
        loop {
            let lease = self.tombs.lease(&self.etcd).await?;
            let put = TxnOp::put(self.fence_of(owner), "", Some(PutOptions::new().with_lease(lease)));
            writing.store(true, Ordering::Relaxed);
            match self.etcd.txn(&Txn::new().and_then([put]), Effect::Writes).await {
                Err(e) if e.kind() == Kind::Gone => self.tombs.lost(lease).await,
                outcome => return outcome.map(drop),
            }
        }
    }

    fn at(&self, subject: &Subject) -> String {
        self.etcd.key(&format!("{RECORDS}{}", subject.store_key()))
    }

    fn fence_of(&self, owner: &Owner) -> String {
        self.etcd.key(&format!("fence/{:016x}/{}", owner.incarnation.0, owner.id))
    }
}

/// Where records stand under the root.
pub(super) const RECORDS: &str = "s/";

#[async_trait]
impl Locator for Bindings {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        match self.claim(subject, place, claim, If::Always).await? {
            Attempt::Won(taken) => Ok(taken),
            Attempt::Refused(_) => Err(Error::new(Kind::Internal, "a take without a condition was refused")),
        }
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.claim(subject, place, claim, If::Absent).await
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        self.claim(subject, place, claim, If::Epoch(seen)).await
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        rules::check_names(&binding.subject, &binding.place)?;
        rules::check_epoch(binding.slot.epoch)?;
        self.act(&binding.subject, Some(&binding.slot.owner), |seen| seen.reassert(&binding)).await
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        rules::check_names(&subject, &place)?;
        self.act(&subject, None, |seen| seen.unbind(&place, session, epoch)).await
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        subject.check()?;
        self.act(&subject, None, |seen| Ok(Plan { answer: seen.record(), write: None })).await
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        if bindings.len() > MAX_CHECK {
            return Err(Error::new(Kind::BadRequest, format!("{} bindings in one check are too many", bindings.len())));
        }
        in_time(self.verdicts(&bindings), &AtomicBool::new(false)).await
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        let writing = AtomicBool::new(false);
        in_time(self.mark(&owner, &writing), &writing).await.map_err(|e| e.context("owner", &owner))
    }

    async fn watch(&self) -> Result<Feed> {
        feed::start(self.etcd.clone()).await
    }

    fn capability(&self) -> Capability {
        Capability { keeps_writes: true, rises_alone: false, max_check: MAX_CHECK }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T>>, writing: &AtomicBool) -> Result<T> {
    match time::timeout(LIMIT, work).await {
        Ok(outcome) => outcome,
        Err(_) if writing.load(Ordering::Relaxed) => {
            Err(Error::new(Kind::Timeout, "etcd did not answer: it may have happened").retry_as(Retry::Unknown))
        }
        Err(_) => Err(Error::new(Kind::Unavailable, "etcd does not answer, or too many write this subject at once")),
    }
}

fn seen(subject: &Subject, kv: Option<KeyValue>, now: i64, fenced: BTreeSet<Owner>) -> Seen {
    let kept = kv.as_ref().and_then(|kv| Kept::read(kv.value(), Some(subject)));
    let written = kv.map_or(0, |kv| kv.mod_revision());
    Seen { written, now, kept: kept.unwrap_or_else(|| Kept::new(subject.clone())), fenced }
}

/// What a transaction that failed has found instead.
fn newer(old: &Seen, owners: &[Owner], answer: &TxnResponse) -> Seen {
    let now = answer.header().map_or(0, |h| h.revision());
    let mut found = gotten(answer);
    let record = found.next().flatten();
    let marked = owners.iter().zip(found).filter(|(_, mark)| mark.is_some()).map(|(owner, _)| owner.clone());
    let fenced = old.fenced.iter().cloned().chain(marked).collect();
    seen(&old.kept.subject, record, now, fenced)
}

/// The first key of each look.
fn gotten(answer: &TxnResponse) -> impl Iterator<Item = Option<KeyValue>> + use<> {
    answer.op_responses().into_iter().map(|op| match op {
        TxnOpResponse::Get(mut get) => get.take_kvs().pop(),
        _ => None,
    })
}
