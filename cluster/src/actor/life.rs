//! The life of an actor: its place in the locator, opening, messages in turn, the end.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::Poll,
};

use due_core::{
    Code, Epoch, Error, Kind, Result as DueResult, SessionId,
    locate::{Attempt, Claim, Place, Slot, Subject},
    registry::InstanceKind,
};
use futures_util::{FutureExt, future::join_all};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    Actor, Cx, OnPanic,
    attach::release,
    mailbox::{Mailbox, Next, Phase, Stop},
    refused::Refused,
    timers::{Due, Timer},
};
use crate::{
    fault::Fault,
    node::bound::{Fence, Held},
    store::{STORE_LIMIT, within},
};

/// Messages in one turn; then others of the shard go on.
const TURN: u32 = 64;

tokio::task_local! {
    /// The actor whose task this is: the address of its mailbox, and the slot of users that leads to its kind.
    static CURRENT: (usize, Arc<str>);
}

/// The slot that leads users to the actor whose task this is.
pub(crate) fn current_slot() -> Option<Arc<str>> {
    CURRENT.try_with(|(_, slot)| slot.clone()).ok()
}

/// Is this the task of that very actor? It would wait for itself for ever.
pub(crate) fn is_current<A: Actor>(mailbox: &Arc<Mailbox<A>>) -> bool {
    CURRENT.try_with(|(current, _)| *current == address(mailbox)).unwrap_or(false)
}

fn address<A: Actor>(mailbox: &Arc<Mailbox<A>>) -> usize {
    Arc::as_ptr(mailbox).addr()
}

/// Where an actor's state comes from.
pub(crate) enum Birth<A> {
    /// From the kind's opener.
    Open,
    /// From whoever spawned it.
    Given(A),
}

/// Frees everything an actor holds in this process however its task ends, also when the runtime drops it.
pub(crate) struct Guard<A: Actor> {
    mailbox: Arc<Mailbox<A>>,
    never_ran: Option<Refused>,
}

impl<A: Actor> Guard<A> {
    pub(crate) fn new(mailbox: Arc<Mailbox<A>>) -> Self {
        Self { mailbox, never_ran: None }
    }
}

impl<A: Actor> Drop for Guard<A> {
    fn drop(&mut self) {
        let mailbox = &self.mailbox;
        mailbox.refuse_all(&self.never_ran.clone().unwrap_or_else(Refused::unread));
        mailbox.clear();
        for uid in mailbox.take_attached().into_keys() {
            mailbox.host.detach(&uid, Some(mailbox));
        }
        mailbox.host.forget(mailbox);
        mailbox.phase.send_replace(Phase::Ended(self.never_ran.take()));
    }
}

/// Runs an actor from its opening to its end. `before`: the life that had the name until now.
pub(crate) async fn live<A: Actor>(guard: Guard<A>, birth: Birth<A>, before: Option<watch::Receiver<Phase>>) {
    let slot = format!("{}/{}", guard.mailbox.host.common.own.name, A::KIND).into();
    let current = (address(&guard.mailbox), slot);
    CURRENT.scope(current, whole(guard, birth, before)).await;
}

async fn whole<A: Actor>(mut guard: Guard<A>, birth: Birth<A>, before: Option<watch::Receiver<Phase>>) {
    if let Some(mut before) = before {
        let _ = before.wait_for(Phase::is_over).await;
    }
    let cx = Cx(Arc::clone(&guard.mailbox));
    let mailbox = &guard.mailbox;
    let slot = match claim(mailbox).await {
        Ok(slot) => slot,
        Err(e) => {
            tracing::warn!(actor = A::KIND, key = %mailbox.name, error = %e, "an actor has no place");
            guard.never_ran = Some(e.into());
            return;
        }
    };
    hold(mailbox, &slot);
    match open(birth, &cx).await {
        Ok(actor) => {
            mailbox.phase.send_replace(Phase::Running);
            run(actor, &cx).await;
        }
        Err(fault) => {
            if let Some(cause) = fault.source() {
                tracing::warn!(actor = A::KIND, key = %mailbox.name, %cause, "an actor cannot be opened");
            }
            guard.never_ran = Some(Refused::of(&fault));
        }
    }
    // Nobody gets in any more; then the place goes, and only then (by the guard) the name.
    mailbox.refuse_all(&guard.never_ran.clone().unwrap_or_else(Refused::unread));
    mailbox.clear();
    leave(mailbox, slot).await;
}

