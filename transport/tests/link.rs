//! Links over real sockets: what every transport does, and what cuts, silence and restarts leave whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod ends;

use std::sync::Arc;

use due_core::{
    Kind, Url,
    transport::{Acceptor, Dialer, Head, Link, LinkState, Part, Refused, Transport},
};
use due_testkit::{
    server::{Direction, Proxy},
    transport::{self, Wire},
};
use due_transport::link::Native;
use ends::{Bench, End, Node, SECRET, SOON, both, dial, gate, head, node, owner, url};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

#[tokio::test]
async fn link_does_what_every_transport_does() {
    let make = || async {
        let url = url("&high-water=1MiB");
        transport::Bench {
            transport: Arc::new(Native::open(&url).unwrap()),
            url: url.only(&[]),
            faults: Some(Arc::new(Wire::new(true))),
        }
    };
    let report = transport::suite(make).await.unwrap();
    assert_eq!(report.skipped, [("a_reset_ends_both_ends", "links come back here")]);
    assert_eq!(report.passed.len() + 1, transport::CASES.len());
}

/// A small generator, so that a run can be played again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Sends both ways over one link that is cut `cuts` times.
async fn play(seed: u64, cuts: u32) {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::new("").await;
    let mut dice = Dice(seed);
    let mut sent = [0, 0];
    for _ in 0..cuts {
        for (end, sent) in [&mut near, &mut far].into_iter().zip(&mut sent) {
            for _ in 0..dice.roll(40) {
                let len = if dice.roll(30) == 0 { dice.roll(200_000) } else { dice.roll(3_000) };
                end.send(*sent, &vec![0; len as usize]);
                *sent += 1;
            }
        }
        // Some of it arrives before the cut: none, all, or so much.
        let seen = near.seqs.len() + far.seqs.len();
        let some = dice.roll((sent[0] + sent[1]) as u64 - seen as u64 + 1) as usize;
        both(&mut near, &mut far, "some frames", |near, far| near.seqs.len() + far.seqs.len() >= seen + some).await;
        proxy.close_all();
    }
    let all = |sent: i32| (0..sent).collect::<Vec<_>>();
    both(&mut near, &mut far, "all frames", |near, far| {
        near.seqs.len() >= sent[1] as usize && far.seqs.len() >= sent[0] as usize
    })
    .await;
    assert!(far.seqs == all(sent[0]) && near.seqs == all(sent[1]), "seed {seed}");
}

/// proves P1
#[tokio::test]
async fn every_frame_arrives_once_and_in_order_over_1000_cut_connections() {
    let runs: Vec<_> = (0..20).map(|seed| tokio::spawn(play(seed, 50))).collect();
    for run in runs {
        run.await.unwrap();
    }
}

#[tokio::test]
async fn a_link_says_whether_it_is_up_and_what_was_written() {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::new("").await;
    near.send(1, b"first");
    assert!(!near.link.is_written(1) && near.link.taken() == 1);
    both(&mut near, &mut far, "a frame", |_, far| far.seqs.len() == 1).await;
    assert!(near.link.is_written(1) && near.link.state() == LinkState::Up);
    proxy.cut();
    both(&mut near, &mut far, "the cut", |near, far| near.is_down() && far.is_down()).await;
    near.send(2, b"second");
    far.send(2, b"second");
    assert!(!near.link.is_written(2) && near.link.taken() == 2);
    proxy.mend();
    both(&mut near, &mut far, "frames", |near, far| far.seqs.len() == 2 && near.seqs.len() == 1).await;
    assert!(near.link.is_written(2));
    assert_eq!((near.link.state(), far.link.state()), (LinkState::Up, LinkState::Up));
}

#[tokio::test]
async fn a_link_that_does_not_come_back_within_its_grace_is_over_on_both_sides() {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::new("&grace=300ms").await;
    near.send(1, b"lost in the end");
    proxy.cut();
    tokio::join!(near.over(), far.over());
    assert_eq!(near.link.send(head(2), Part::Copy(b"")), Err(Refused::Gone));
    assert_eq!(far.link.send(head(2), Part::Copy(b"")), Err(Refused::Gone));
}

#[tokio::test]
async fn another_life_of_the_instance_ends_the_link() {
    let Bench { node: before, proxy, mut near, mut far } = Bench::new("").await;
    both(&mut near, &mut far, "the link", |near, _| near.link.state() == LinkState::Up).await;
    proxy.cut();
    near.until("the cut", End::is_down).await;
    let address = before.listening.url.clone();
    drop(before);
    let _after = restarted(&address).await;
    proxy.mend();
    near.over().await;
}

/// Listens at the address of a node that is gone, as another life of it.
async fn restarted(address: &Url) -> Node {
    let open = url("");
    let (host, own) = (open.with_host(address.host()), owner("node-1", 10));
    for _ in 0..1000 {
        // The old socket closes when its task is dropped.
        if tokio::net::TcpListener::bind(address.host()).await.is_ok() {
            return Node::at(&host, own).await;
        }
        tokio::task::yield_now().await;
    }
    panic!("{address} stays in use")
}

