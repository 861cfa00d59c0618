//! Handlers that block: on the pool they delay nobody but their own session; elsewhere the watchdog names them.

use std::sync::{Arc, Barrier, Condvar, Mutex};

use crate::wire::{self, Client, ECHO_ID, Got, PLACES, routes, shards, start, until};
use due::{Kind, prelude::*};

const TCP: &str = "tcp://127.0.0.1:0";
const WAIT: Call<u32, u32> = Call::new(30, "wait");
const MEET: Call<(), ()> = Call::new(31, "meet");
const NAP: Call<(), ()> = Call::new(32, "nap.badly");

/// Holds threads until it is opened.
#[derive(Clone, Default)]
struct Door(Arc<(Mutex<(bool, u32)>, Condvar)>);

impl Door {
    fn pass(&self) {
        let (state, opened) = &*self.0;
        let mut state = state.lock().unwrap();
        state.1 += 1;
        drop(opened.wait_while(state, |state| !state.0).unwrap());
    }

    fn open(&self) {
        self.0.0.lock().unwrap().0 = true;
        self.0.1.notify_all();
    }

    fn waiting(&self) -> u32 {
        self.0.0.lock().unwrap().1
    }
}

fn wait(State(door): State<Door>, Msg(n): Msg<u32>) -> u32 {
    door.pass();
    n
}

#[tokio::test(flavor = "multi_thread")]
// P1, P20, invariant 15
async fn a_handler_on_the_pool_delays_its_own_session_only() {
    for place in PLACES {
        let door = Door::default();
        let blocked = Routes::new().route(WAIT, blocking(wait)).with_state(door.clone());
        let gate = Gate::new("gate").listen(TCP);
        let app = wire::with(place, gate, Node::new("game").routes(blocked.merge(routes()))).shards(shards(1));
        let running = app.start().await.unwrap();
        let mut slow = Client::tcp(&running).await;
        slow.data(30, 1, b"7").await;
        slow.data(ECHO_ID, 2, b"\"after\"").await;
        slow.data(30, 3, b"8").await;
        until("the handler blocks", || async { door.waiting() == 1 }).await;
        // All on the same shards as the one that waits.
        for _ in 0..5 {
            let mut other = Client::tcp(&running).await;
            for _ in 0..50 {
                other.silence().await;
            }
        }
        assert_eq!(door.waiting(), 1, "the session's next handler waits its turn");
        door.open();
        assert_eq!(slow.next().await, Some(Got::data(30, 1, b"7")));
        assert_eq!(slow.next().await, Some(Got::data(ECHO_ID, 2, b"\"after\"")));
        assert_eq!(slow.next().await, Some(Got::data(30, 3, b"8")));
        assert_eq!(running.snapshot().await.held_by, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
// P20
async fn sessions_block_side_by_side() {
    for place in PLACES {
        let barrier = Arc::new(Barrier::new(8));
        let meet = move || {
            barrier.wait();
        };
        let running = start(place, &[TCP], routes().route(MEET, blocking(meet))).await;
        let mut all = Vec::new();
        for _ in 0..8 {
            let mut client = Client::tcp(&running).await;
            client.data(31, 1, b"").await;
            all.push(client);
        }
        for client in &mut all {
            assert_eq!(client.next().await, Some(Got::data(31, 1, b"")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// P20: a handler that blocks its shard is named
async fn the_watchdog_names_the_route_that_holds_a_shard() {
    for place in PLACES {
        let nap = || std::thread::sleep(Duration::from_millis(300));
        let running = start(place, &[TCP], routes().route(NAP, nap)).await;
        let mut client = Client::tcp(&running).await;
        client.ask(32, 1, b"").await;
        let snapshot = running.snapshot().await;
        assert_eq!(snapshot.held_by, ["nap.badly"], "{place:?}");
        assert!(snapshot.shards.iter().map(|s| s.held).sum::<u64>() >= 1);
    }
}

struct Sleeper;

impl Actor for Sleeper {
    const KIND: &'static str = "sleeper";
    type Key = u64;
}

impl Sleeper {
    async fn nap(&mut self) {
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[tokio::test(flavor = "multi_thread")]
// P20: so is an actor
async fn the_watchdog_names_the_actor_that_holds_a_shard() {
    for place in PLACES {
        let naps = Routes::new().actor_by(NAP, |_: &()| 7, Sleeper::nap);
        let node = Node::new("game").actors(|_: u64, _| async { Ok(Sleeper) }).routes(routes().merge(naps));
        let running = wire::with(place, Gate::new("gate").listen(TCP), node).start().await.unwrap();
        let mut client = Client::tcp(&running).await;
        client.ask(32, 1, b"").await;
        assert_eq!(running.snapshot().await.held_by, ["actor sleeper"], "{place:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
// P2: the deadline holds for handlers on the pool too, and what they answer later goes nowhere
async fn a_blocked_handler_is_answered_for_at_its_deadline() {
    for place in PLACES {
        let door = Door::default();
        let blocked = Routes::new().route(WAIT, blocking(wait)).with_state(door.clone());
        let blocked = blocked.merge(routes()).deadline(WAIT, Duration::from_millis(100));
        let running = start(place, &[TCP], blocked).await;
        let mut told = Client::hello(&running, "tcp").await;
        told.data(30, 1, b"7").await;
        assert_eq!(told.next().await, Some(Got::failure(30, 1, Kind::Timeout)));
        door.open();
        told.silence().await;
        assert_eq!(told.ask(30, 1, b"9").await, b"9");
    }
}

#[tokio::test(flavor = "multi_thread")]
// P2
async fn a_client_that_leaves_while_its_handler_blocks_leaves_whole() {
    for place in PLACES {
        let door = Door::default();
        let blocked = Routes::new().route(WAIT, blocking(wait)).with_state(door.clone()).merge(routes());
        let running = start(place, &[TCP], blocked).await;
        for n in 1..=20 {
            let mut client = Client::tcp(&running).await;
            client.data(30, 1, b"7").await;
            until("the handler blocks", || async { door.waiting() == n }).await;
            client.reset();
        }
        wire::connections(&running, 0).await;
        door.open();
        until("its sessions end", || async { running.snapshot().await.sessions.values().all(|n| *n == 0) }).await;
        wire::alive(&running).await;
    }
}
