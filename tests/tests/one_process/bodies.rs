//! Bodies that decode into nothing: each codec answers `BadRequest`, or takes what is merely odd; the process lives.

use std::collections::BTreeMap;

use crate::wire::{Client, Got, PLACES, alive, routes, start};
use due::{Kind, app::Running, prelude::*, protocol};
use prost::Message;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Point {
    x: f64,
    y: i32,
}

/// A tree in protobuf.
#[derive(Clone, PartialEq, Message)]
struct Tree {
    #[prost(message, optional, boxed, tag = "1")]
    child: Option<Box<Tree>>,
    #[prost(message, repeated, tag = "2")]
    leaves: Vec<Tree>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(uint64, repeated, tag = "4")]
    numbers: Vec<u64>,
}

/// A tree in the formats of serde.
#[derive(Serialize, Deserialize)]
struct Nest(Vec<Nest>);

const JSON_POINT: Call<Point, ()> = Call::new(30, "json.point");
const JSON_NEST: Call<Nest, ()> = Call::new(31, "json.nest");
const JSON_TEXT: Call<String, ()> = Call::new(32, "json.text");
const PACK_NEST: Call<Nest, (), MsgPack> = Call::new(33, "pack.nest");
const PACK_BYTES: Call<Vec<u8>, (), MsgPack> = Call::new(34, "pack.bytes");
const PACK_MAP: Call<BTreeMap<String, i64>, (), MsgPack> = Call::new(35, "pack.map");
const PROTO: Call<Tree, (), Protobuf> = Call::new(36, "proto");
const ANY: Call<serde_json::Value, ()> = Call::new(37, "json.any");

fn all() -> Routes {
    routes()
        .route(JSON_POINT, |_: Msg<Point>| {})
        .route(JSON_NEST, |_: Msg<Nest>| {})
        .route(JSON_TEXT, |_: Msg<String>| {})
        .route(PACK_NEST, |_: Msg<Nest>| {})
        .route(PACK_BYTES, |_: Msg<Vec<u8>>| {})
        .route(PACK_MAP, |_: Msg<BTreeMap<String, i64>>| {})
        .route(PROTO, |_: Msg<Tree>| {})
        .route(ANY, |_: Msg<serde_json::Value>| {})
}

/// How a body may be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Refused,
    /// Odd, but no harm: refused or taken.
    Either,
}

async fn check(running: &Running, route: due::core::RouteDef, bodies: Vec<(&str, Vec<u8>, Want)>) {
    let wide = protocol::Dialect::new(protocol::Settings { max_body: 4 << 20, ..Default::default() }).unwrap();
    let mut told = Client::hello(running, "tcp").await.speaking(wide);
    for (seq, (what, body, want)) in (1..).zip(bodies) {
        told.data(route.id.0, seq, &body).await;
        let refused = Got::failure(route.id.0, seq as u32, Kind::BadRequest);
        let got = told.next().await;
        let taken = want == Want::Either && got == Some(Got::data(route.id.0, seq, b""));
        assert!(got == Some(refused) || taken, "{} {what}: {got:?}", route.name);
        told.silence().await;
        if want == Want::Refused {
            let mut old = Client::tcp(running).await.speaking(wide);
            old.data(route.id.0, seq, &body).await;
            old.closed().await;
        }
    }
}

fn nested(open: &str, depth: usize, close: &str) -> Vec<u8> {
    format!("{}{}", open.repeat(depth), close.repeat(depth)).into_bytes()
}

use Want::{Either, Refused};

