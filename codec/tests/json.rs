//! What the JSON codec does with bodies that nobody should send.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use due_codec::Json;
use due_core::{Codec, CodecError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Say {
    text: String,
}

fn decode<T: Serialize + DeserializeOwned + 'static>(body: impl AsRef<[u8]>) -> Result<T, CodecError> {
    Json.decode(body.as_ref())
}

fn encode<T: Serialize + DeserializeOwned + 'static>(value: &T) -> String {
    let mut out = Vec::new();
    Json.encode(value, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn lists(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[track_caller]
fn refused<T: Serialize + DeserializeOwned + std::fmt::Debug + 'static>(body: impl AsRef<[u8]>, why: &str) {
    let text = decode::<T>(body).unwrap_err().to_string();
    assert!(text.contains(why), "{text}");
    assert!(text.len() < 300, "{} bytes of error", text.len());
}

#[test] // B073
fn nesting_of_127_is_read_and_129_refused() {
    decode::<serde_json::Value>(lists(127)).unwrap();
    refused::<serde_json::Value>(lists(128), "inside each other");
    refused::<serde_json::Value>(lists(129), "inside each other");
}

#[test] // B073
fn nesting_in_a_skipped_field_counts_too() {
    let with = |depth| format!(r#"{{"text":"hi","more":{}}}"#, lists(depth));
    assert_eq!(decode::<Say>(with(126)).unwrap().text, "hi");
    refused::<Say>(with(128), "inside each other");
}

#[test] // B074
fn nesting_of_100000_is_refused_without_a_deep_stack() {
    refused::<serde_json::Value>(lists(100_000), "inside each other");
    refused::<serde_json::Value>("[".repeat(100_000), "inside each other");
    refused::<serde_json::Value>("{\"a\":".repeat(100_000), "inside each other");
    refused::<Say>(format!(r#"{{"more":{}}}"#, lists(100_000)), "inside each other");
}

#[test] // B075
fn numbers_beyond_their_type_and_nan_are_refused() {
    refused::<f64>("1e400", "out of range");
    refused::<f64>("-1e400", "out of range");
    refused::<serde_json::Value>("[1e400]", "out of range");
    for word in ["NaN", "nan", "Infinity", "-Infinity", "+1", "01", "1.", ".5", "0x10", "--1"] {
        refused::<f64>(word, "");
    }
    refused::<u8>("256", "256");
    refused::<u32>("-1", "-1");
    refused::<i64>("9223372036854775808", "9223372036854775808");
    refused::<i64>("1.0", "floating point");
    assert_eq!(decode::<f64>("1e-400").unwrap(), 0.0);
}

#[test] // B075
fn nan_and_infinity_are_written_as_null_which_no_float_reads() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(encode(&odd), "null");
    }
    refused::<f64>("null", "null");
}

#[test] // B076
fn duplicate_keys_are_refused_by_structs_and_the_last_counts_in_maps() {
    refused::<Say>(r#"{"text":"a","text":"b"}"#, "duplicate field");
    let map: BTreeMap<String, u8> = decode(r#"{"a":1,"a":2}"#).unwrap();
    assert_eq!(map, BTreeMap::from([("a".into(), 2)]));
}

#[test] // B077
fn lone_surrogates_are_refused_and_pairs_are_read() {
    for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800x""#, r#""\ud800\n""#] {
        refused::<String>(lone, "");
    }
    assert_eq!(decode::<String>(r#""\ud83d\ude00""#).unwrap(), "\u{1f600}");
}

#[test] // B078
fn a_string_of_ten_megabytes_is_a_string() {
    let long = "x".repeat(10_000_000);
    assert_eq!(decode::<Say>(format!(r#"{{"text":"{long}"}}"#)).unwrap().text.len(), 10_000_000);
    refused::<u32>(format!("\"{long}\""), "invalid type: string \"xxx");
    refused::<String>(format!("\"{long}"), "EOF");
}

#[test] // B088
fn a_string_that_is_not_utf8_is_refused() {
    refused::<String>(b"\"\xff\xfe\"", "unicode");
    refused::<String>(b"\"\xc0\x80\"", "unicode");
    refused::<String>(b"\"\xed\xa0\x80\"", "unicode");
    refused::<Say>(b"{\"text\":\"\xe2\x82\"}", "unicode");
}

#[test]
fn bytes_after_the_value_are_refused_and_white_space_is_not() {
    refused::<u8>("1 2", "trailing");
    refused::<Say>(r#"{"text":"a"}{"#, "trailing");
    refused::<Say>("{\"text\":\"a\"}\0", "trailing");
    assert_eq!(decode::<u8>(" \r\n\t7\n").unwrap(), 7);
    refused::<u8>("\u{feff}7", "expected value");
    refused::<u8>("", "EOF");
}

#[test]
fn fields_nobody_asked_for_are_skipped() {
    assert_eq!(decode::<Say>(r#"{"a":[{"b":null}],"text":"hi","z":1e9}"#).unwrap().text, "hi");
}

#[test]
fn unit_is_zero_bytes_and_reads_any_body() {
    assert_eq!(encode(&()), "");
    for body in ["", "null", "{}", "\u{0}", "[[["] {
        decode::<()>(body).unwrap();
    }
    assert_eq!(encode(&None::<u8>), "null", "only () itself is empty");
}

#[test]
fn encoding_appends() {
    let mut out = b"head ".to_vec();
    Json.encode(&Say { text: "hi".into() }, &mut out).unwrap();
    assert_eq!(out, br#"head {"text":"hi"}"#);
}

#[test]
fn a_key_that_is_no_text_cannot_be_written() {
    let map = BTreeMap::from([((1, 2), 3)]);
    let e = Json.encode(&map, &mut Vec::new()).unwrap_err();
    assert!(e.to_string().contains("key must be a string"), "{e}");
}
