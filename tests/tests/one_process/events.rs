//! Events of sessions stand in one order with their messages, also when hundreds come and go at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use crate::wire::{self, Client, LOGIN, PLACES, Place, connections, until};
use due::{app::Running, prelude::*};

const SAY: Notify<String> = Notify::new(30, "say");

type Log = Arc<Mutex<HashMap<SessionId, Vec<String>>>>;

fn note(log: &Log, me: &Session, what: &str) {
    let user = me.uid().map_or_else(|| "nobody".to_owned(), |uid| uid.to_string());
    log.lock().unwrap().entry(me.id()).or_default().push(format!("{what} {user}"));
}

fn said(State(log): State<Log>, me: Session, Msg(text): Msg<String>) {
    note(&log, &me, &text);
}

/// Waits a little, so that everything else has the time to overtake it.
async fn slowly(State(log): State<Log>, me: Session) {
    tokio::task::yield_now().await;
    note(&log, &me, "Connected");
}

fn bound(State(log): State<Log>, me: Session) {
    note(&log, &me, "Bound");
}

async fn left(State(log): State<Log>, me: Session) {
    tokio::task::yield_now().await;
    note(&log, &me, "Disconnected");
}

fn logged(log: &Log) -> Routes {
    Routes::new()
        .route(SAY, said)
        .on(Event::Connected, slowly)
        .on(Event::Bound, bound)
        .on(Event::Disconnected, left)
        .with_state(log.clone())
}

/// A node that handles everything, and one that only listens to events.
async fn world(place: Place, logs: [&Log; 2]) -> Running {
    let gate = Gate::new("gate").listen("tcp://127.0.0.1:0").listen("ws://127.0.0.1:0");
    let app = wire::with(place, gate, Node::new("game").routes(logged(logs[0]).merge(wire::routes())));
    let watcher = Routes::new()
        .on(Event::Connected, slowly)
        .on(Event::Bound, bound)
        .on(Event::Disconnected, left)
        .with_state(logs[1].clone());
    app.with(Node::new("watch").routes(watcher)).start().await.unwrap()
}

async fn ended(log: &Log, sessions: usize) {
    until("every session has ended", || async {
        let log = log.lock().unwrap();
        log.values().filter(|events| events.last().is_some_and(|e| e.starts_with("Disconnected"))).count() == sessions
    })
    .await;
}

const SESSIONS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
// P1, conformance 49, 50
async fn five_hundred_that_come_talk_and_go_are_seen_in_order() {
    for place in PLACES {
        let logs = [Log::default(), Log::default()];
        let running = world(place, [&logs[0], &logs[1]]).await;
        let mut tasks = Vec::new();
        for n in 0..SESSIONS {
            let url = running.url(if n % 2 == 0 { "gate:tcp" } else { "gate:ws" }).unwrap().clone();
            tasks.push(tokio::spawn(async move {
                let mut client = Client::to(&url).await;
                for text in ["\"m1\"", "\"m2\"", "\"m3\""] {
                    client.data(30, 0, text.as_bytes()).await;
                }
                client.finish().await;
                client.closed().await;
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        for log in &logs {
            ended(log, SESSIONS).await;
        }
        connections(&running, 0).await;
        let want = ["Connected nobody", "m1 nobody", "m2 nobody", "m3 nobody", "Disconnected nobody"];
        for (session, events) in logs[0].lock().unwrap().iter() {
            assert_eq!(*events, want, "{place:?} {session}");
        }
        for events in logs[1].lock().unwrap().values() {
            assert_eq!(*events, ["Connected nobody", "Disconnected nobody"]);
        }
        until("the nodes forget them", || async { running.snapshot().await.sessions.values().all(|n| *n == 0) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 49, due-B10
async fn a_login_is_an_event_and_the_end_names_the_user() {
    for place in PLACES {
        let logs = [Log::default(), Log::default()];
        let running = world(place, [&logs[0], &logs[1]]).await;
        let mut client = Client::tcp(&running).await;
        client.data(30, 0, b"\"before\"").await;
        client.ask(LOGIN.def().id.0, 1, b"\"ann\"").await;
        client.data(30, 0, b"\"after\"").await;
        client.silence().await;
        client.reset();
        for log in &logs {
            ended(log, 1).await;
        }
        let events: Vec<_> = logs[0].lock().unwrap().values().next().unwrap().clone();
        assert_eq!(events, ["Connected nobody", "before nobody", "Bound ann", "after ann", "Disconnected ann"]);
        let seen: Vec<_> = logs[1].lock().unwrap().values().next().unwrap().clone();
        assert_eq!(seen, ["Connected nobody", "Bound ann", "Disconnected ann"], "{place:?}");
    }
}

const LEAVE: Notify<String> = Notify::new(31, "leave");

/// Ends its own session in one of the ways there are.
fn leave(me: Session, Msg(how): Msg<String>) -> Result<(), Fault> {
    match how.as_str() {
        "close" => me.close(),
        "now" => me.close_now(),
        "kick" => me.kick(wire::TAKEN),
        _ => me.push_then_close(wire::NEWS, &"bye".into())?,
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
// P1, conformance 49, 50
async fn a_session_that_its_own_handler_ends_has_its_last_event() {
    for place in PLACES {
        let log = Log::default();
        let routes = logged(&log).merge(wire::routes().route(LEAVE, leave));
        let running = wire::start(place, &["tcp://127.0.0.1:0"], routes).await;
        for (n, how) in ["close", "now", "kick", "push"].into_iter().enumerate() {
            let mut client = Client::tcp(&running).await;
            client.silence().await;
            client.data(31, 0, format!("\"{how}\"").as_bytes()).await;
            client.rest().await;
            drop(client);
            connections(&running, 0).await;
            ended(&log, n + 1).await;
        }
        until("the node forgets them", || async { running.snapshot().await.sessions.values().all(|n| *n == 0) }).await;
    }
}
