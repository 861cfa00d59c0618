//! What the MessagePack codec does with bodies that nobody should send.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use due_codec::MsgPack;
use due_core::{Codec, CodecError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Say {
    text: String,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Nest(Vec<Nest>);

fn decode<T: Serialize + DeserializeOwned + 'static>(body: impl AsRef<[u8]>) -> Result<T, CodecError> {
    MsgPack.decode(body.as_ref())
}

fn encode<T: Serialize + DeserializeOwned + 'static>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    MsgPack.encode(value, &mut out).unwrap();
    out
}

/// Lists of one list each, the innermost empty: `depth` of them hold something.
fn lists(depth: usize) -> Vec<u8> {
    [vec![0x91; depth], vec![0x90]].concat()
}

#[track_caller]
fn refused<T: Serialize + DeserializeOwned + std::fmt::Debug + 'static>(body: impl AsRef<[u8]>, why: &str) {
    let text = decode::<T>(body).unwrap_err().to_string();
    assert!(text.contains(why), "{text}");
    assert!(text.len() < 300, "{} bytes of error", text.len());
}

#[test]
fn structs_are_maps_by_field_name() {
    assert_eq!(encode(&Say { text: "hi".into() }), b"\x81\xa4text\xa2hi");
    assert_eq!(decode::<Say>(b"\x82\xa1a\x93\x01\x02\x03\xa4text\xa2hi").unwrap().text, "hi");
}

#[test] // B078
fn a_string_of_ten_megabytes_is_a_string() {
    let text = "x".repeat(10_000_000);
    let body = encode(&Say { text });
    assert_eq!(decode::<Say>(&body).unwrap().text.len(), 10_000_000);
    refused::<u32>(encode(&"x".repeat(10_000_000)), "marker Str32");
}

#[test] // B079
fn a_list_that_claims_four_billion_is_refused_before_anything_is_built() {
    for header in [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdd\x00\x01\x00\x00"] {
        refused::<Vec<u64>>(header, "ends within");
        refused::<BTreeMap<u64, u64>>(header, "ends within");
        refused::<Nest>(header, "ends within");
        refused::<Nest>(header.repeat(60), "ends within");
        refused::<Say>([b"\x81\xa1a", &header[..]].concat(), "ends within");
    }
    refused::<Vec<u64>>(b"\xdc\xff\xff", "ends within");
    refused::<Vec<u64>>(b"\x92\x01", "ends within");
}

#[test] // B080
fn bytes_and_text_that_claim_four_gibibytes_are_refused() {
    refused::<String>(b"\xc6\xff\xff\xff\xff", "ends within");
    refused::<String>(b"\xdb\xff\xff\xff\xff", "ends within");
    refused::<Say>(b"\x81\xa4text\xdb\xff\xff\xff\xffabc", "ends within");
}

#[test] // B081
fn nesting_of_64_is_read_and_more_refused() {
    decode::<Nest>(lists(64)).unwrap();
    refused::<Nest>(lists(65), "inside each other");
    refused::<Nest>(lists(1_025), "inside each other");
    refused::<Nest>(lists(100_000), "inside each other");
    refused::<Nest>(b"\xdd\x00\x00\x00\x01".repeat(100_000), "inside each other");
}

#[test] // B081
fn nesting_in_a_skipped_field_counts_too() {
    let with = |depth| [b"\x82\xa1a".to_vec(), lists(depth), b"\xa4text\xa2hi".to_vec()].concat();
    assert_eq!(decode::<Say>(with(63)).unwrap().text, "hi");
    refused::<Say>(with(64), "inside each other");
    refused::<Say>(with(100_000), "inside each other");
}

#[test] // B082
fn ext_types_are_refused_wherever_they_stand() {
    let exts: [&[u8]; 8] = [
        b"\xd4\x01\x00",
        b"\xd5\x01\x00\x00",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\xd7\x01",
        b"\xd8\x01",
        b"\xc7\x01\x01\x00",
        b"\xc8\x00\x01\x01\x00",
        b"\xc9\xff\xff\xff\xff\x01",
    ];
    for ext in exts {
        refused::<Vec<u8>>(ext, "ext types");
        refused::<Say>([b"\x82\xa1a", ext, b"\xa4text\xa2hi"].concat(), "ext types");
    }
}

#[test] // B088
fn text_that_is_not_utf8_is_refused() {
    refused::<String>(b"\xa2\xff\xfe", "");
    refused::<Say>(b"\x81\xa4text\xa3\xed\xa0\x80", "");
}

#[test] // B076
fn duplicate_keys_are_refused_by_structs_and_the_last_counts_in_maps() {
    refused::<Say>(b"\x82\xa4text\xa1a\xa4text\xa1b", "duplicate field");
    let map: BTreeMap<String, u8> = decode(b"\x82\xa1a\x01\xa1a\x02").unwrap();
    assert_eq!(map, BTreeMap::from([("a".into(), 2)]));
}

#[test]
fn bytes_after_the_value_nothing_and_the_unused_marker_are_refused() {
    refused::<u8>(b"\x01\x02", "bytes follow");
    refused::<u8>(b"", "ends within");
    refused::<Vec<u8>>(b"\x91\xc1", "0xc1");
}

#[test]
fn a_body_of_another_shape_is_refused() {
    refused::<u8>(b"\xcd\x01\x00", "");
    refused::<Say>(b"\x80", "missing field");
    refused::<Say>(b"\x81\xa4text\x07", "");
}

#[test]
fn unit_is_zero_bytes_and_reads_any_body() {
    assert_eq!(encode(&()), b"");
    for body in [&b""[..], b"\xc0", b"\xc1", b"\x93"] {
        decode::<()>(body).unwrap();
    }
    assert_eq!(encode(&None::<u8>), b"\xc0", "only () itself is empty");
}

#[test]
fn encoding_appends() {
    let mut out = b"head ".to_vec();
    MsgPack.encode(&7u8, &mut out).unwrap();
    assert_eq!(out, b"head \x07");
}
