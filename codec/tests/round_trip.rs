//! Whatever is written comes back the same.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use due_codec::{Json, MsgPack, Protobuf};
use due_core::Codec;
use proptest::{collection, option, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
enum Shape {
    Dot,
    Circle(f64),
    Line { from: (f32, f32), to: (f32, f32) },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Player {
    name: String,
    id: i64,
    score: u64,
    position: (f64, f32),
    alive: bool,
    letter: char,
    guild: Option<String>,
    bag: BTreeMap<String, Vec<i32>>,
    shapes: Vec<Shape>,
    nothing: (),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(sint64, tag = "2")]
    id: i64,
    #[prost(double, repeated, tag = "3")]
    position: Vec<f64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    blob: Option<Vec<u8>>,
    #[prost(btree_map = "string, uint64", tag = "5")]
    bag: BTreeMap<String, u64>,
    #[prost(message, repeated, tag = "6")]
    friends: Vec<Record>,
}

/// Floats that JSON can carry: all but NaN and infinity.
fn real() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |f| f.is_finite())
}

fn small() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("finite", |f| f.is_finite())
}

fn text() -> impl Strategy<Value = String> {
    collection::vec(any::<char>(), 0..20).prop_map(String::from_iter)
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Dot),
        real().prop_map(Shape::Circle),
        ((small(), small()), (small(), small())).prop_map(|(from, to)| Shape::Line { from, to }),
    ]
}

fn player() -> impl Strategy<Value = Player> {
    let plain = (text(), any::<i64>(), any::<u64>(), (real(), small()), any::<bool>(), any::<char>());
    let nested = (
        option::of(text()),
        collection::btree_map(text(), collection::vec(any::<i32>(), 0..5), 0..5),
        collection::vec(shape(), 0..5),
    );
    (plain, nested).prop_map(|((name, id, score, position, alive, letter), (guild, bag, shapes))| Player {
        name,
        id,
        score,
        position,
        alive,
        letter,
        guild,
        bag,
        shapes,
        nothing: (),
    })
}

fn record() -> impl Strategy<Value = Record> {
    let leaf = (
        text(),
        any::<i64>(),
        collection::vec(real(), 0..5),
        option::of(collection::vec(any::<u8>(), 0..50)),
        collection::btree_map(text(), any::<u64>(), 0..5),
    )
        .prop_map(|(name, id, position, blob, bag)| Record { name, id, position, blob, bag, friends: Vec::new() });
    leaf.prop_recursive(4, 32, 4, |inner| {
        collection::vec(inner, 0..4).prop_map(|friends| Record { friends, ..Record::default() })
    })
}

fn comes_back<T: PartialEq + std::fmt::Debug, C: Codec<T>>(codec: C, value: &T) {
    let mut bytes = Vec::new();
    codec.encode(value, &mut bytes).unwrap();
    assert_eq!(&codec.decode(&bytes).unwrap(), value);
}

proptest! {
    #[test]
    fn a_serde_value_comes_back_from_json(value in player()) {
        comes_back(Json, &value);
    }

    #[test]
    fn a_serde_value_comes_back_from_msgpack(value in player()) {
        comes_back(MsgPack, &value);
    }

    #[test]
    fn a_message_comes_back_from_protobuf(value in record()) {
        comes_back(Protobuf, &value);
    }

    #[test]
    fn a_list_of_numbers_comes_back_from_all_that_carry_it(value in collection::vec(any::<i64>(), 0..100)) {
        comes_back(Json, &value);
        comes_back(MsgPack, &value);
    }
}
