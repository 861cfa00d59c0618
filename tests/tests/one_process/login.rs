//! One user, one session: the last login wins, whatever races.

use crate::wire::{Client, Got, LOGIN, LOGOUT, PLACES, Place, WHO, both, connections, routes, shards, until};
use due::{Kind, Url, app::Running, prelude::*};

const LOGIN_ID: i32 = LOGIN.def().id.0;
const WHO_ID: i32 = WHO.def().id.0;

async fn users(running: &Running, wanted: u64) {
    until(&format!("{wanted} users"), || async { running.cluster().stat().await.unwrap().users == wanted }).await;
}

#[tokio::test(flavor = "multi_thread")]
// P8, conformance 32
async fn the_second_login_ends_the_first_connection() {
    for place in PLACES {
        let running = both(place, "").await;
        for round in 0..8 {
            // A user each: old clients may take one user over five times only.
            let name = format!("\"ann{round}\"");
            let mut old = Client::tcp(&running).await;
            let first: u64 = String::from_utf8(old.ask(LOGIN_ID, 1, name.as_bytes()).await).unwrap().parse().unwrap();
            let mut told = Client::hello(&running, if round % 2 == 0 { "tcp" } else { "ws" }).await;
            let second: u64 = String::from_utf8(told.ask(LOGIN_ID, 1, name.as_bytes()).await).unwrap().parse().unwrap();
            assert!(second > first, "an epoch rises: {first} {second}");
            old.closed().await;
            drop(old);
            let mut last = Client::ws(&running).await;
            last.ask(LOGIN_ID, 1, name.as_bytes()).await;
            assert_eq!(told.next().await, Some(Got::kick(Kind::Relogin)));
            told.closed().await;
            drop(told);
            assert_eq!(last.ask(WHO_ID, 2, b"").await, name.as_bytes());
            assert!(running.cluster().is_online(&format!("ann{round}").into()).await.unwrap());
            drop(last);
            connections(&running, 0).await;
            users(&running, 0).await;
        }
    }
}

/// Logs in and says with which epoch; then waits to be sent away. The connection comes back if it was not.
async fn race(url: Url, hello: bool) -> (Option<u64>, Client, Vec<Got>) {
    let mut client = Client::to(&url).await;
    if hello {
        client.say_hello().await;
    }
    client.data(LOGIN_ID, 1, b"\"ann\"").await;
    let mut epoch = None;
    let mut others = Vec::new();
    match client.next().await {
        Some(Got::Data { body, .. }) => epoch = String::from_utf8(body).unwrap().parse().ok(),
        Some(other) => others.push(other),
        None => {}
    }
    (epoch, client, others)
}

#[tokio::test(flavor = "multi_thread")]
// P8
async fn of_two_hundred_racing_logins_exactly_one_stays() {
    for place in PLACES {
        let running = both(place, "").await;
        let tasks: Vec<_> = (0..200)
            .map(|n| {
                let url = running.url(["gate:tcp", "gate:ws"][n % 2]).unwrap().clone();
                tokio::spawn(race(url, n % 4 < 2))
            })
            .collect();
        let mut clients = Vec::new();
        for task in tasks {
            clients.push(task.await.unwrap());
        }
        connections(&running, 1).await;
        users(&running, 1).await;
        let highest = clients.iter().filter_map(|(epoch, ..)| *epoch).max();
        let mut alive = 0;
        for (n, (epoch, mut client, mut got)) in clients.into_iter().enumerate() {
            if epoch == highest {
                assert_eq!(client.ask(WHO_ID, 2, b"").await, b"\"ann\"");
                alive += 1;
                continue;
            }
            got.extend(client.rest().await);
            let hello = n % 4 < 2;
            assert_eq!(got.contains(&Got::kick(Kind::Relogin)), hello, "{place:?} client {n}: {got:?}");
        }
        assert_eq!(alive, 1);
        connections(&running, 0).await;
        users(&running, 0).await;
        assert!(!running.cluster().is_online(&"ann".into()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
// P8
async fn two_gates_of_one_process_agree_on_who_stays() {
    for place in PLACES {
        let gate = |name: &str| Gate::new(name).listen("tcp://127.0.0.1:0");
        let app = App::new(due::drivers()).shards(shards(4)).with(gate("gate")).with(gate("other"));
        let app = app.with(Node::new("game").routes(routes()));
        let app = if place == Place::Shared { app.shared_shards() } else { app };
        let running = app.start().await.unwrap();
        for _ in 0..2 {
            let tasks: Vec<_> = (0..40)
                .map(|n| tokio::spawn(race(running.url(["gate", "other"][n % 2]).unwrap().clone(), n % 4 < 2)))
                .collect();
            let mut clients = Vec::new();
            for task in tasks {
                clients.push(task.await.unwrap());
            }
            // A client that is sent away has 2 s to end its side.
            until("one connection is left", || async {
                running.cluster().stat().await.is_ok_and(|stat| (stat.connections, stat.users) == (1, 1))
            })
            .await;
            let highest = clients.iter().filter_map(|(epoch, ..)| *epoch).max();
            let (_, winner, _) = clients.iter_mut().find(|(epoch, ..)| *epoch == highest).unwrap();
            assert_eq!(winner.ask(WHO_ID, 2, b"").await, b"\"ann\"");
            drop(clients);
            until("nobody is left", || async {
                running.cluster().stat().await.is_ok_and(|stat| (stat.connections, stat.users) == (0, 0))
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// P7, P8
async fn logins_logouts_and_resets_in_any_order_leave_no_ghost() {
    for place in PLACES {
        let running = both(place, "").await;
        let mut tasks = Vec::new();
        for n in 0..200_u32 {
            let url = running.url(["gate:tcp", "gate:ws"][n as usize % 2]).unwrap().clone();
            tasks.push(tokio::spawn(async move {
                let mut client = Client::to(&url).await;
                let name = format!("\"u{}\"", n % 10);
                client.data(LOGIN_ID, 1, name.as_bytes()).await;
                if n % 3 == 0 {
                    client.data(LOGOUT.def().id.0, 2, b"").await;
                }
                if n % 5 == 0 {
                    client.data(LOGIN_ID, 3, b"\"another\"").await;
                }
                match n % 4 {
                    0 => client.reset(),
                    1 => {
                        client.next().await;
                    }
                    _ => drop(client),
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        connections(&running, 0).await;
        users(&running, 0).await;
        for name in (0..10).map(|n| format!("u{n}")).chain(["another".into()]) {
            until("the store forgets them", || async {
                !running.cluster().is_online(&name.as_str().into()).await.unwrap()
            })
            .await;
            until("the store forgets them", || async {
                running.cluster().gate_of(&name.as_str().into()).await.unwrap().is_none()
            })
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// P6, P8
async fn a_late_kick_for_a_former_user_frees_nobody_else() {
    for place in PLACES {
        let running = both(place, "").await;
        for _ in 0..10 {
            let tasks: Vec<_> = (0..64)
                .map(|n| {
                    let url = running.url(["gate:tcp", "gate:ws"][n % 2]).unwrap().clone();
                    tokio::spawn(async move {
                        let mut client = Client::to(&url).await;
                        client.data(LOGIN_ID, 1, b"\"all\"").await;
                        client.data(LOGIN_ID, 2, format!("\"own-{n}\"").as_bytes()).await;
                        client.finish().await;
                        client.rest().await;
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            connections(&running, 0).await;
            users(&running, 0).await;
        }
    }
}
