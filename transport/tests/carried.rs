//! Links in calls of grpc and tarpc: what every transport does, and what cuts, silence and strangers leave whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod ends;

use due_core::{
    Kind, Url,
    transport::{LinkState, Part, Refused},
};
use due_testkit::{
    server::{Direction, Proxy},
    transport::{self, Wire},
};
use ends::{Bench, End, Node, SECRET, both, dial_with, gate, head, node, open, owner, url_of};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const SCHEMES: [&str; 2] = ["grpc", "tarpc"];

async fn passes_the_suite(scheme: &str) {
    let make = || async {
        let url = url_of(scheme, "&high-water=1MiB");
        transport::Bench { transport: open(&url).await, url: url.only(&[]), faults: Some(Arc::new(Wire::new(true))) }
    };
    let report = transport::suite(make).await.unwrap();
    assert_eq!(report.skipped, [("a_reset_ends_both_ends", "links come back here")]);
    assert_eq!(report.passed.len() + 1, transport::CASES.len());
}

#[tokio::test]
async fn grpc_does_what_every_transport_does() {
    passes_the_suite("grpc").await;
}

#[tokio::test]
async fn tarpc_does_what_every_transport_does() {
    passes_the_suite("tarpc").await;
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
async fn play(scheme: &'static str, seed: u64, cuts: u32) {
    let Bench { node: _node, proxy, mut near, mut far } = Bench::over(&url_of(scheme, "")).await;
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
    assert!(far.seqs == all(sent[0]) && near.seqs == all(sent[1]), "{scheme}, seed {seed}");
}

/// proves P1
#[tokio::test]
async fn every_frame_arrives_once_and_in_order_over_cut_connections() {
    let runs: Vec<_> =
        SCHEMES.iter().flat_map(|scheme| (0..10).map(move |seed| tokio::spawn(play(scheme, seed, 20)))).collect();
    for run in runs {
        run.await.unwrap();
    }
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

async fn notices_silence(scheme: &str) {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let Bench { node: _node, proxy, mut near, mut far } = Bench::over(&url_of(scheme, "")).await;
        proxy.swallow(direction);
        (0..10).for_each(|n| near.send(n, b"swallowed or not"));
        both_notice(&mut near, &mut far).await;
        proxy.mend();
        both(&mut near, &mut far, "frames", |_, far| far.seqs.len() >= 10).await;
        assert_eq!(far.seqs, (0..10).collect::<Vec<_>>(), "{scheme}");
    }
}

/// proves P9
#[tokio::test]
async fn a_cut_of_one_direction_is_noticed_by_both_and_healed_without_a_loss() {
    tokio::join!(notices_silence("grpc"), notices_silence("tarpc"));
}

#[tokio::test]
async fn a_link_that_does_not_come_back_within_its_grace_is_over_on_both_sides() {
    for scheme in SCHEMES {
        let Bench { node: _node, proxy, mut near, mut far } = Bench::over(&url_of(scheme, "&grace=300ms")).await;
        near.send(1, b"lost in the end");
        proxy.cut();
        tokio::join!(near.over(), far.over());
        assert_eq!(near.link.send(head(2), Part::Copy(b"")), Err(Refused::Gone), "{scheme}");
        assert_eq!(far.link.send(head(2), Part::Copy(b"")), Err(Refused::Gone), "{scheme}");
    }
}

#[tokio::test]
async fn links_of_one_shard_come_back_each_to_its_own_session() {
    for scheme in SCHEMES {
        let url = url_of(scheme, "");
        let mut there = Node::at(&url, node()).await;
        let proxy = Proxy::to(there.address()).await;
        let mut one = dial_with(&url, proxy.address()).await.unwrap();
        let mut first = there.next().await;
        let mut other = dial_with(&url, proxy.address()).await.unwrap();
        let mut second = there.next().await;
        both(&mut one, &mut first, "the link", |near, _| near.link.state() == LinkState::Up).await;
        one.send(1, b"");
        other.send(2, b"");
        proxy.close_all();
        both(&mut one, &mut first, "one", |_, far| !far.seqs.is_empty()).await;
        both(&mut other, &mut second, "the other", |_, far| !far.seqs.is_empty()).await;
        assert_eq!([first.seqs, second.seqs], [[1], [2]], "{scheme}");
    }
}

#[tokio::test]
async fn a_secret_parts_clusters() {
    for scheme in SCHEMES {
        let mut there = Node::at(&url_of(scheme, ""), node()).await;
        for bad in [format!("?secret={SECRET}x"), format!("?secret={SECRET}&namespace=games"), String::new()] {
            let url = Url::parse(&format!("{scheme}://127.0.0.1:0{bad}")).unwrap();
            let error = dial_with(&url, &there.address()).await.err().unwrap();
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.to_string().contains("`secret`") && !error.to_string().contains(SECRET), "{error}");
        }
        assert!(there.accepted.try_recv().is_err());
        let _near = dial_with(&url_of(scheme, ""), &there.address()).await.unwrap();
        there.next().await;
        let other = open(&url_of(scheme, "")).await.connect(&there.listening.url, gate(), &owner("node-1", 10)).await;
        let other = other.err().unwrap();
        assert!(other.kind() == Kind::Unavailable && other.to_string().contains("somebody else"), "{other}");
    }
}

#[tokio::test]
async fn without_a_secret_links_stay_on_loopback() {
    for scheme in SCHEMES {
        let parse = |text: &str| Url::parse(&format!("{scheme}://{text}")).unwrap();
        let bare = open(&parse("127.0.0.1:0")).await;
        // An address for documentation: nothing is sent there.
        let refused = bare.connect(&parse("192.0.2.1:7000"), gate(), &node()).await.err().unwrap();
        assert!(refused.kind() == Kind::Config && refused.to_string().contains("`secret=`"), "{refused}");
    }
}

/// proves B125: what anybody may send to the port, and then nothing.
const NOISE: [&[u8]; 4] = [
    b"",
    b"GET / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
];

/// Sends and waits until the server has closed; what it says meanwhile is only what HTTP/2 says to everybody.
async fn stranger(address: String, noise: &'static [u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(noise).await;
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert!(said.len() < 512, "{said:?}");
}

#[tokio::test]
async fn strangers_are_closed_and_keep_no_member_out() {
    for scheme in SCHEMES {
        let mut there = Node::at(&url_of(scheme, ""), node()).await;
        let strangers: Vec<_> = (0..200)
            .map(|n| tokio::spawn(stranger(there.address(), NOISE.get(n % NOISE.len()).copied().unwrap_or_default())))
            .collect();
        let near = loop {
            // A member that came among strangers may have to come again.
            if let Ok(near) = dial_with(&url_of(scheme, ""), &there.address()).await {
                break near;
            }
        };
        let (mut near, mut far) = (near, there.next().await);
        near.send(1, b"a member");
        both(&mut near, &mut far, "a frame", |_, far| far.seqs == [1]).await;
        for stranger in strangers {
            tokio::time::timeout(ends::SOON, stranger).await.unwrap().unwrap();
        }
        assert!(there.accepted.try_recv().is_err(), "{scheme}");
    }
}
