//! Messages of one client that arrive side by side: answered in one run where they can be, in their order wherever one of
//! them cannot.

use std::num::NonZeroUsize;

use crate::wire::{Client, Got, counted};
use due::{Kind, app::Running, prelude::*};

const PLAIN: Call<u32, u32> = Call::new(1, "plain");
const READY: Call<u32, u32> = Call::new(2, "ready");
const WAITS: Call<u32, u32> = Call::new(3, "waits");
const PUSHES: Call<u32, u32> = Call::new(4, "pushes");
const PANICS: Call<u32, u32> = Call::new(5, "panics");
const NOTED: Notify<u32> = Notify::new(6, "noted");
const LARGE: Call<u32, String> = Call::new(7, "large");
const LATER: Call<u32, u32> = Call::new(8, "later");
const RAW: Call<u32, u32> = Call::new(9, "raw");
const TOLD: Push<u32> = Push::new(50, "told");

fn plain(Msg(n): Msg<u32>) -> u32 {
    n
}

async fn ready(Msg(n): Msg<u32>) -> u32 {
    n
}

async fn waits(Msg(n): Msg<u32>) -> u32 {
    tokio::task::yield_now().await;
    n
}

fn pushes(me: Session, Msg(n): Msg<u32>) -> Result<u32, Fault> {
    me.push(TOLD, &n)?;
    Ok(n)
}

fn panics(Msg(n): Msg<u32>) -> u32 {
    assert_eq!(n, u32::MAX, "a bug");
    n
}

fn noted(me: Session, Msg(n): Msg<u32>) -> Result<(), Fault> {
    Ok(me.push(TOLD, &n)?)
}

fn large(Msg(n): Msg<u32>) -> String {
    "x".repeat(n as usize)
}

fn later(reply: Reply<u32>, Msg(n): Msg<u32>) -> Later<u32> {
    let (reply, later) = reply.later();
    reply.send(Ok(n));
    later
}

fn raw(rq: &Request<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    if rq.body.bytes() == b"0" {
        out.extend_from_slice(b"half an ans");
        return Err(Code::BAD_REQUEST.into());
    }
    out.extend_from_slice(rq.body.bytes());
    Ok(())
}

async fn start() -> Running {
    let routes = Routes::new()
        .route(PLAIN, plain)
        .route(READY, ready)
        .route(WAITS, waits)
        .route(PUSHES, pushes)
        .route(PANICS, panics)
        .route(NOTED, noted)
        .route(LARGE, large)
        .route(LATER, later)
        .raw(RAW, raw);
    App::new(due::drivers())
        .shards(Shards::Count(NonZeroUsize::MIN))
        .shared_shards()
        .with(Gate::new("gate").listen("tcp://127.0.0.1:0?max-body=1000").listen("ws://127.0.0.1:0?max-body=1000"))
        .with(Node::new("game").routes(routes))
        .start()
        .await
        .unwrap()
}

/// What one message is answered with.
fn expected(route: i32, seq: i32, n: u32) -> Vec<Got> {
    let answer = Got::data(route, seq, n.to_string().as_bytes());
    let told = Got::data(50, 0, n.to_string().as_bytes());
    match route {
        4 => vec![told, answer],
        5 => vec![Got::failure(route, seq as u32, Kind::Internal)],
        6 if seq == 0 => vec![told],
        6 => vec![told, Got::data(route, seq, b"")],
        7 if n > 998 => vec![Got::failure(route, seq as u32, Kind::TooLarge)],
        7 => vec![Got::data(route, seq, format!("\"{}\"", "x".repeat(n as usize)).as_bytes())],
        9 if n == 0 => vec![Got::failure(route, seq as u32, Kind::BadRequest)],
        99 => vec![Got::failure(route, seq as u32, Kind::NoRoute)],
        _ => vec![answer],
    }
}

/// Sends all messages in one write and expects all answers in their order.
async fn check(running: &Running, net: &str, messages: &[(i32, u32)]) {
    let mut client = Client::hello(running, net).await;
    let mut bytes = Vec::new();
    let mut answers = Vec::new();
    for (i, (route, n)) in messages.iter().enumerate() {
        let seq = if *route == -6 { 0 } else { i as i32 + 1 };
        let body = n.to_string();
        let frame = client.data_bytes(route.abs(), seq, body.as_bytes());
        bytes.extend(client.framed(&frame));
        answers.extend(expected(route.abs(), seq, *n));
    }
    client.raw(&bytes).await;
    for (i, answer) in answers.into_iter().enumerate() {
        assert_eq!(client.next().await, Some(answer), "answer {i} to {messages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
// proves P1
async fn answers_keep_the_order_of_their_messages_whatever_handlers_do() {
    let running = start().await;
    for net in ["tcp", "ws"] {
        check(&running, net, &[(1, 1), (1, 2), (1, 3)]).await;
        check(&running, net, &[(1, 1), (2, 2), (1, 3), (9, 4), (9, 5)]).await;
        check(&running, net, &[(1, 1), (3, 2), (1, 3), (3, 4), (3, 5), (2, 6), (1, 7)]).await;
        check(&running, net, &[(1, 1), (4, 2), (4, 3), (1, 4), (4, 5)]).await;
        check(&running, net, &[(1, 1), (-6, 2), (1, 3), (6, 4), (6, 5), (-6, 6), (1, 7)]).await;
        check(&running, net, &[(1, 1), (99, 2), (1, 3)]).await;
        check(&running, net, &[(7, 900), (7, 1001), (7, 5), (1, 3), (7, 998)]).await;
        check(&running, net, &[(7, 5), (7, 300), (7, 400), (7, 114), (7, 115), (7, 0), (7, 200)]).await;
        check(&running, net, &[(9, 1), (9, 0), (9, 0), (9, 2)]).await;
        check(&running, net, &[(8, 1), (8, 2), (8, 3)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// proves P24
async fn a_panic_in_the_middle_of_a_run_costs_one_request() {
    let running = start().await;
    for net in ["tcp", "ws"] {
        check(&running, net, &[(1, 1), (5, 2), (1, 3), (5, 4), (5, 5), (2, 6)]).await;
    }
    assert_eq!(running.snapshot().await.routes.values().map(|r| r.panics).sum::<u64>(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_run_is_counted_and_passes_a_full_outbox() {
    let running = start().await;
    let many: Vec<(i32, u32)> = (0..20_000).map(|n| (7, n % 900)).collect();
    for net in ["tcp", "ws"] {
        let before = counted(&running).await;
        check(&running, net, &many).await;
        let after = counted(&running).await;
        assert_eq!((after.messages - before.messages, after.replies - before.replies), (20_000, 20_000), "{net}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_waits_is_not_given_away_twice() {
    let running = start().await;
    let mut client = Client::hello(&running, "tcp").await;
    let mut bytes = client.data_bytes(3, 7, b"1");
    bytes.extend(client.data_bytes(3, 7, b"2"));
    client.raw(&bytes).await;
    assert_eq!(client.next().await, Some(Got::failure(3, 7, Kind::Duplicate)));
    assert_eq!(client.next().await, Some(Got::data(3, 7, b"1")));
}
