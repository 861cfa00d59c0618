//! Bodies that are encrypted, around every kind of handler.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use due_core::{Call, Code, Encryptor, Incarnation, Owner, Result, crypto::undecryptable};
use tokio::sync::oneshot;

use super::fixture::{ADD, Began, ECHO, End, NOTE, Shard, TAKEN, end};
use crate::{
    fault::Fault,
    handler::{Later, Msg, Next, Outcome, OwnedRequest, Raw, Reply, Request, Routes, State, blocking, from_fn, guard},
};

/// Writes `sealed(TEXT) for ROUTE`, so that a test can read it.
#[derive(Debug)]
struct Plainly;

fn route(bound: &[u8]) -> i32 {
    i32::from_be_bytes(bound.try_into().unwrap())
}

fn sealed(text: &str, route: i32) -> String {
    format!("sealed({text}) for {route}")
}

impl Encryptor for Plainly {
    fn name(&self) -> &'static str {
        "plainly"
    }

    fn encrypt(&self, plain: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        out.extend(sealed(std::str::from_utf8(plain).unwrap(), route(bound)).bytes());
        Ok(())
    }

    fn decrypt(&self, bytes: &[u8], bound: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let end = format!(") for {}", route(bound));
        let plain = bytes.strip_prefix(b"sealed(").and_then(|rest| rest.strip_suffix(end.as_bytes()));
        out.extend(plain.ok_or_else(undecryptable)?);
        Ok(())
    }
}

fn shard(routes: Routes) -> Shard {
    Shard::of(routes.build().unwrap().sealed(&(Arc::new(Plainly) as Arc<dyn Encryptor>)))
}

#[test]
fn a_request_is_opened_and_its_answer_sealed() {
    let routes = Routes::new().route(ADD, |Msg(n): Msg<u32>| n + 1).route(ECHO, async |Msg(t): Msg<String>| t);
    let mut shard = shard(routes);
    assert_eq!(shard.call(ADD.def(), "sealed(1) for 1").reply(), "sealed(2) for 1");
    assert_eq!(shard.call(ECHO.def(), "sealed(\"a\") for 2").reply(), "sealed(\"a\") for 2");
}

#[test]
fn what_cannot_be_opened_never_reaches_a_handler_and_is_a_bad_request() {
    let mut shard = shard(Routes::new().route(ADD, |Msg(_): Msg<u32>| -> u32 { panic!("it ran") }));
    for body in ["1", "sealed(1) for 2", "sealed(1) for 1x"] {
        let fault = shard.call(ADD.def(), body).fault();
        assert_eq!((fault.code(), fault.text()), (Code::BAD_REQUEST, Code::BAD_REQUEST.text()));
        // A line in the log for each would let strangers fill it.
        assert!(fault.source().is_none() && shard.out.is_empty());
    }
}

#[test]
fn faults_and_ends_without_an_answer_stay_what_they_are() {
    const NONE: Call<u32, (), due_codec::Json> = Call::new(5, "none");
    let routes = Routes::new()
        .route(ADD, |Msg(_): Msg<u32>| -> Result<u32, Code> { Err(TAKEN) })
        .route(NOTE, |Msg(_): Msg<String>| {})
        .route(NONE, |Msg(_): Msg<u32>| {});
    let mut shard = shard(routes);
    assert_eq!(shard.call(ADD.def(), "sealed(1) for 1").fault().code(), TAKEN);
    assert!(matches!(shard.call(NOTE.def(), "sealed(\"a\") for 3"), End::Nothing));
    assert_eq!(shard.call(NONE.def(), "sealed(1) for 5").reply(), "", "an empty body stays empty");
}

#[test]
fn a_handler_that_waits_is_sealed_at_its_end_and_used_again() {
    type Slot = Arc<Mutex<Option<oneshot::Receiver<u32>>>>;
    async fn wait(State(slot): State<Slot>, Msg(n): Msg<u32>) -> Result<u32, Fault> {
        let rx = slot.lock().unwrap().take().unwrap();
        Ok(n + rx.await?)
    }
    let slot = Slot::default();
    let mut shard = shard(Routes::new().route(ADD, wait).with_state(slot.clone()));
    for n in [41, 51] {
        let (tx, rx) = oneshot::channel();
        *slot.lock().unwrap() = Some(rx);
        let running = shard.wait(ADD.def(), "sealed(1) for 1");
        tx.send(n).unwrap();
        assert_eq!(shard.go_on(ADD.def(), running).reply(), sealed(&(n + 1).to_string(), 1));
    }
}

