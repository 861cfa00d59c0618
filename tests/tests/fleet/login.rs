//! Logins of one user on two gates: exactly one session is left alive, whatever becomes of the kick.

use due::Kind;
use due_sdk::{CallError, Client, Closed, EventLoop};
use due_testkit::server::Proxy;
use rustix::process::Signal;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    bot::TIMEOUT,
    game::LOGIN,
    process::{LIMIT, Process},
    program::free_port,
    world::World,
};

/// Users that log in at the same time, again and again.
const USERS: i64 = 50;
/// Pairs of logins of each user: one wins, one loses, and so does the winner before them.
const ROUNDS: usize = 14;
/// Of each user with the losing gate asleep, and of each with the way between the gates cut.
const LOST: usize = 3;

async fn connect(door: &str, on: &EventLoop) -> Client {
    within("a connection", 0, Client::builder(door).timeout(TIMEOUT).on(on).connect()).await.unwrap()
}

/// Logs in; a session that loses against another one meanwhile is told so or closed.
async fn login(client: &Client, uid: i64) {
    match client.call(LOGIN, &uid).await {
        Ok(_) | Err(CallError::Gone { .. }) => {}
        Err(CallError::Refused { code, .. }) if code == Kind::Relogin.code() || code == Kind::Gone.code() => {}
        Err(e) => panic!("user {uid}: {e}"),
    }
}

/// Waits until it is closed: as one that another login displaced.
async fn displaced(client: &Client, uid: i64) {
    let why = within("the end of one of two sessions", uid, client.closed()).await;
    assert!(matches!(why, Closed::Kicked { code, .. } if code == Kind::Relogin.code()), "user {uid}: {why}");
}

/// Waits until one of the two is displaced; gives the other, which is alive.
async fn winner(first: Client, second: Client, uid: i64) -> Client {
    let winner = tokio::select! {
        () = displaced(&first, uid) => second,
        () = displaced(&second, uid) => first,
    };
    alive(&winner, uid).await;
    winner
}

async fn within<T>(what: &str, uid: i64, work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("user {uid}: never came: {what}"))
}

async fn alive(client: &Client, uid: i64) {
    let answer = within("the winner is answered", uid, client.call(LOGIN, &uid)).await;
    assert!(answer.is_ok(), "the last session of user {uid} is not alive: {answer:?}, {:?}", client.state());
}

/// Logins of one user on both gates at once, again and again; the last one alive is given back.
async fn race(uid: i64, doors: [String; 2], on: EventLoop) -> Client {
    let mut last: Option<Client> = None;
    for _ in 0..ROUNDS {
        let (one, two) = (connect(&doors[0], &on).await, connect(&doors[1], &on).await);
        let both = async { tokio::join!(login(&one, uid), login(&two, uid)) };
        within("both logins end", uid, both).await;
        let won = winner(one, two, uid).await;
        if let Some(before) = last.replace(won) {
            displaced(&before, uid).await;
        }
    }
    last.unwrap()
}

async fn gates(world: &World) -> ([Process; 2], Proxy) {
    let port = free_port();
    let proxy = Proxy::to(format!("127.0.0.1:{port}")).await;
    let url = format!("link://127.0.0.1:{port}?advertise={}", proxy.address());
    let behind = world.start_with("gate", "gate-1", &["--transport", &url]).await;
    ([behind, world.start("gate", "gate-2").await], proxy)
}

/// Every user logs in here and is displaced there.
async fn move_all(to: &str, last: Vec<Client>, on: &EventLoop, lost: impl AsyncFn()) -> Vec<Client> {
    let mut logins = JoinSet::new();
    for uid in 1..=USERS {
        let (to, on) = (to.to_owned(), on.clone());
        logins.spawn(async move {
            let client = connect(&to, &on).await;
            client.call(LOGIN, &uid).await.unwrap_or_else(|e| panic!("user {uid}: {e}"));
            (uid, client)
        });
    }
    let mut now: Vec<_> = logins.join_all().await;
    lost().await;
    now.sort_by_key(|(uid, _)| *uid);
    for ((uid, client), before) in now.iter().zip(&last) {
        displaced(before, *uid).await;
        alive(client, *uid).await;
    }
    now.into_iter().map(|(_, client)| client).collect()
}

// proves P7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_logins_exactly_one_is_left_a_thousand_times() {
    let Some(world) = World::on_servers().await else { return };
    let _node = world.start("node", "node-1").await;
    let ([one, two], way) = gates(&world).await;
    let on = EventLoop::start().unwrap();
    let mut races = JoinSet::new();
    for uid in 1..=USERS {
        let (doors, on) = ([one.tcp(), two.tcp()], on.clone());
        races.spawn(async move { (uid, race(uid, doors, on).await) });
    }
    let mut last = races.join_all().await;
    last.sort_by_key(|(uid, _)| *uid);
    let mut last: Vec<Client> = last.into_iter().map(|(_, client)| client).collect();
    last = move_all(&one.tcp(), last, &on, async || {}).await;
    for _ in 0..LOST {
        // The gate of those who lose sleeps through their kicks; it reads them when it wakes.
        one.signal(Signal::STOP);
        last = move_all(&two.tcp(), last, &on, async || one.signal(Signal::CONT)).await;
        // No kick comes through: the store's feed says the same.
        last = move_all(&one.tcp(), last, &on, async || {}).await;
        way.cut();
        last = move_all(&two.tcp(), last, &on, async || {}).await;
        way.mend();
        last = move_all(&one.tcp(), last, &on, async || {}).await;
    }
    let logins = USERS as usize * (ROUNDS * 2 + 1 + LOST * 4);
    assert!(USERS as usize * (ROUNDS + LOST * 2) >= 1000 && logins > 1000);
    println!("{logins} logins of {USERS} users");
}
