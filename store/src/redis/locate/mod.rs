//! Who is bound where, on redis.
//!
//! ```text
//! redis://user:password@10.0.0.4:6379/0?ns=game&wait-replicas=1
//! ```
//!
//! | key | default | |
//! |---|---|---|
//! | `ns` | `due` | what separates this application from others on the database: 1 to 64 of `A-Za-z0-9._-` |
//! | `wait-replicas` | 0 | replicas that must have a write before it is acknowledged, 0 to 16 |
//! | `timeout` | 900ms | for one operation with all its round trips, 50ms to 1s |
//!
//! Several hosts are tried in their order; the first that says it is the primary is used.
//!
//! # What it promises
//!
//! Each subject is one key, `due:{ns:u:i7}`, written by scripts in one step. Epochs are lifted to the clock of the
//! server, so they rise over a wipe even if nobody remembers the last one. While no acknowledged write is lost one owner
//! holds a place. After a failover, a restart or a restore that lost writes there can be two with different epochs until
//! the next sweep, then the higher stays; the winner may be the earlier login, and a lost logout may come back.
//! `wait-replicas` makes that rarer and does not end it: a write that too few replicas have is answered `Timeout`, though
//! it was done on the primary.
//!
//! A store that is away is `Unavailable`/`Safe` at once, or as soon as one attempt to connect has failed. A write that was
//! on its way when the connection broke is made again on the next one, because all of them may be repeated; if there is
//! none in time the answer is `Timeout`/`Unknown`. Nothing takes longer than `timeout`.
//!
//! Fences are keys of their own (a script sees one slot). They are looked at before a claim and after a read, not within:
//! a claim that runs while its owner is being fenced may still displace somebody, whom its higher epoch then fences. They
//! are kept for 30 days; tombstones for 48 h. Feeds tell a gap after each broken connection, and within about a second
//! when the server has lost its data without breaking it.

mod cell;
mod feed;

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use due_core::{
    Epoch, Error, Kind, Owner, Result, Retry, SessionId, Url,
    locate::{
        Attempt, Binding, Capability, Claim, Feed, Locator, MAX_EPOCH, Place, Record, Slot, Subject, Taken, Verdict,
    },
};
use redis::{Pipeline, Value, cmd};
use tokio::time::Instant;

use self::{
    cell::{Cell, Cells, check_owner, digits, holder_text, place_field},
    feed::Feeds,
};
use super::{
    fault,
    line::Effect,
    script::{Lines, Run, Script},
    settings::Settings,
    target::{Target, bytes},
};

/// The contract allows no operation more.
const LONGEST: Duration = Duration::from_secs(1);
const MAX_CHECK: usize = 5_000;
/// Requests of one pipeline.
const AT_ONCE: usize = 500;
const TOMBSTONE: Duration = Duration::from_secs(48 * 3600);
const FENCE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Attempts on a place whose fenced holder is written over by others at the same time.
const TRIES: usize = 8;

static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("prelude.lua"), include_str!("claim.lua"))));
static REASSERT: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("prelude.lua"), include_str!("reassert.lua"))));
static UNBIND: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("prelude.lua"), include_str!("unbind.lua"))));

/// Opens the locator that the URL describes; fails if its server cannot be reached now.
pub async fn open(url: Url) -> Result<Arc<dyn Locator>> {
    Ok(Arc::new(Redis::open(&url).await?))
}

struct Redis {
    lines: Lines,
    settings: Settings,
    channel: String,
    feeds: Feeds,
}

/// When a claim holds.
#[derive(Clone, Copy)]
enum When {
    Always,
    Absent,
    Epoch(Epoch),
}

/// What a claim led to, before fences are looked at.
enum Claimed {
    Won { epoch: Epoch, previous: Option<Slot>, cells: Cells },
    Refused(Cells),
}

impl Redis {
    async fn open(url: &Url) -> Result<Self> {
        let settings = Settings::read(url, LONGEST)?;
        let target = Arc::new(Target::new(url)?);
        let lines = Lines::open(&target, &settings).await?;
        let channel = settings.shared("feed");
        let feeds = Feeds::new(target, channel.clone(), settings.shared("mark"));
        Ok(Self { lines, settings, channel, feeds })
    }

    fn by(&self) -> Instant {
        Instant::now() + self.settings.timeout
    }

    fn key(&self, subject: &Subject) -> String {
        self.settings.key(&subject.store_key())
    }

    fn fence_key(&self, owner: &Owner) -> String {
        self.settings.key(&format!("fence:{:016x}:{}", owner.incarnation.0, owner.id))
    }

