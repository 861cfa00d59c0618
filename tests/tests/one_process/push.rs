//! Pushes to one, to many and to all, and their counts.

use crate::wire::{self, Client, Got, LOGIN, NEWS, PLACES, Place, connections, start};
use due::{Kind, app::Running, prelude::*};

const JOIN: Call<String, ()> = Call::new(30, "join");
const PART: Call<String, ()> = Call::new(31, "part");
const BYE: Notify<()> = Notify::new(32, "bye");
const LISTENERS: [&str; 2] = ["tcp://127.0.0.1:0", "ws://127.0.0.1:0"];
const HI: &[u8] = b"\"hi\"";

fn join(me: Session, Msg(channel): Msg<String>) -> Result<(), Fault> {
    Ok(me.subscribe(&channel)?)
}

fn part(me: Session, Msg(channel): Msg<String>) -> Result<(), Fault> {
    Ok(me.unsubscribe(&channel)?)
}

fn bye(me: Session) -> Result<(), Fault> {
    Ok(me.push_then_close(NEWS, &"hi".into())?)
}

async fn world(place: Place) -> Running {
    start(place, &LISTENERS, wire::routes().route(JOIN, join).route(PART, part).route(BYE, bye)).await
}

fn id(route: impl due::core::route::Endpoint) -> i32 {
    route.def().id.0
}

fn json(text: &str) -> Vec<u8> {
    format!("\"{text}\"").into_bytes()
}

/// A connection that nobody has logged in on.
async fn guest(running: &Running) -> Client {
    let mut client = Client::ws(running).await;
    client.silence().await;
    client
}

async fn user(running: &Running, name: &str) -> Client {
    let mut client = Client::tcp(running).await;
    client.ask(id(LOGIN), 1, &json(name)).await;
    client
}

fn sent(queued: usize, offline: usize) -> Sent {
    let mut sent = Sent::default();
    (sent.queued, sent.offline) = (queued, offline);
    sent
}

fn hi() -> Got {
    Got::data(NEWS.def().id.0, 0, HI)
}

