//! Answers that come later: exactly one leaves, whoever ends first.

use std::sync::{Arc, Mutex};

use due_core::Code;

use super::fixture::{ADD, End, Shard, TAKEN};
use crate::{
    fault::Fault,
    handler::{Later, Msg, Next, Outcome, OwnedRequest, Reply, Routes, State, Unanswered, from_fn},
};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<Reply<u32>>>>);

impl Kept {
    fn take(&self) -> Reply<u32> {
        self.0.lock().unwrap().take().unwrap()
    }
}

fn hand_away(reply: Reply<u32>, State(kept): State<Kept>) -> Later<u32> {
    let (reply, later) = reply.later();
    *kept.0.lock().unwrap() = Some(reply);
    later
}

fn shard(kept: &Kept) -> Shard {
    Shard::new(Routes::new().route(ADD, hand_away).with_state(kept.clone()))
}

#[test]
fn a_reply_answers_after_its_handler_returned() {
    let kept = Kept::default();
    let mut shard = shard(&kept);
    assert!(matches!(shard.call(ADD.def(), ""), End::Later));
    assert!(shard.told.take().is_empty());
    let reply = kept.take();
    std::thread::spawn(move || reply.send(Ok(42))).join().unwrap();
    assert_eq!(shard.told.take().pop().unwrap().unwrap(), "42");
}

#[test]
fn a_fault_may_come_later_too() {
    let kept = Kept::default();
    let mut shard = shard(&kept);
    shard.call(ADD.def(), "");
    kept.take().send(Err(TAKEN.into()));
    assert_eq!(shard.told.take().pop().unwrap().unwrap_err().code(), TAKEN);
}

#[test]
fn a_reply_dropped_unanswered_is_a_typed_error() {
    let kept = Kept::default();
    let mut shard = shard(&kept);
    shard.call(ADD.def(), "");
    drop(kept.take());
    let told = shard.told.take();
    let fault = told[0].as_ref().unwrap_err();
    assert_eq!((told.len(), fault.code()), (1, Code::INTERNAL));
    assert!(fault.source().unwrap().is::<Unanswered>());
}

#[test]
fn a_reply_sent_before_the_handler_returns_is_its_answer() {
    async fn at_once(reply: Reply<u32>, Msg(n): Msg<u32>) -> Later<u32> {
        let (reply, later) = reply.later();
        reply.send(Ok(n));
        later
    }
    let mut shard = Shard::new(Routes::new().route(ADD, at_once));
    assert_eq!(shard.call(ADD.def(), "5").reply(), "5");
    assert!(shard.told.take().is_empty());
}

#[test]
fn a_reply_dropped_before_the_handler_returns_is_a_typed_error_at_once() {
    fn forget(reply: Reply<u32>) -> Later<u32> {
        reply.later().1
    }
    let mut shard = Shard::new(Routes::new().route(ADD, forget));
    assert!(shard.call(ADD.def(), "").fault().source().unwrap().is::<Unanswered>());
    assert!(shard.told.take().is_empty());
}

#[test]
fn the_error_of_a_handler_wins_over_a_reply_it_handed_away() {
    fn fail(reply: Reply<u32>, State(kept): State<Kept>) -> Result<Later<u32>, Fault> {
        *kept.0.lock().unwrap() = Some(reply.later().0);
        Err(TAKEN.into())
    }
    let kept = Kept::default();
    let mut shard = Shard::new(Routes::new().route(ADD, fail).with_state(kept.clone()));
    assert_eq!(shard.call(ADD.def(), "").fault().code(), TAKEN);
    kept.take().send(Ok(1));
    assert!(shard.told.take().is_empty());
}

#[test]
fn a_reply_of_a_handler_dropped_at_its_deadline_leads_nowhere() {
    async fn hang(reply: Reply<u32>, State(kept): State<Kept>) -> Later<u32> {
        let (reply, later) = reply.later();
        *kept.0.lock().unwrap() = Some(reply);
        std::future::pending::<()>().await;
        later
    }
    let kept = Kept::default();
    let mut shard = Shard::new(Routes::new().route(ADD, hang).with_state(kept.clone()));
    drop(shard.wait(ADD.def(), ""));
    kept.take().send(Ok(1));
    assert!(shard.told.take().is_empty());
}

async fn pass(rq: OwnedRequest, next: Next) -> Outcome {
    next.run(rq).await
}

#[test]
fn middleware_lets_a_late_answer_through() {
    let kept = Kept::default();
    let routes = Routes::new().route(ADD, hand_away).layer(from_fn(pass)).with_state(kept.clone());
    let mut shard = Shard::new(routes);
    assert!(matches!(shard.call(ADD.def(), ""), End::Later));
    kept.take().send(Ok(42));
    assert_eq!(shard.told.take().pop().unwrap().unwrap(), "42");
}

#[test]
fn middleware_that_fails_after_a_reply_was_handed_away_is_the_only_answer() {
    async fn veto(rq: OwnedRequest, next: Next) -> Outcome {
        let _ = next.run(rq).await;
        Err(TAKEN.into())
    }
    let kept = Kept::default();
    let routes = Routes::new().route(ADD, hand_away).layer(from_fn(veto)).with_state(kept.clone());
    let mut shard = Shard::new(routes);
    assert_eq!(shard.call(ADD.def(), "").fault().code(), TAKEN);
    kept.take().send(Ok(42));
    assert!(shard.told.take().is_empty());
}