    /// Runs a script that writes a subject.
    async fn write(
        &self,
        script: &Script,
        (subject, place): (&Subject, &Place),
        more: &[&[u8]],
        by: Instant,
    ) -> Result<Vec<Value>> {
        let (key, field, name) = (self.key(subject), place_field(place), subject.store_key());
        let mut args: Vec<&[u8]> = vec![field.as_bytes(), self.channel.as_bytes(), name.as_bytes()];
        args.extend(more);
        let run = Run { script, key: &key, args: &args };
        self.lines.write(run, by).await.map_err(|e| e.context("subject", subject))
    }

    /// Reads many keys, a few hundred at once.
    async fn read(&self, requests: Vec<redis::Cmd>, by: Instant) -> Result<Vec<Value>> {
        let mut answers = Vec::with_capacity(requests.len());
        for chunk in requests.chunks(AT_ONCE) {
            let mut pipe = Pipeline::new();
            for request in chunk {
                pipe.add_command(request.clone());
            }
            answers.extend(self.lines.line.ask(&pipe, Effect::Reads, by).await?);
        }
        match answers.iter().find_map(|answer| if let Value::ServerError(e) = answer { Some(e) } else { None }) {
            Some(cause) => Err(fault::refused(self.lines.line.target().url(), cause)),
            None => Ok(answers),
        }
    }

    /// Those of the owners that are fenced.
    async fn fenced(&self, owners: BTreeSet<Owner>, by: Instant) -> Result<BTreeSet<Owner>> {
        if owners.is_empty() {
            return Ok(owners);
        }
        let ask = |owner| {
            let mut exists = cmd("EXISTS");
            exists.arg(self.fence_key(owner));
            exists
        };
        let answers = self.read(owners.iter().map(ask).collect(), by).await?;
        let marked = owners.into_iter().zip(answers).filter(|(_, answer)| *answer == Value::Int(1));
        Ok(marked.map(|(owner, _)| owner).collect())
    }

    async fn is_fenced(&self, owner: &Owner, by: Instant) -> Result<bool> {
        self.fenced(BTreeSet::from([owner.clone()]), by).await.map(|fenced| !fenced.is_empty())
    }

    async fn claim(&self, subject: Subject, place: Place, claim: Claim, when: When) -> Result<Attempt> {
        check(&subject, &place)?;
        check_owner(&claim.owner)?;
        if claim.floor >= MAX_EPOCH {
            return Err(over_limit(claim.floor));
        }
        let by = self.by();
        if self.is_fenced(&claim.owner, by).await? {
            return Err(Error::new(Kind::Stale, "this owner is fenced").context("owner", &claim.owner));
        }
        let mut now = when;
        for _ in 0..TRIES {
            let claimed = self.claim_once((&subject, &place), &claim, now, by).await?;
            match self.settle(claimed, (&claim.owner, &place), when, by).await? {
                Ok(attempt) => return Ok(attempt),
                // Its holder is fenced: that is absence, as long as nobody else has written since.
                Err(held) => now = When::Epoch(held),
            }
        }
        Err(Error::new(Kind::Unavailable, "too many claim this place at once").context("subject", subject))
    }

    async fn claim_once(&self, at: (&Subject, &Place), claim: &Claim, when: When, by: Instant) -> Result<Claimed> {
        let (mine, floor) = (holder_text(&claim.owner, claim.session), digits(claim.floor));
        let (when, seen) = match when {
            When::Always => ("always", Epoch(0)),
            When::Absent => ("absent", Epoch(0)),
            When::Epoch(seen) => ("epoch", seen),
        };
        let (seen, kept) = (digits(seen), TOMBSTONE.as_micros().to_string());
        let more = [mine.as_bytes(), floor.as_bytes(), when.as_bytes(), seen.as_bytes(), kept.as_bytes()];
        let answer = self.write(&CLAIM, at, &more, by).await?;
        match (answer.first().and_then(bytes), answer.as_slice()) {
            (Some(b"won"), [_, epoch, previous, cells]) => Ok(Claimed::Won {
                epoch: epoch_of(epoch)?,
                previous: bytes(previous).and_then(Cell::parse).and_then(|cell| cell.slot().cloned()),
                cells: Cells::read(cells)?,
            }),
            (Some(b"no"), [_, cells]) => Ok(Claimed::Refused(Cells::read(cells)?)),
            (Some(b"limit"), _) => Err(over_limit(claim.floor)),
            _ => Err(fault::odd("claim")),
        }
    }

