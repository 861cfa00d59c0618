//! What the Protocol Buffers codec does with bodies that nobody should send.

#![allow(clippy::unwrap_used)]

use due_codec::Protobuf;
use due_core::{Codec, CodecError};
use prost::Message;

#[derive(PartialEq, Message)]
struct Say {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(uint64, repeated, tag = "2")]
    marks: Vec<u64>,
    #[prost(message, repeated, tag = "3")]
    replies: Vec<Say>,
    #[prost(bytes = "vec", tag = "4")]
    blob: Vec<u8>,
    #[prost(float, tag = "5")]
    x: f32,
}

fn decode(body: impl AsRef<[u8]>) -> Result<Say, CodecError> {
    Protobuf.decode(body.as_ref())
}

fn encode<T: Message + Default + 'static>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    Protobuf.encode(value, &mut out).unwrap();
    out
}

#[track_caller]
fn refused(body: impl AsRef<[u8]>, why: &str) {
    let text = decode(body).unwrap_err().to_string();
    assert!(text.contains(why), "{text}");
    assert!(text.len() < 300, "{} bytes of error", text.len());
}

/// A field of length-delimited bytes.
fn field(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    out.extend_from_slice(body);
    out
}

/// A message with `depth` messages inside each other.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(Vec::new(), |inner, _| field(3, &inner))
}

#[test]
fn a_message_keeps_the_format_of_others() {
    let say = Say { text: "hi".into(), marks: vec![1, 300], ..Say::default() };
    assert_eq!(encode(&say), b"\x0a\x02hi\x12\x03\x01\xac\x02");
    assert_eq!(decode(encode(&say)).unwrap(), say);
}

#[test] // B078
fn a_string_of_ten_megabytes_is_a_string() {
    let say = Say { text: "x".repeat(10_000_000), ..Say::default() };
    assert_eq!(decode(encode(&say)).unwrap().text.len(), 10_000_000);
    refused(b"\x0a\xff\xff\xff\xff\x0f", "");
    refused(b"\x22\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "");
}

#[test] // B083
fn nesting_stops_at_100() {
    decode(nested(100)).unwrap();
    refused(nested(101), "Say.replies: Say.replies");
    refused(nested(10_000), "Say.replies: Say.replies");
}

#[test] // B084
fn groups_inside_each_other_are_refused() {
    // Field 9, start of a group: unknown to the message, so it is skipped, and skipping has a depth too.
    let groups = |depth| [vec![9 << 3 | 3; depth], vec![9 << 3 | 4; depth]].concat();
    decode(groups(50)).unwrap();
    refused(groups(10_000), "recursion limit");
    refused(vec![9 << 3 | 3; 10_000], "recursion limit");
    refused([9 << 3 | 4], "");
}

#[test] // B085
fn a_megabyte_of_unknown_fields_is_skipped() {
    let unknown = field(9, &vec![0xff; 1_000_000]);
    assert_eq!(decode([unknown, field(1, b"hi")].concat()).unwrap().text, "hi");
    let many = field(9, b"").repeat(500_000);
    assert_eq!(decode([many, field(1, b"hi")].concat()).unwrap().text, "hi");
}

#[test] // B086
fn fifty_thousand_empty_messages_are_as_many_elements() {
    let body = field(3, b"").repeat(50_000);
    assert_eq!(decode(&body).unwrap().replies.len(), 50_000);
}

#[test] // B087
fn packed_varints_may_be_as_large_as_they_are_and_no_longer() {
    let largest = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let say = decode(field(2, &largest.repeat(1000))).unwrap();
    assert_eq!(say.marks, vec![u64::MAX; 1000]);
    refused(field(2, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), "varint");
    refused(field(2, &[0xff; 11]), "varint");
    refused(field(2, b"\xff"), "varint");
}

#[test] // B088
fn text_that_is_not_utf8_is_refused() {
    refused(field(1, b"\xff\xfe"), "UTF-8");
    refused(field(1, b"\xed\xa0\x80"), "UTF-8");
    assert_eq!(decode(field(4, b"\xff\xfe")).unwrap().blob, b"\xff\xfe");
}

#[test]
fn a_cut_message_and_a_wrong_tag_are_refused() {
    let whole = encode(&Say { text: "hello".into(), ..Say::default() });
    for cut in 1..whole.len() {
        refused(&whole[..cut], "");
    }
    refused(b"\x00", "tag");
    refused(b"\x0e", "wire type");
    refused(b"\x08\x01", "wire type");
}

#[test] // B076
fn a_field_given_twice_counts_once_the_last() {
    assert_eq!(decode([field(1, b"a"), field(1, b"b")].concat()).unwrap().text, "b");
}

#[test]
fn unit_is_zero_bytes_and_reads_any_body() {
    assert_eq!(encode(&()), b"");
    for body in [&b""[..], b"\x00", b"\xff\xff"] {
        Codec::<()>::decode(&Protobuf, body).unwrap();
    }
}

#[test]
fn encoding_appends() {
    let mut out = b"head ".to_vec();
    Protobuf.encode(&Say { text: "a".into(), ..Say::default() }, &mut out).unwrap();
    assert_eq!(out, b"head \x0a\x01a");
}