#[test]
fn a_blocking_handler_seals_where_it_runs() {
    let mut shard = shard(Routes::new().route(ADD, blocking(|Msg(n): Msg<u32>| n * 2)));
    let Began::Blocking(job) = shard.begin(ADD.def(), "sealed(21) for 1") else { panic!("no job") };
    let (answer, bytes) = std::thread::spawn(job).join().unwrap();
    assert_eq!(end(answer, &bytes).reply(), "sealed(42) for 1");
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Option<Reply<u32>>>>);

fn hand_away(reply: Reply<u32>, State(kept): State<Kept>) -> Later<u32> {
    let (reply, later) = reply.later();
    *kept.0.lock().unwrap() = Some(reply);
    later
}

async fn pass(rq: OwnedRequest, next: Next) -> Outcome {
    next.run(rq).await
}

#[test]
fn a_late_answer_is_sealed_with_layers_and_without() {
    let kept = Kept::default();
    for layered in [false, true] {
        let routes = Routes::new().route(ADD, hand_away);
        let routes = if layered { routes.layer(from_fn(pass)) } else { routes };
        let mut shard = shard(routes.with_state(kept.clone()));
        assert!(matches!(shard.call(ADD.def(), ""), End::Later));
        kept.0.lock().unwrap().take().unwrap().send(Ok(42));
        assert_eq!(shard.told.take().pop().unwrap().unwrap(), "sealed(42) for 1");
    }
}

#[test]
fn an_answer_before_the_handler_returns_is_sealed_once() {
    async fn at_once(reply: Reply<u32>, Msg(n): Msg<u32>) -> Later<u32> {
        let (reply, later) = reply.later();
        reply.send(Ok(n));
        later
    }
    let mut shard = shard(Routes::new().route(ADD, at_once));
    assert_eq!(shard.call(ADD.def(), "sealed(5) for 1").reply(), "sealed(5) for 1");
    assert!(shard.told.take().is_empty());
}

#[test]
fn layers_see_what_the_client_meant() {
    let small = guard(|rq: &Request<'_>, _: &()| if rq.body.bytes().len() < 3 { Ok(()) } else { Err(TAKEN.into()) });
    let routes = Routes::new().route(ADD, |Msg(n): Msg<u32>| n).layer(small).layer(from_fn(pass));
    let mut shard = shard(routes);
    assert_eq!(shard.call(ADD.def(), "sealed(12) for 1").reply(), "sealed(12) for 1");
    assert_eq!(shard.call(ADD.def(), "sealed(123) for 1").fault().code(), TAKEN);
}

#[test]
fn what_servers_send_is_let_through() {
    let mut shard = shard(Routes::new().route(ADD, async |Msg(n): Msg<u32>| n + 1));
    shard.peer = Some(Owner { id: "game-2".into(), incarnation: Incarnation(1) });
    assert_eq!(shard.call(ADD.def(), "1").reply(), "2");
}

#[test]
fn an_answer_that_stands_for_a_fault_is_sealed() {
    let routes = Routes::new()
        .route(ADD, |Msg(_): Msg<u32>| -> Result<u32, Code> { Err(TAKEN) })
        .errors_as(ADD, |fault| fault.code().number());
    let shard = shard(routes);
    let mut out = b"kept ".to_vec();
    assert!(shard.table.mounts()[0].answer_fault(&TAKEN.into(), &mut out));
    assert_eq!(out, b"kept sealed(1001) for 1");
}

#[test]
fn bytes_of_the_application_leave_as_they_are() {
    const BYTES: Call<Bytes, Bytes, Raw> = Call::new(6, "bytes");
    let routes = Routes::new()
        .route(BYTES, |Msg(bytes): Msg<Bytes>| bytes)
        .raw(ADD, |rq, out| {
            out.extend_from_slice(rq.body.bytes());
            Ok(())
        })
        .fallback(|Msg(bytes): Msg<Bytes>| bytes);
    let mut shard = shard(routes);
    assert_eq!(shard.call(BYTES.def(), "sealed(abc) for 6").reply(), "abc");
    assert_eq!(shard.call(ECHO.def(), "sealed(abc) for 2").reply(), "abc", "the fallback");
    // A route with types looks the same from outside, whoever answers it.
    assert_eq!(shard.call(ADD.def(), "sealed(7) for 1").reply(), "sealed(7) for 1");
}