#[tokio::test(flavor = "multi_thread")]
// due-B9, conformance 43, 44
async fn due_b9_a_push_that_closes_is_delivered_and_closes() {
    for place in PLACES {
        let running = world(place).await;
        let mut me = user(&running, "me").await;
        me.data(id(BYE), 0, b"").await;
        assert_eq!(me.rest().await, [hi()]);
        let mut page = guest(&running).await;
        page.data(id(BYE), 0, b"").await;
        assert_eq!(page.rest().await, [hi(), Got::Closed(1000)]);
        let (mut ann, mut ben) = (user(&running, "ann").await, user(&running, "ben").await);
        let cluster = running.cluster();
        let one = cluster.push_then_close(To::User("ann".into()), NEWS, &"hi".into()).await.unwrap();
        assert_eq!(one, sent(1, 0));
        assert_eq!(ann.rest().await, [hi()]);
        ben.silence().await;
        let all = cluster.push_then_close(To::Everyone, NEWS, &"hi".into()).await.unwrap();
        assert_eq!(all, sent(1, 0));
        assert_eq!(ben.rest().await, [hi()]);
        connections(&running, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-B3, conformance 45, 64
async fn due_b3_an_offline_user_among_many_changes_nothing_for_the_others() {
    for place in PLACES {
        let running = world(place).await;
        let mut users = Vec::new();
        for n in 0..4 {
            users.push(user(&running, &format!("u{n}")).await);
        }
        let names: Vec<Uid> = ["u0", "gone", "u1", "u2", "", "u3"].map(Uid::from).into();
        for _ in 0..50 {
            let counts = running.cluster().push(To::Users(&names), NEWS, &"hi".into()).await.unwrap();
            assert_eq!(counts, sent(4, 2));
        }
        for client in &mut users {
            for _ in 0..50 {
                assert_eq!(client.next().await, Some(hi()));
            }
            client.silence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// conformance 46
async fn a_broadcast_reaches_users_or_everyone() {
    for place in PLACES {
        let running = world(place).await;
        let (mut ann, mut ben, mut guest) =
            (user(&running, "ann").await, user(&running, "ben").await, guest(&running).await);
        let cluster = running.cluster();
        assert_eq!(cluster.push(To::Bound, NEWS, &"hi".into()).await.unwrap(), sent(2, 0));
        assert_eq!((ann.next().await, ben.next().await), (Some(hi()), Some(hi())));
        guest.silence().await;
        assert_eq!(cluster.push(To::Everyone, NEWS, &"hi".into()).await.unwrap(), sent(3, 0));
        for client in [&mut ann, &mut ben, &mut guest] {
            assert_eq!(client.next().await, Some(hi()));
            client.silence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-B1, conformance 47, 56
async fn due_b1_publishing_to_nobody_counts_nothing_and_breaks_nothing() {
    for place in PLACES {
        let running = world(place).await;
        let cluster = running.cluster();
        let publish = async |name: &str| cluster.push(To::Channel(name), NEWS, &"hi".into()).await.unwrap();
        let mut ann = user(&running, "ann").await;
        for _ in 0..20 {
            assert_eq!(publish("room").await, sent(0, 0));
        }
        for seq in 1..=2 {
            // Twice is once.
            ann.ask(id(JOIN), seq, &json("room")).await;
        }
        let mut ben = guest(&running).await;
        ben.ask(id(JOIN), 3, &json("room")).await;
        assert_eq!(publish("room").await, sent(2, 0));
        assert_eq!((ann.next().await, ben.next().await), (Some(hi()), Some(hi())));
        ann.ask(id(PART), 4, &json("room")).await;
        assert_eq!(publish("room").await, sent(1, 0));
        assert_eq!(ben.next().await, Some(hi()));
        ann.silence().await;
        drop(ben);
        connections(&running, 1).await;
        assert_eq!(publish("room").await, sent(0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-B11
async fn due_b11_channel_names_and_target_lists_of_any_length_arrive_whole() {
    for place in PLACES {
        let running = world(place).await;
        let cluster = running.cluster();
        let mut told = Client::hello(&running, "tcp").await;
        for len in (1..=255).step_by(14).chain([240, 241, 254, 255]) {
            let name = "c".repeat(len);
            told.ask(id(JOIN), 1, &json(&name)).await;
            assert_eq!(cluster.push(To::Channel(&name), NEWS, &"hi".into()).await.unwrap(), sent(1, 0));
            assert_eq!(told.next().await, Some(hi()), "{len}");
            told.ask(id(PART), 2, &json(&name)).await;
        }
        for wrong in [String::new(), "c".repeat(256)] {
            told.data(id(JOIN), 3, &json(&wrong)).await;
            assert_eq!(told.next().await, Some(Got::failure(30, 3, Kind::BadRequest)));
            let refused = cluster.push(To::Channel(&wrong), NEWS, &"hi".into()).await.unwrap_err();
            assert_eq!(refused.kind(), Kind::BadRequest);
        }
        told.ask(id(LOGIN), 4, &json("me")).await;
        for targets in [8_190, 65_537] {
            let mut names: Vec<Uid> = (1..targets).map(|n: i64| n.into()).collect();
            names.push("me".into());
            let counts = cluster.push(To::Users(&names), NEWS, &"hi".into()).await.unwrap();
            assert_eq!(counts, sent(1, targets as usize - 1));
            assert_eq!(told.next().await, Some(hi()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
// due-A5, due-B2, conformance 48
async fn questions_about_users_are_answered_honestly() {
    for place in PLACES {
        let running = world(place).await;
        let cluster = running.cluster();
        let nobody = Uid::from("nobody");
        assert!(!cluster.is_online(&nobody).await.unwrap());
        assert_eq!(cluster.ip(&nobody).await.unwrap_err().kind(), Kind::Offline);
        assert!(!cluster.disconnect(&nobody, false).await.unwrap());
        assert_eq!(cluster.push(To::User(nobody), NEWS, &"hi".into()).await.unwrap(), sent(0, 1));
        for none in [Uid::from(-1_i64), Uid::from(i64::MIN), Uid::from("")] {
            assert!(cluster.is_online(&none).await.map_or_else(|e| e.kind() == Kind::BadRequest, |online| !online));
        }
        let (mut ann, mut ben) = (user(&running, "ann").await, user(&running, "ben").await);
        let _guest = guest(&running).await;
        assert!(cluster.is_online(&"ann".into()).await.unwrap());
        assert!(cluster.ip(&"ann".into()).await.unwrap().is_loopback());
        let stat = cluster.stat().await.unwrap();
        assert_eq!((stat.connections, stat.users), (3, 2));
        assert!(cluster.disconnect(&"ann".into(), false).await.unwrap());
        ann.closed().await;
        assert!(cluster.disconnect(&"ben".into(), true).await.unwrap());
        ben.closed().await;
        connections(&running, 1).await;
        wire::until("nobody is online", || async { cluster.stat().await.unwrap().users == 0 }).await;
        assert!(!cluster.is_online(&"ann".into()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
// P5, conformance 8
async fn a_push_that_a_listener_cannot_carry_is_not_counted_as_sent() {
    const FAR: Push<String> = Push::new(300, "far");
    for place in PLACES {
        let keys = "?route-bytes=1&max-body=1KiB";
        let running = start(place, &[&format!("tcp://127.0.0.1:0{keys}")], wire::routes()).await;
        let narrow = due::protocol::Settings { route_bytes: 1, ..Default::default() };
        let mut client = Client::tcp(&running).await.speaking(due::protocol::Dialect::new(narrow).unwrap());
        client.silence().await;
        let cluster = running.cluster();
        let unfit = cluster.push(To::Everyone, FAR, &"hi".into()).await.unwrap();
        assert_eq!((unfit.queued, unfit.unknown), (0, 1));
        let large = cluster.push(To::Everyone, NEWS, &"x".repeat(1023)).await.unwrap();
        assert_eq!(large.queued, 0, "{large:?}");
        client.silence().await;
        let fits = cluster.push(To::Everyone, NEWS, &"x".repeat(1022)).await.unwrap();
        assert_eq!(fits.queued, 1);
    }
}

/// The text of the next push.
async fn text(client: &mut Client) -> String {
    match client.next().await {
        Some(Got::Data { body, .. }) => String::from_utf8(body).unwrap(),
        other => panic!("no push: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_to_many_channels_arrive_in_order_and_are_counted_one_by_one() {
    for place in PLACES {
        let running = world(place).await;
        let mut clients = Vec::new();
        for n in 0..6 {
            let mut client = if n % 2 == 0 { Client::tcp(&running).await } else { Client::ws(&running).await };
            client.ask(id(JOIN), 1, &json(&format!("room-{}", n % 3))).await;
            clients.push(client);
        }
        // Is in two rooms: gets what is for both in the order of the pushes.
        clients[0].ask(id(JOIN), 2, &json("room-1")).await;
        let mut all = running.cluster().to_channels();
        for n in 0..5 {
            for room in ["room-0", "room-1", "nobody", "room-2"] {
                all.push(room, NEWS, &format!("{room} {n}")).unwrap();
            }
        }
        for wrong in [String::new(), "c".repeat(256)] {
            assert_eq!(all.push(&wrong, NEWS, &"hi".into()).unwrap_err().kind(), Kind::BadRequest);
        }
        assert_eq!((all.len(), all.is_empty()), (20, false));
        let counts: Vec<_> =
            all.send().await.iter().map(|sent| (sent.queued, sent.full + sent.offline + sent.unknown)).collect();
        assert_eq!(counts, [(2, 0), (3, 0), (0, 0), (2, 0)].repeat(5));
        for (at, client) in clients.iter_mut().enumerate() {
            for n in 0..5 {
                let rooms = if at == 0 { vec![0, 1] } else { vec![at % 3] };
                for room in rooms {
                    assert_eq!(text(client).await, format!("\"room-{room} {n}\""), "{at}");
                }
            }
            client.silence().await;
        }
        assert!(running.cluster().to_channels().send().await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_to_channels_that_are_made_at_once_keep_their_order() {
    for place in PLACES {
        let running = world(place).await;
        let mut clients = Vec::new();
        for n in 0..8 {
            let mut client = Client::tcp(&running).await;
            client.ask(id(JOIN), 1, &json(&format!("room-{}", n % 2))).await;
            clients.push(client);
        }
        let cluster = running.cluster();
        let bodies: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        let pushes = bodies.iter().flat_map(|body| {
            ["room-0", "room-1"].map(|room| async move { cluster.push(To::Channel(room), NEWS, body).await })
        });
        let counts = futures_util::future::try_join_all(pushes).await.unwrap();
        assert!(counts.iter().all(|counts| *counts == sent(4, 0)), "{counts:?}");
        for client in &mut clients {
            for body in &bodies {
                assert_eq!(text(client).await, format!("\"{body}\""));
            }
            client.silence().await;
        }
    }
}
