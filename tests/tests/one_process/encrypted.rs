//! Bodies between clients and nodes, encrypted: in our forms and in those of due, on one shard and apart.

use std::sync::Arc;

use crate::wire::{self, Got, PLACES, Place, shards, soon};
use due::{
    Encryptor, Kind,
    app::Running,
    crypto::{
        ecc::{self, DueEccEncryptor, EccEncryptor},
        rsa::{self, DueRsa, DueRsaEncryptor, Padding, RsaEncryptor},
    },
    handler::Raw,
    prelude::*,
};
use due_sdk::{CallError, Client};

const ADD: Call<u32, u32> = Call::new(1, "add");
const LATER: Call<u32, u32> = Call::new(2, "later");
const TELL: Notify<String> = Notify::new(3, "tell");
const FAIL: Call<(), u32> = Call::new(4, "fail");
const BYTES: Call<Bytes, Bytes, Raw> = Call::new(5, "bytes");
const COUNT: Call<u32, u32> = Call::new(6, "count");
const NEWS: Push<String> = Push::new(101, "news");
const CRUDE: Push<Bytes, Raw> = Push::new(102, "crude");
const TAKEN: Code = Code::new(1001, "this name is taken");

struct Counter(u32);

impl Actor for Counter {
    const KIND: &'static str = "counter";
    type Key = u32;
}

impl Counter {
    fn count(&mut self, Msg(n): Msg<u32>) -> u32 {
        self.0 += n;
        self.0
    }
}

async fn tell(me: Session, to: Cluster, Msg(text): Msg<String>) -> Result<(), Fault> {
    me.subscribe("room")?;
    me.push(NEWS, &text)?;
    me.push(CRUDE, &Bytes::from_static(b"as it is"))?;
    to.push(To::Channel("room"), NEWS, &format!("{text} for all")).await?;
    Ok(())
}

async fn later(reply: Reply<u32>, Msg(n): Msg<u32>) -> Later<u32> {
    let (reply, later) = reply.later();
    tokio::spawn(async move { reply.send(Ok(n + 1)) });
    later
}

fn routes() -> Routes {
    Routes::new()
        .route(ADD, |Msg(n): Msg<u32>| n + 1)
        .route(LATER, later)
        .route(TELL, tell)
        .route(FAIL, || -> Result<u32, Fault> { Err(TAKEN.into()) })
        .errors_as(FAIL, |fault| fault.code().number())
        .route(BYTES, |Msg(bytes): Msg<Bytes>| bytes)
        .actor_by(COUNT, |_: &u32| 7, Counter::count)
}

fn node(by: Arc<dyn Encryptor>) -> Node {
    Node::new("game").routes(routes()).actors(|_: u32, _| async { Ok(Counter(0)) }).encryptor(by)
}

async fn server(place: Place, node: Node) -> Running {
    let shards = match place {
        Place::Shared => Shards::Inline,
        Place::Apart => shards(2),
    };
    let gate = Gate::new("gate").listen("tcp://127.0.0.1:0");
    App::new(due::drivers()).shards(shards).with(gate).with(node).start().await.unwrap()
}

type Ends = [Arc<dyn Encryptor>; 2];

/// The server's end and the clients' end: each has its own private key and the other's public one.
fn ecc() -> Ends {
    let (server, client) = (ecc::generate().unwrap(), ecc::generate().unwrap());
    let of = |ours: &ecc::SecretKey, theirs: &ecc::SecretKey| {
        let both = EccEncryptor::new().for_peer(theirs.public_key()).unwrap();
        Arc::new(both.with_private(ours.clone()).unwrap())
    };
    [of(&server, &client), of(&client, &server)]
}