    /// Looks at fences. `Err` with the epoch of a place whose holder is fenced, where absence was asked for.
    async fn settle(
        &self,
        claimed: Claimed,
        (mine, place): (&Owner, &Place),
        when: When,
        by: Instant,
    ) -> Result<Result<Attempt, Epoch>> {
        match claimed {
            Claimed::Won { epoch, previous, cells } => {
                let mut owners = cells.owners();
                owners.extend(previous.iter().map(|slot| slot.owner.clone()));
                owners.remove(mine);
                // It is done: whatever goes wrong now does not undo it.
                let fenced = self.fenced(owners, by).await.map_err(|e| {
                    Error::new(Kind::Timeout, "the place was taken, but not all of it was read").because(e)
                })?;
                let previous = previous.filter(|slot| !fenced.contains(&slot.owner));
                Ok(Ok(Attempt::Won(Taken { epoch, previous, record: cells.show(&fenced) })))
            }
            Claimed::Refused(cells) => {
                let fenced = self.fenced(cells.owners(), by).await?;
                match (when, cells.at(place)) {
                    (When::Absent, None | Some(Cell::Unbound(_))) => {
                        Ok(Err(cells.at(place).map_or(Epoch(0), Cell::epoch)))
                    }
                    (When::Absent, Some(Cell::Held(slot))) if fenced.contains(&slot.owner) => Ok(Err(slot.epoch)),
                    _ => Ok(Ok(Attempt::Refused(cells.show(&fenced)))),
                }
            }
        }
    }

    async fn reassert_once(&self, binding: &Binding, over: &str, by: Instant) -> Result<Result<Verdict, Slot>> {
        let (mine, epoch) = (holder_text(&binding.slot.owner, binding.slot.session), digits(binding.slot.epoch));
        let more = [mine.as_bytes(), epoch.as_bytes(), over.as_bytes()];
        let answer = self.write(&REASSERT, (&binding.subject, &binding.place), &more, by).await?;
        match (answer.first().and_then(bytes), answer.get(1).and_then(bytes), answer.get(2)) {
            (Some(b"done"), ..) => Ok(Ok(Verdict::Current)),
            (Some(b"no"), Some(b"fenced"), Some(epoch)) => Ok(Ok(Verdict::Fenced(epoch_of(epoch)?))),
            (Some(b"no"), Some(b"tie"), Some(cell)) => match bytes(cell).and_then(Cell::parse) {
                Some(Cell::Held(slot)) => Ok(Err(slot)),
                _ => Err(fault::odd("reassert")),
            },
            _ => Err(fault::odd("reassert")),
        }
    }

    /// What each place is now.
    async fn cells(&self, bindings: &[Binding], by: Instant) -> Result<Vec<Option<Cell>>> {
        let ask = |binding: &Binding| {
            let mut get = cmd("HGET");
            get.arg(self.key(&binding.subject)).arg(format!("c{}", place_field(&binding.place)));
            get
        };
        let answers = self.read(bindings.iter().map(ask).collect(), by).await?;
        Ok(answers.iter().map(|answer| bytes(answer).and_then(Cell::parse)).collect())
    }
}

#[async_trait]
impl Locator for Redis {
    async fn take(&self, subject: Subject, place: Place, claim: Claim) -> Result<Taken> {
        match self.claim(subject, place, claim, When::Always).await? {
            Attempt::Won(taken) => Ok(taken),
            Attempt::Refused(_) => Err(fault::odd("take")),
        }
    }

    async fn if_absent(&self, subject: Subject, place: Place, claim: Claim) -> Result<Attempt> {
        self.claim(subject, place, claim, When::Absent).await
    }

    async fn if_epoch(&self, subject: Subject, place: Place, seen: Epoch, claim: Claim) -> Result<Attempt> {
        self.claim(subject, place, claim, When::Epoch(seen)).await
    }

    async fn reassert(&self, binding: Binding) -> Result<Verdict> {
        check(&binding.subject, &binding.place)?;
        check_owner(&binding.slot.owner)?;
        if !(1..=MAX_EPOCH.0).contains(&binding.slot.epoch.0) {
            return Err(Error::new(Kind::BadRequest, format!("no slot has the epoch {}", binding.slot.epoch)));
        }
        let by = self.by();
        if self.is_fenced(&binding.slot.owner, by).await? {
            let cells = self.cells(std::slice::from_ref(&binding), by).await?;
            return Ok(Verdict::Fenced(cells.first().and_then(Option::as_ref).map_or(Epoch(0), Cell::epoch)));
        }
        let mut over = String::new();
        for _ in 0..TRIES {
            match self.reassert_once(&binding, &over, by).await? {
                Ok(verdict) => return Ok(verdict),
                Err(other) if !self.is_fenced(&other.owner, by).await? => return Ok(Verdict::Tie(other)),
                Err(other) => over = format!("h{}{}", digits(other.epoch), holder_text(&other.owner, other.session)),
            }
        }
        Err(Error::new(Kind::Unavailable, "too many claim this place at once").retry_as(Retry::Safe))
    }