#[tokio::test]
async fn a_session_that_its_acceptor_has_left_is_over() {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::new("").await;
    both(&mut near, &mut far, "the link", |near, _| near.link.state() == LinkState::Up).await;
    proxy.cut();
    both(&mut near, &mut far, "the cut", |near, far| near.is_down() && far.is_down()).await;
    drop(far);
    proxy.mend();
    near.over().await;
}

/// Waits until the ends know of a cut that no socket tells.
async fn both_notice(near: &mut End, far: &mut End) {
    let (mut near_saw, mut far_saw) = (false, false);
    both(near, far, "the cut is noticed", |near, far| {
        near_saw |= near.is_down();
        far_saw |= far.is_down();
        near_saw && far_saw
    })
    .await;
}

/// proves P9
#[tokio::test]
async fn a_silent_network_is_noticed_by_both_and_healed_without_a_loss() {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::new("").await;
    proxy.swallow(Direction::ToServer);
    proxy.swallow(Direction::ToClient);
    (0..10).for_each(|n| near.send(n, b"swallowed"));
    both_notice(&mut near, &mut far).await;
    proxy.mend();
    both(&mut near, &mut far, "frames", |_, far| far.seqs.len() >= 10).await;
    assert_eq!(far.seqs, (0..10).collect::<Vec<_>>());
}

/// proves P9
#[tokio::test]
async fn a_cut_of_one_direction_is_noticed_by_both() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let Bench { node: _node, proxy, mut near, mut far } = Bench::new("").await;
        proxy.swallow(direction);
        both_notice(&mut near, &mut far).await;
    }
}

#[tokio::test]
async fn a_woken_end_hands_nothing_out_before_its_peer_has_answered() {
    let Bench { node: _node, proxy: _proxy, mut near, mut far } = Bench::new("").await;
    both(&mut near, &mut far, "the link", |near, _| near.link.state() == LinkState::Up).await;
    near.send(1, b"old");
    let flushed = std::future::poll_fn(|cx| near.link.poll_flush(cx));
    timeout(ends::SOON, flushed).await.unwrap().unwrap();
    far.link.suspect();
    let held = timeout(std::time::Duration::from_millis(200), far.received(1));
    assert!(held.await.is_err() && far.seqs.is_empty(), "the peer has answered nothing");
    both(&mut near, &mut far, "the frame", |_, far| far.seqs == [1]).await;
}

/// proves P8
#[tokio::test]
async fn what_a_woken_end_had_read_is_dropped_when_its_peer_is_gone() {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::new("&grace=300ms").await;
    both(&mut near, &mut far, "the link", |near, _| near.link.state() == LinkState::Up).await;
    near.send(1, b"old");
    let flushed = std::future::poll_fn(|cx| near.link.poll_flush(cx));
    timeout(ends::SOON, flushed).await.unwrap().unwrap();
    far.link.suspect();
    proxy.cut();
    far.over().await;
    assert!(far.seqs.is_empty(), "{:?}", far.seqs);
}

#[tokio::test]
async fn a_frame_that_waited_for_the_link_arrives_with_the_time_that_is_left() {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::new("").await;
    both(&mut near, &mut far, "the link", |near, _| near.link.state() == LinkState::Up).await;
    for (seq, ttl_ms) in [(1, 60_000), (2, 1), (3, 0)] {
        near.link.send(Head { ttl_ms, ..head(seq) }, Part::Copy(b"")).unwrap();
    }
    proxy.close_all();
    both(&mut near, &mut far, "frames", |_, far| far.seqs.len() == 3).await;
    let left: Vec<_> = (0..3).map(|i| far.batch.get(i).unwrap().0.ttl_ms).collect();
    assert!((1..=60_000).contains(&left[0]), "{left:?}");
    assert_eq!(left[1..], [Head::EXPIRED, 0]);
}

#[tokio::test]
async fn secrets_and_namespaces_part_clusters_and_a_change_of_secret_does_not() {
    let other = "fedcba9876543210fedcba9876543210";
    let mut there = Node::at(&url(&format!(",{other}&namespace=games")), node()).await;
    let address = there.listening.url.clone();
    let connect = |query: String| {
        let address = address.clone();
        async move {
            let open = Url::parse(&format!("link://{query}")).unwrap();
            Native::open(&open).unwrap().connect(&address, gate(), &node()).await
        }
    };
    for good in [format!("?secret={SECRET}&namespace=games"), format!("?secret={other},{SECRET}&namespace=games")] {
        let _near = connect(good).await.unwrap();
        there.next().await;
    }
    for bad in [
        format!("?secret={SECRET}"),
        format!("?secret={SECRET}x&namespace=games"),
        "?namespace=games".to_owned(),
        String::new(),
    ] {
        let error = connect(bad).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("`secret`") && !error.to_string().contains(SECRET), "{error}");
    }
    assert!(there.accepted.try_recv().is_err());
}