fn forms() -> Vec<(&'static str, Ends)> {
    let (server, client) = (ecc::generate().unwrap(), ecc::generate().unwrap());
    let ecies = |ours: &ecc::SecretKey, theirs: &ecc::SecretKey| -> Arc<dyn Encryptor> {
        Arc::new(DueEccEncryptor::new().for_peer(theirs.public_key()).with_private(ours.clone()))
    };
    let key = |text: &str| rsa::private_key(text).unwrap();
    let one = key(include_str!("../../../crypto/tests/keys/rsa.pem"));
    let two = key(include_str!("../../../crypto/tests/keys/rsa-next.pem"));
    let hybrid = |ours: &rsa::RsaPrivateKey, theirs: &rsa::RsaPrivateKey| -> Arc<dyn Encryptor> {
        let both = RsaEncryptor::new().for_peer(theirs.to_public_key()).unwrap();
        Arc::new(both.with_private(ours.clone()).unwrap())
    };
    let blocks = |ours: &rsa::RsaPrivateKey, theirs: &rsa::RsaPrivateKey| -> Arc<dyn Encryptor> {
        let both = DueRsaEncryptor::new(DueRsa::new(Padding::Strong)).unwrap();
        Arc::new(both.for_peer(theirs.to_public_key()).unwrap().with_private(ours.clone()).unwrap())
    };
    vec![
        ("ecc", ecc()),
        ("rsa", [hybrid(&one, &two), hybrid(&two, &one)]),
        ("due's ecc", [ecies(&server, &client), ecies(&client, &server)]),
        ("due's rsa", [blocks(&one, &two), blocks(&two, &one)]),
    ]
}

async fn client(running: &Running, by: &Arc<dyn Encryptor>) -> Client {
    let url = running.url("gate:tcp").unwrap().to_string();
    Client::builder(&url).encryptor(by.clone()).connect().await.unwrap()
}