#[tokio::test(flavor = "multi_thread")]
// B073, B074, B075, B076, B077, B078
async fn json_that_is_none_or_too_deep_is_a_bad_request() {
    for place in PLACES {
        let running = start(place, &["tcp://127.0.0.1:0?max-body=1MiB"], all()).await;
        let deep = [129, 100_000].map(|depth| ("too deep", nested("[", depth, "]"), Refused));
        check(&running, JSON_NEST.def(), deep.into()).await;
        let any = [129, 100_000].map(|depth| ("too deep", nested("{\"a\":[", depth, "]}"), Refused));
        check(&running, ANY.def(), any.into()).await;
        check(
            &running,
            JSON_POINT.def(),
            vec![
                ("nothing", b"".to_vec(), Refused),
                ("out of range", br#"{"x":1e400,"y":1}"#.to_vec(), Refused),
                ("not a number", br#"{"x":NaN,"y":1}"#.to_vec(), Refused),
                ("a key twice", br#"{"x":1,"x":2,"y":1}"#.to_vec(), Refused),
                ("too large", br#"{"x":1,"y":2147483648}"#.to_vec(), Refused),
                ("more behind it", br#"{"x":1,"y":1}}"#.to_vec(), Refused),
                ("cut", br#"{"x":1,"y":"#.to_vec(), Refused),
            ],
        )
        .await;
        check(
            &running,
            JSON_TEXT.def(),
            vec![
                ("a lone surrogate", br#""\ud800""#.to_vec(), Refused),
                ("not UTF-8", b"\"\xff\xfe\"".to_vec(), Refused),
                ("a string that never ends", [b"\"".as_slice(), &vec![b'x'; 1 << 19]].concat(), Refused),
            ],
        )
        .await;
        // A body of 10 MB does not even get in.
        let mut client = Client::hello(&running, "tcp").await;
        client.raw(&[&(10_u32 << 20).to_be_bytes()[..], &[0, 0, 32, 0, 1], &vec![b'x'; 4096]].concat()).await;
        assert_eq!(client.next().await, Some(Got::kick(Kind::TooLarge)));
        alive(&running).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
// B079, B080, B081, B082
async fn msgpack_that_lies_about_its_lengths_is_a_bad_request() {
    for place in PLACES {
        let running = start(place, &["tcp://127.0.0.1:0?max-body=1MiB"], all()).await;
        check(
            &running,
            PACK_NEST.def(),
            vec![
                ("nothing", b"".to_vec(), Refused),
                ("an array of 2^32-1", b"\xdd\xff\xff\xff\xff".to_vec(), Refused),
                ("1,025 deep", [&[0x91; 1025][..], &[0x90]].concat(), Refused),
                ("100,000 deep", [0x91; 100_000].to_vec(), Refused),
                ("an ext type", b"\xd4\x05\x00".to_vec(), Refused),
                ("a long ext type", b"\xc9\xff\xff\xff\xff\x05".to_vec(), Refused),
                ("a byte that is never used", b"\xc1".to_vec(), Refused),
            ],
        )
        .await;
        check(
            &running,
            PACK_BYTES.def(),
            vec![
                ("4 GiB of bytes", b"\xc6\xff\xff\xff\xff".to_vec(), Refused),
                ("4 GiB of text", b"\xdb\xff\xff\xff\xff".to_vec(), Refused),
                ("an array of 2^32-1", b"\xdd\xff\xff\xff\xff\x01".to_vec(), Refused),
            ],
        )
        .await;
        let map = vec![("a map of 2^32-1", b"\xdf\xff\xff\xff\xff\xa1a\x01".to_vec(), Refused)];
        check(&running, PACK_MAP.def(), map).await;
        alive(&running).await;
    }
}

/// A length and its bytes behind a tag of protobuf.
fn field(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    out.extend(body);
    out
}

#[tokio::test(flavor = "multi_thread")]
// B083, B084, B085, B086, B087, B088
async fn protobuf_that_is_none_or_too_deep_is_a_bad_request() {
    for place in PLACES {
        let running = start(place, &["tcp://127.0.0.1:0?max-body=2MiB"], all()).await;
        let deep = |depth: usize| (0..depth).fold(Vec::new(), |inner, _| field(1, &inner));
        let unknown = field(15, &vec![7; 1 << 20]);
        check(
            &running,
            PROTO.def(),
            vec![
                ("101 deep", deep(102), Refused),
                ("10,000 groups", [vec![0x7b; 10_000], vec![0x7c; 10_000]].concat(), Refused),
                ("a group that never ends", vec![0x7b; 10], Refused),
                ("unknown fields of 1 MB", unknown, Either),
                ("50,000 empty messages", field(2, &[]).repeat(50_000), Either),
                (
                    "the largest numbers",
                    field(4, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1].repeat(5000)),
                    Either,
                ),
                ("a number of 11 bytes", field(4, &[0xff; 11]), Refused),
                ("not UTF-8", field(3, b"\xff\xfe"), Refused),
                ("a length over the end", vec![0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f], Refused),
                ("field 0", vec![0x00], Refused),
                ("nothing", Vec::new(), Either),
            ],
        )
        .await;
        alive(&running).await;
    }
}
