use std::collections::BTreeMap;

use prost::{Message, Oneof};

use super::promise::keeps;
use crate::Protobuf;

/// Any bytes as a Protocol Buffers body.
pub fn protobuf(bytes: &[u8]) {
    keeps::<Tree, _>(Protobuf, bytes);
}

/// A message with every wire type, packed and not, and room for any depth.
#[derive(PartialEq, Message)]
struct Tree {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(sint64, tag = "2")]
    whole: i64,
    #[prost(double, tag = "3")]
    real: f64,
    #[prost(fixed32, tag = "4")]
    fixed: u32,
    #[prost(bytes = "vec", tag = "5")]
    blob: Vec<u8>,
    #[prost(string, optional, tag = "6")]
    maybe: Option<String>,
    #[prost(uint64, repeated, tag = "7")]
    packed: Vec<u64>,
    #[prost(int32, repeated, packed = "false", tag = "8")]
    loose: Vec<i32>,
    #[prost(btree_map = "string, message", tag = "9")]
    table: BTreeMap<String, Tree>,
    #[prost(message, repeated, tag = "10")]
    branches: Vec<Tree>,
    #[prost(message, optional, boxed, tag = "11")]
    next: Option<Box<Tree>>,
    #[prost(oneof = "Kind", tags = "12, 13")]
    kind: Option<Kind>,
}

#[derive(PartialEq, Oneof)]
enum Kind {
    #[prost(bool, tag = "12")]
    Flag(bool),
    #[prost(float, tag = "13")]
    Number(f32),
}