/// Everything that has a body, once.
async fn check(form: &str, client: &Client) {
    let (mut news, mut crude) = (client.pushes(NEWS), client.pushes(CRUDE));
    assert_eq!(client.call(ADD, &41).await.unwrap(), 42, "{form}");
    assert_eq!(client.call(LATER, &41).await.unwrap(), 42, "{form}: a late answer");
    assert_eq!(client.call(COUNT, &2).await.unwrap(), 2, "{form}: an actor");
    assert_eq!(client.call(BYTES, &Bytes::from_static(b"abc")).await.unwrap(), b"abc"[..], "{form}: bytes");
    assert!(client.call(FAIL, &()).await.unwrap_err().is(TAKEN), "{form}: an error is readable");
    let long = "x".repeat(5000);
    for text in ["", "hi", &long] {
        client.notify(TELL, &text.to_owned()).unwrap();
        assert_eq!(soon(form, news.next()).await.unwrap().unwrap(), text, "{form}: to the session");
        assert_eq!(
            soon(form, crude.next()).await.unwrap().unwrap(),
            b"as it is"[..],
            "{form}: bytes of the application"
        );
        assert_eq!(soon(form, news.next()).await.unwrap().unwrap(), format!("{text} for all"), "{form}: to a channel");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_and_a_node_understand_each_other_in_every_form() {
    for place in PLACES {
        for (form, [ours, theirs]) in forms() {
            let running = server(place, node(ours)).await;
            check(form, &client(&running, &theirs).await).await;
            running.stop(std::time::Duration::from_secs(5)).await.unwrap();
        }
    }
}

/// The body that an end makes or reads, for a client that does it by hand.
fn sealed(by: &Arc<dyn Encryptor>, route: i32, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    due::core::crypto::seal_body(&**by, due::core::RouteId(route), plain, &mut out).unwrap();
    out
}

fn opened(by: &Arc<dyn Encryptor>, route: i32, sealed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    due::core::crypto::open_body(&**by, due::core::RouteId(route), sealed, &mut out).unwrap();
    out
}

#[tokio::test(flavor = "multi_thread")]
// proves B055
async fn what_is_on_the_wire_is_encrypted_and_heads_and_errors_are_not() {
    for place in PLACES {
        let [ours, theirs] = ecc();
        let running = server(place, node(ours)).await;
        let mut by_hand = wire::Client::hello(&running, "tcp").await;
        let request = sealed(&theirs, 1, b"41");
        let answer = by_hand.ask(1, 7, &request).await;
        assert_eq!((answer.len(), opened(&theirs, 1, &answer)), (2 + 91, b"42".to_vec()));
        by_hand.data(4, 8, b"").await;
        let code = TAKEN.number();
        assert_eq!(by_hand.next().await, Some(Got::Failure { route: 4, seq: 8, code }));
        let mut damaged = request.clone();
        damaged[80] ^= 1;
        for wrong in [b"41".to_vec(), damaged, sealed(&theirs, 2, b"41"), request[..50].to_vec()] {
            by_hand.data(1, 9, &wrong).await;
            assert_eq!(by_hand.next().await, Some(Got::failure(1, 9, Kind::BadRequest)), "{} bytes", wrong.len());
        }
        assert_eq!(opened(&theirs, 1, &by_hand.ask(1, 10, &request).await), b"42", "it goes on");
        // A client without hello gets the answer that stands for the error, and that is encrypted.
        let mut old = wire::Client::tcp(&running).await;
        let answer = old.ask(4, 1, b"").await;
        assert_eq!(opened(&theirs, 4, &answer), b"1001");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_other_keys_or_none_understands_nothing() {
    let [ours, theirs] = ecc();
    let running = server(Place::Apart, node(ours)).await;
    let url = running.url("gate:tcp").unwrap().to_string();
    let plain = Client::connect(&url).await.unwrap();
    assert!(plain.call(ADD, &41).await.unwrap_err().is(Code::BAD_REQUEST));
    let [_, stranger] = ecc();
    let stranger = client(&running, &stranger).await;
    assert!(stranger.call(ADD, &41).await.unwrap_err().is(Code::BAD_REQUEST));
    // It cannot read what is meant for others either.
    let (mut read, mut unread) = (client(&running, &theirs).await.pushes(NEWS), plain.pushes(NEWS));
    running.cluster().push(To::Everyone, NEWS, &"secret".to_owned()).await.unwrap();
    assert_eq!(soon("a push", read.next()).await.unwrap().unwrap(), "secret");
    assert!(soon("a push", unread.next()).await.unwrap().is_err());
    let mut strange = stranger.pushes(NEWS);
    running.cluster().push(To::Everyone, NEWS, &"secret".to_owned()).await.unwrap();
    assert!(soon("a push", strange.next()).await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_clear_is_refused_by_a_client_that_decrypts() {
    const PLAIN: Call<u32, u32> = Call::new(5, "plain");
    let [_, theirs] = ecc();
    let routes = Routes::new().route(BYTES, |_: Msg<Bytes>| Bytes::from_static(b"7"));
    let running = server(Place::Shared, Node::new("game").routes(routes)).await;
    let answer = client(&running, &theirs).await.call(PLAIN, &1).await;
    assert!(matches!(answer, Err(CallError::Codec(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_encryptor_and_two_of_them_are_refused_at_the_start() {
    let key = ecc::generate().unwrap();
    let halves: [(Arc<dyn Encryptor>, &str); 2] = [
        (Arc::new(EccEncryptor::new().for_peer(key.public_key()).unwrap()), "cannot decrypt"),
        (Arc::new(EccEncryptor::new().with_private(key).unwrap()), "cannot encrypt"),
    ];
    for (half, words) in halves {
        let error = App::new(due::drivers()).with(node(half.clone())).start().await.unwrap_err();
        assert_eq!((error.kind(), error.text().contains(words)), (Kind::Config, true), "{error}");
        let error = Client::builder("tcp://127.0.0.1:1").encryptor(half).build().unwrap_err();
        assert_eq!((error.kind(), error.text().contains(words)), (Kind::Config, true), "{error}");
    }
    let [one, other] = ecc();
    for second in [Node::new("b"), Node::new("b").encryptor(other)] {
        let app = App::new(due::drivers()).with(node(one.clone())).with(second);
        let error = app.start().await.unwrap_err();
        assert_eq!((error.kind(), error.text().contains("different encryptors")), (Kind::Config, true), "{error}");
    }
}