struct Nobody;

impl Acceptor for Nobody {
    fn accept(&self, _: Dialer, _: Box<dyn Link>) {}
}

#[tokio::test]
async fn without_a_secret_links_stay_on_loopback() {
    let open = |text: &str| (Native::open(&Url::parse(text).unwrap()).unwrap(), Url::parse(text).unwrap());
    let (bare, all) = open("link://0.0.0.0:0");
    let refused = bare.listen(&all, node(), Arc::new(Nobody)).await.err().unwrap();
    assert!(refused.kind() == Kind::Config && refused.to_string().contains("`secret=`"), "{refused}");
    // An address for documentation: nothing is sent there.
    let (_, far) = open("link://192.0.2.1:7000");
    let refused = bare.connect(&far, gate(), &node()).await.err().unwrap();
    assert!(refused.kind() == Kind::Config && refused.to_string().contains("`secret=`"), "{refused}");
    let (secured, everywhere) = open(&format!("link://0.0.0.0:0?secret={SECRET}&advertise=localhost"));
    let listening = secured.listen(&everywhere, node(), Arc::new(Nobody)).await.unwrap();
    assert!(listening.url.to_string().starts_with("link://localhost:"), "{}", listening.url);
}

#[tokio::test]
async fn a_wrong_url_is_a_setting_to_change() {
    let bare = Native::open(&Url::parse("link://").unwrap()).unwrap();
    for wrong in ["link://127.0.0.1:0/path", "link://127.0.0.1:0?ttl=1s", "link://a:1,b:2", "link://127.0.0.1"] {
        let refused = bare.listen(&Url::parse(wrong).unwrap(), node(), Arc::new(Nobody)).await;
        assert_eq!(refused.err().map(|e| e.kind()), Some(Kind::Config), "{wrong}");
    }
}

#[tokio::test]
async fn two_links_of_one_shard_come_back_each_to_its_own_session() {
    let mut there = Node::at(&url(""), node()).await;
    let proxy = Proxy::to(there.address()).await;
    let (mut one, mut other) = (dial("", proxy.address()).await.unwrap(), dial("", proxy.address()).await.unwrap());
    let (mut first, mut second) = (there.next().await, there.next().await);
    both(&mut one, &mut first, "the link", |near, _| near.link.state() == LinkState::Up).await;
    one.send(1, b"");
    other.send(2, b"");
    proxy.close_all();
    let seen = async {
        both(&mut one, &mut first, "one", |_, far| !far.seqs.is_empty()).await;
        both(&mut other, &mut second, "the other", |_, far| !far.seqs.is_empty()).await;
    };
    seen.await;
    assert_eq!([first.seqs, second.seqs], [[1], [2]]);
}

/// The first message of a member that dials `node-1`, heard by somebody else.
async fn overheard() -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let dialing = tokio::spawn(async move { dial("", &address).await.map(drop) });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut greeting = vec![0; 4];
    stream.read_exact(&mut greeting).await.unwrap();
    let length = u32::from_be_bytes(greeting[..].try_into().unwrap()) as usize;
    greeting.resize(4 + length, 0);
    stream.read_exact(&mut greeting[4..]).await.unwrap();
    dialing.abort();
    greeting
}

/// Sends `greeting` and then a unit of this kind; gives what was said before the connection was closed.
async fn probe(address: &str, greeting: &[u8], kind: u8) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut said = Vec::new();
    let unit = [&[0, 0, 0, 10, kind, 0][..], &[1; 8]].concat();
    let _ = stream.write_all(&[greeting, &unit].concat()).await;
    let _ = timeout(SOON, stream.read_to_end(&mut said)).await.unwrap();
    said
}

#[tokio::test]
// Every opcode, before anything is proved and with a member's greeting said again.
async fn a_stranger_moves_nothing_with_any_opcode() {
    let mut there = Node::at(&url(""), node()).await;
    let greeting = overheard().await;
    for kind in 0..=u8::MAX {
        assert_eq!(probe(&there.address(), b"", kind).await, b"", "opcode {kind}");
        // The challenge is all it hears.
        let said = probe(&there.address(), &greeting, kind).await;
        let length = said.get(..4).map(|l| u32::from_be_bytes(l.try_into().unwrap()) as usize);
        assert_eq!(length.map(|l| l + 4), Some(said.len()), "opcode {kind}: {said:?}");
    }
    let mut near = dial("", &there.address()).await.unwrap();
    let mut far = there.next().await;
    near.send(1, b"a member");
    both(&mut near, &mut far, "a frame", |_, far| far.seqs == [1]).await;
    assert!(there.accepted.try_recv().is_err(), "nobody but the member was let in");
}