fn subject<A: Actor>(mailbox: &Mailbox<A>) -> (Subject, Place) {
    let node = mailbox.host.common.own.name.as_str();
    (Subject::actor(A::KIND, Arc::clone(&mailbox.name)), Place::node(node))
}

/// Takes the actor's place in the locator: in the whole cluster there is one owner.
async fn claim<A: Actor>(mailbox: &Mailbox<A>) -> DueResult<Slot> {
    let own = &mailbox.host.common.own;
    let (subject, place) = subject(mailbox);
    let claim = Claim { owner: own.owner.clone(), session: SessionId::random(), floor: Epoch(0) };
    let slot = |epoch| Slot { owner: claim.owner.clone(), session: claim.session, epoch };
    let record = match within(own.locator.if_absent(subject.clone(), place.clone(), claim.clone())).await? {
        Attempt::Won(taken) => return Ok(slot(taken.epoch)),
        Attempt::Refused(record) => record,
    };
    // An earlier life of ours whose release the store has lost.
    if let Some(old) = record.slot(&place).filter(|old| old.owner == own.owner)
        && let Attempt::Won(taken) =
            within(own.locator.if_epoch(subject.clone(), place.clone(), old.epoch, claim.clone())).await?
    {
        return Ok(slot(taken.epoch));
    }
    let held = record.slot(&place);
    // One whose node is gone is free; of many who try one wins.
    if let Some(old) = held
        && mailbox.cluster.peers().is_gone(InstanceKind::Node, &old.owner).await
        && let Attempt::Won(taken) =
            within(own.locator.if_epoch(subject, place.clone(), old.epoch, claim.clone())).await?
    {
        return Ok(slot(taken.epoch));
    }
    let owner = held.map_or_else(|| "another node".to_owned(), |held| held.owner.id.to_string());
    Err(Error::new(Kind::Moved, format!("the {} lives on {owner}", A::KIND)))
}

/// The node looks after the place: if it is another's, this life ends.
fn hold<A: Actor>(mailbox: &Arc<Mailbox<A>>, slot: &Slot) {
    let own = &mailbox.host.common.own;
    let life = Arc::downgrade(mailbox);
    let fence: Fence = Arc::new(move || {
        if let Some(mailbox) = life.upgrade() {
            mailbox.stop(Stop::Now);
        }
    });
    let held = Held { session: slot.session, epoch: slot.epoch, fence: Some(fence) };
    own.bindings.hold(subject(mailbox).0, own.name.as_str().into(), held);
}

/// Gives up the place and the slots of attached users.
async fn leave<A: Actor>(mailbox: &Arc<Mailbox<A>>, slot: Slot) {
    let (subject, place) = subject(mailbox);
    let own = &mailbox.host.common.own;
    own.bindings.release(&subject, &own.name, slot.epoch);
    let locator = &own.locator;
    let attached = mailbox.take_attached();
    for uid in attached.keys() {
        mailbox.host.detach(uid, Some(mailbox));
    }
    let sessions = join_all(attached.iter().map(|(uid, session)| release::<A>(uid, session)));
    let _ = timeout(STORE_LIMIT, sessions).await;
    if let Err(e) = within(locator.unbind(subject, place, slot.session, slot.epoch)).await {
        tracing::warn!(actor = A::KIND, key = %mailbox.name, error = %e, "an actor's place was not given up");
    }
}