    async fn unbind(&self, subject: Subject, place: Place, session: SessionId, epoch: Epoch) -> Result<Option<Epoch>> {
        check(&subject, &place)?;
        let tomb = Epoch(epoch.0.saturating_add(1));
        if tomb > MAX_EPOCH {
            return Err(over_limit(epoch));
        }
        let (session, mine, after) = (session.to_string(), digits(epoch), digits(tomb));
        let kept = TOMBSTONE.as_micros().to_string();
        let more = [session.as_bytes(), mine.as_bytes(), after.as_bytes(), kept.as_bytes()];
        let answer = self.write(&UNBIND, (&subject, &place), &more, self.by()).await?;
        match answer.first().and_then(bytes) {
            Some(b"done") => Ok(Some(tomb)),
            Some(b"no") => Ok(None),
            _ => Err(fault::odd("unbind")),
        }
    }

    async fn locate(&self, subject: Subject) -> Result<Record> {
        subject.check()?;
        let by = self.by();
        let mut all = cmd("HGETALL");
        all.arg(self.key(&subject));
        let answers = self.read(vec![all], by).await.map_err(|e| e.context("subject", &subject))?;
        let cells = Cells::read(answers.first().unwrap_or(&Value::Nil))?;
        let fenced = self.fenced(cells.owners(), by).await?;
        Ok(cells.show(&fenced))
    }

    async fn check(&self, bindings: Vec<Binding>) -> Result<Vec<Verdict>> {
        if bindings.len() > MAX_CHECK {
            return Err(Error::new(Kind::BadRequest, format!("{} bindings in one check are too many", bindings.len())));
        }
        let by = self.by();
        let cells = self.cells(&bindings, by).await?;
        let mut owners: BTreeSet<Owner> = bindings.iter().map(|b| b.slot.owner.clone()).collect();
        owners.extend(cells.iter().flatten().filter_map(Cell::slot).map(|slot| slot.owner.clone()));
        let fenced = self.fenced(owners, by).await?;
        Ok(bindings.iter().zip(cells).map(|(binding, cell)| verdict(&binding.slot, cell, &fenced)).collect())
    }

    async fn fence(&self, owner: Owner) -> Result<()> {
        check_owner(&owner)?;
        let mut set = Pipeline::new();
        set.cmd("SET").arg(self.fence_key(&owner)).arg(1).arg("PX").arg(FENCE.as_millis() as u64);
        let answers = self.lines.line.ask(&set, Effect::Repeatable, self.by()).await?;
        match answers.first() {
            Some(Value::ServerError(cause)) => Err(fault::refused(self.lines.line.target().url(), cause)),
            _ => Ok(()),
        }
    }

    async fn watch(&self) -> Result<Feed> {
        self.feeds.watch(self.by()).await
    }

    fn capability(&self) -> Capability {
        Capability { keeps_writes: false, rises_alone: true, max_check: MAX_CHECK }
    }
}

fn verdict(mine: &Slot, cell: Option<Cell>, fenced: &BTreeSet<Owner>) -> Verdict {
    let epoch = cell.as_ref().map_or(Epoch(0), Cell::epoch);
    if fenced.contains(&mine.owner) || epoch > mine.epoch {
        return Verdict::Fenced(epoch);
    }
    match cell {
        Some(Cell::Held(slot)) if slot.epoch < mine.epoch || fenced.contains(&slot.owner) => Verdict::Missing,
        Some(Cell::Held(slot)) if slot == *mine => Verdict::Current,
        Some(Cell::Held(slot)) => Verdict::Tie(slot),
        _ => Verdict::Missing,
    }
}

fn check(subject: &Subject, place: &Place) -> Result<()> {
    subject.check()?;
    place.check()
}

fn epoch_of(value: &Value) -> Result<Epoch> {
    let text = bytes(value).and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).map(Epoch).ok_or_else(|| fault::odd("epoch"))
}

fn over_limit(epoch: Epoch) -> Error {
    Error::new(Kind::BadRequest, format!("the epoch {epoch} is over the limit"))
}
