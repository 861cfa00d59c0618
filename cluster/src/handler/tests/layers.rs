//! Layers: order, guards, middleware.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use due_core::Code;

use super::fixture::{ADD, ECHO, End, NOTE, Shard, TAKEN};
use crate::{
    fault::Fault,
    handler::{Event, Msg, Next, Outcome, OwnedRequest, Request, Response, Routes, State, blocking, from_fn, guard},
};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn add(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn first(_: &Request<'_>, log: &Log) -> Result<(), Fault> {
    log.add("first");
    Ok(())
}

fn second(_: &Request<'_>, log: &Log) -> Result<(), Fault> {
    log.add("second");
    Ok(())
}

fn refuse(_: &Request<'_>, _: &Log) -> Result<(), Fault> {
    Err(Code::OVERLOADED.into())
}

async fn around(State(log): State<Log>, rq: OwnedRequest, next: Next) -> Outcome {
    log.add("in");
    let outcome = next.run(rq).await;
    log.add("out");
    outcome
}

fn add(State(log): State<Log>, Msg(n): Msg<u32>) -> u32 {
    log.add("handler");
    n
}

#[test]
fn the_layer_added_last_runs_first() {
    let log = Log::default();
    let routes = Routes::new().route(ADD, add).layer(guard(first)).layer(guard(second)).with_state(log.clone());
    let mut shard = Shard::new(routes);
    assert_eq!(shard.call(ADD.def(), "1").reply(), "1");
    assert_eq!(log.take(), ["second", "first", "handler"]);
}

#[test]
fn guards_and_middleware_keep_one_order() {
    let log = Log::default();
    let routes = Routes::new()
        .route(ADD, add)
        .layer(guard(first))
        .layer(from_fn(around))
        .layer(guard(second))
        .with_state(log.clone());
    let mut shard = Shard::new(routes);
    assert_eq!(shard.call(ADD.def(), "1").reply(), "1");
    assert_eq!(log.take(), ["second", "in", "first", "handler", "out"]);
}

#[test]
fn a_guard_that_refuses_is_the_answer_and_ends_the_way() {
    let log = Log::default();
    let routes = || Routes::new().route(ADD, add).layer(guard(refuse));
    let mut shard = Shard::new(routes().layer(guard(first)).with_state(log.clone()));
    assert_eq!(shard.call(ADD.def(), "1").fault().code(), Code::OVERLOADED);
    assert_eq!(log.take(), ["first"]);
    let mut shard = Shard::new(routes().layer(from_fn(around)).with_state(log.clone()));
    assert_eq!(shard.call(ADD.def(), "1").fault().code(), Code::OVERLOADED);
    assert_eq!(log.take(), ["in", "out"]);
}

#[test]
fn a_layer_covers_routes_added_before_it_and_none_after() {
    let log = Log::default();
    let other = Routes::new().route(NOTE, |Msg(_): Msg<String>| ());
    let routes = Routes::new()
        .route(ADD, add)
        .layer(guard(refuse))
        .route(ECHO, |Msg(t): Msg<String>| t)
        .merge(other)
        .with_state(log);
    let mut shard = Shard::new(routes);
    assert_eq!(shard.call(ADD.def(), "1").fault().code(), Code::OVERLOADED);
    assert_eq!(shard.call(ECHO.def(), "\"a\"").reply(), "\"a\"");
    assert!(matches!(shard.call(NOTE.def(), "\"a\""), End::Nothing));
}

#[test]
fn layers_added_after_the_state_was_given_go_around_those_before() {
    let log = Log::default();
    let inner = Routes::new().route(ADD, add).layer(guard(first)).with_state(log.clone());
    let outer: Routes<Log> = inner.layer(guard(second));
    let mut shard = Shard::new(outer.with_state(log.clone()));
    shard.call(ADD.def(), "1").reply();
    assert_eq!(log.take(), ["second", "first", "handler"]);
}

#[test]
fn events_pass_no_layer() {
    let log = Log::default();
    let routes = Routes::new()
        .on(Event::Connected, |State(log): State<Log>| log.add("event"))
        .layer(guard(refuse))
        .with_state(log.clone());
    let mut shard = Shard::new(routes);
    let place = shard.table.event(Event::Connected)[0];
    shard.begin_at(place, Event::Connected.def(), b"");
    assert_eq!(log.take(), ["event"]);
}

#[test]
fn middleware_may_change_the_body_and_the_answer() {
    async fn wrap(mut rq: OwnedRequest, next: Next) -> Outcome {
        rq.body = Bytes::from_static(b"20");
        match next.run(rq).await? {
            Response::Body(body) => Ok(Response::Body([&body[..], b"0"].concat().into())),
            other => Ok(other),
        }
    }
    let mut shard = Shard::new(Routes::new().route(ADD, |Msg(n): Msg<u32>| n + 1).layer(from_fn(wrap)));
    assert_eq!(shard.call(ADD.def(), "1").reply(), "210");
}

#[test]
fn middleware_may_answer_by_itself_and_mend_a_fault() {
    async fn own(_: OwnedRequest, _: Next) -> Outcome {
        Ok(Response::Body(Bytes::from_static(b"7")))
    }
    async fn mend(rq: OwnedRequest, next: Next) -> Outcome {
        next.run(rq).await.or(Ok(Response::Body(Bytes::from_static(b"8"))))
    }
    fn fail(Msg(_): Msg<u32>) -> Result<u32, Fault> {
        Err(TAKEN.into())
    }
    let mut shard = Shard::new(Routes::new().route(ADD, fail).layer(from_fn(own)));
    assert_eq!(shard.call(ADD.def(), "1").reply(), "7");
    let mut shard = Shard::new(Routes::new().route(ADD, fail).layer(from_fn(mend)));
    assert_eq!(shard.call(ADD.def(), "1").reply(), "8");
}

#[test]
fn an_argument_of_middleware_that_fails_is_the_answer() {
    async fn needs_user(_: due_core::Uid, rq: OwnedRequest, next: Next) -> Outcome {
        next.run(rq).await
    }
    let mut shard = Shard::new(Routes::new().route(ADD, |Msg(n): Msg<u32>| n).layer(from_fn(needs_user)));
    assert_eq!(shard.call(ADD.def(), "1").fault().code(), Code::UNAUTHORIZED);
    shard.uid = Some(1.into());
    assert_eq!(shard.call(ADD.def(), "1").reply(), "1");
}

#[test]
fn a_handler_inside_middleware_may_wait() {
    async fn later(Msg(n): Msg<u32>) -> u32 {
        let mut waited = false;
        std::future::poll_fn(|_| match std::mem::replace(&mut waited, true) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        })
        .await;
        n
    }
    let log = Log::default();
    let routes = Routes::new().route(ADD, later).layer(from_fn(around)).with_state(log.clone());
    let mut shard = Shard::new(routes);
    for n in ["1", "2"] {
        let running = shard.wait(ADD.def(), n);
        assert_eq!(log.take(), ["in"]);
        assert_eq!(shard.go_on(ADD.def(), running).reply(), n);
        assert_eq!(log.take(), ["out"]);
    }
}

#[tokio::test]
async fn a_blocking_handler_inside_middleware_runs_on_the_blocking_pool() {
    let here = std::thread::current().id();
    let elsewhere = move |Msg(n): Msg<u32>| n + u32::from(std::thread::current().id() != here);
    async fn pass(rq: OwnedRequest, next: Next) -> Outcome {
        next.run(rq).await
    }
    let mut shard = Shard::new(Routes::new().route(ADD, blocking(elsewhere)).layer(from_fn(pass)));
    let mut running = shard.wait(ADD.def(), "1");
    let mut out = Vec::new();
    let answer = std::future::poll_fn(|cx| running.poll(cx, &mut out)).await;
    assert_eq!(super::fixture::end(answer, &out).reply(), "2");
}

#[test]
fn a_notify_inside_middleware_has_no_answer() {
    async fn pass(rq: OwnedRequest, next: Next) -> Outcome {
        let outcome = next.run(rq).await;
        assert!(matches!(outcome, Ok(Response::Nothing)));
        outcome
    }
    let mut shard = Shard::new(Routes::new().route(NOTE, |Msg(_): Msg<String>| ()).layer(from_fn(pass)));
    assert!(matches!(shard.call(NOTE.def(), "\"a\""), End::Nothing));
}