/// Makes the state and lets it start.
async fn open<A: Actor>(birth: Birth<A>, cx: &Cx<A>) -> Result<A, Fault> {
    let work = async {
        let mut actor = match birth {
            Birth::Given(actor) => actor,
            Birth::Open => match &cx.0.host.open {
                Some(open) => open(cx.0.key.clone(), cx.0.cluster.clone()).await?,
                None => return Err(Fault::of(Kind::Gone)),
            },
        };
        actor.started(cx).await?;
        Ok(actor)
    };
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(opened) => opened,
        Err(_) => Err(Code::INTERNAL.into()),
    }
}

/// Messages, timers and results in turn, until it ends.
async fn run<A: Actor>(mut actor: A, cx: &Cx<A>) {
    let mut sleep = None;
    let mut left = TURN;
    loop {
        let next = poll_fn(|waker| {
            if left == 0 {
                left = TURN;
                waker.waker().wake_by_ref();
                return Poll::Pending;
            }
            let next = cx.0.poll_next(waker, &mut sleep);
            left = if next.is_ready() { left - 1 } else { TURN };
            next
        })
        .await;
        if !matches!(next, Next::Stop) && !is_still_its_own(cx).await {
            if let Next::Letter(letter) = next {
                letter.refuse(Refused::unread());
            }
            break;
        }
        let whole = match next {
            Next::Stop => break,
            Next::Letter(letter) => {
                let begun = catch_unwind(AssertUnwindSafe(|| letter.deliver(&mut actor, cx)));
                match begun {
                    Ok(None) => true,
                    Ok(Some(waiting)) => AssertUnwindSafe(waiting).catch_unwind().await.is_ok(),
                    Err(_) => false,
                }
            }
            Next::Result(run) => catch_unwind(AssertUnwindSafe(|| run(&mut actor, cx))).is_ok(),
            Next::Timer(due) => run_timer(due, &mut actor, cx),
        };
        if !whole {
            match after_panic(actor, cx).await {
                Some(again) => actor = again,
                None => return,
            }
        }
    }
    let last = AssertUnwindSafe(actor.stopped(cx)).catch_unwind().await;
    if last.is_err() {
        tracing::error!(actor = A::KIND, key = %cx.0.name, "an actor panicked when it stopped");
    }
    drop_quietly(actor);
}

/// After a sleep of the process: does the actor live on? It has lost its place if another node took it meanwhile.
async fn is_still_its_own<A: Actor>(cx: &Cx<A>) -> bool {
    let doubt = &cx.0.host.common.own.doubt;
    if !doubt.is_raised() {
        return true;
    }
    doubt.over().await;
    !cx.0.is_stopped()
}

fn run_timer<A: Actor>(due: Due<A>, actor: &mut A, cx: &Cx<A>) -> bool {
    match due.timer {
        Timer::Once(run) => catch_unwind(AssertUnwindSafe(|| run(actor, cx))).is_ok(),
        Timer::Every(period, mut run) => {
            let whole = catch_unwind(AssertUnwindSafe(|| run(actor, cx))).is_ok();
            let cancelled = cx.0.timers(|timers| timers.again(due.id, period, run, Instant::now()));
            drop(cancelled);
            whole
        }
    }
}

/// What is left of the actor by its policy; `None` ends it.
async fn after_panic<A: Actor>(actor: A, cx: &Cx<A>) -> Option<A> {
    tracing::error!(actor = A::KIND, key = %cx.0.name, policy = ?A::ON_PANIC, "an actor panicked");
    match A::ON_PANIC {
        OnPanic::Resume => Some(actor),
        OnPanic::Stop => {
            drop_quietly(actor);
            None
        }
        OnPanic::Restart => {
            drop_quietly(actor);
            cx.0.clear();
            let opened = open(Birth::Open, cx).await;
            opened.map_err(|fault| tracing::error!(actor = A::KIND, key = %cx.0.name, ?fault, "no restart")).ok()
        }
    }
}

/// A state may panic when it is dropped, above all one that a panic has left behind.
fn drop_quietly<A>(actor: A) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(actor)));
}
