//! Messages of tarpc on a socket.

use std::{
    io,
    marker::PhantomData,
    time::{Duration, Instant},
};

use ::tarpc::{
    ClientMessage, Request, Response, ServerError, context,
    trace::{self, SamplingDecision},
};
use bytes::{Buf, BufMut, BytesMut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio_util::codec::{Decoder, Encoder};

/// Longest message in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;
/// Longest deadline that is believed: the server's timers reach no further.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Bytes before a message.
const PREFIX: usize = 4;

/// What a client writes, apart from the types of tarpc: those trust the peer's deadline.
#[derive(Serialize, Deserialize)]
enum Call<T> {
    Request { id: u64, left_ms: u64, trace: Trace, message: T },
    Cancel { id: u64, trace: Trace },
}

#[derive(Serialize, Deserialize)]
struct Trace {
    id: (u64, u64),
    span: u64,
    sampled: bool,
}

impl From<trace::Context> for Trace {
    fn from(from: trace::Context) -> Self {
        let id = u128::from(from.trace_id);
        let sampled = from.sampling_decision == SamplingDecision::Sampled;
        Self { id: ((id >> 64) as u64, id as u64), span: from.span_id.into(), sampled }
    }
}

impl From<Trace> for trace::Context {
    fn from(from: Trace) -> Self {
        let sampling_decision = if from.sampled { SamplingDecision::Sampled } else { SamplingDecision::Unsampled };
        let trace_id = (u128::from(from.id.0) << 64 | u128::from(from.id.1)).into();
        Self { trace_id, span_id: from.span.into(), sampling_decision }
    }
}

impl<T> From<Call<T>> for ClientMessage<T> {
    fn from(call: Call<T>) -> Self {
        match call {
            Call::Request { id, left_ms, trace, message } => {
                let mut context = context::current();
                context.deadline = Instant::now() + Duration::from_millis(left_ms).min(LONGEST);
                context.trace_context = trace.into();
                ClientMessage::Request(Request { context, id, message })
            }
            Call::Cancel { id, trace } => ClientMessage::Cancel { trace_context: trace.into(), request_id: id },
        }
    }
}

impl<T> Call<T> {
    fn from_message(message: ClientMessage<T>) -> io::Result<Self> {
        match message {
            ClientMessage::Request(Request { context, id, message }) => {
                let left = context.deadline.saturating_duration_since(Instant::now());
                let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
                Ok(Call::Request { id, left_ms, trace: context.trace_context.into(), message })
            }
            ClientMessage::Cancel { trace_context, request_id } => {
                Ok(Call::Cancel { id: request_id, trace: trace_context.into() })
            }
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "a kind of message that is newer than this code")),
        }
    }
}

/// The client's side: writes requests, reads responses, of at most `MAX` bytes.
pub(crate) struct Dials<Req, Resp, const MAX: usize = MAX_MESSAGE>(PhantomData<fn(Req) -> Resp>);

/// The server's side: reads requests, writes responses, of at most `MAX` bytes.
pub(crate) struct Serves<Req, Resp, const MAX: usize = MAX_MESSAGE>(PhantomData<fn(Req) -> Resp>);

impl<Req, Resp, const MAX: usize> Default for Dials<Req, Resp, MAX> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Req, Resp, const MAX: usize> Default for Serves<Req, Resp, MAX> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Req: Serialize, Resp, const MAX: usize> Encoder<ClientMessage<Req>> for Dials<Req, Resp, MAX> {
    type Error = io::Error;

    fn encode(&mut self, message: ClientMessage<Req>, to: &mut BytesMut) -> io::Result<()> {
        put(&Call::from_message(message)?, to, MAX)
    }
}

impl<Req, Resp: DeserializeOwned, const MAX: usize> Decoder for Dials<Req, Resp, MAX> {
    type Item = Response<Resp>;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<Response<Resp>>> {
        take(from, MAX)
    }
}

impl<Req, Resp: Serialize, const MAX: usize> Encoder<Response<Resp>> for Serves<Req, Resp, MAX> {
    type Error = io::Error;

    fn encode(&mut self, response: Response<Resp>, to: &mut BytesMut) -> io::Result<()> {
        put(&response, to, MAX).or_else(|e| {
            // The caller learns it; the other calls of the connection go on.
            let message = Err::<(), _>(ServerError::new(e.kind(), e.to_string()));
            put(&Response { request_id: response.request_id, message }, to, MAX)
        })
    }
}

impl<Req: DeserializeOwned, Resp, const MAX: usize> Decoder for Serves<Req, Resp, MAX> {
    type Item = ClientMessage<Req>;
    type Error = io::Error;

    fn decode(&mut self, from: &mut BytesMut) -> io::Result<Option<ClientMessage<Req>>> {
        Ok(take::<Call<Req>>(from, MAX)?.map(Into::into))
    }
}

/// Appends a message, or nothing.
fn put<T: Serialize>(message: &T, to: &mut BytesMut, max: usize) -> io::Result<()> {
    let start = to.len();
    to.put_u32(0);
    let written = rmp_serde::encode::write(&mut to.writer(), message).map_err(io::Error::other);
    let length = to.len() - start - PREFIX;
    let checked = written.and_then(|()| if length <= max { Ok(()) } else { Err(too_large(length, max)) });
    match (&checked, to.get_mut(start..start + PREFIX)) {
        (Ok(()), Some(prefix)) => prefix.copy_from_slice(&(length as u32).to_be_bytes()),
        _ => to.truncate(start),
    }
    checked
}

/// Takes one whole message off the front.
fn take<T: DeserializeOwned>(from: &mut BytesMut, max: usize) -> io::Result<Option<T>> {
    let Some(prefix) = from.first_chunk::<PREFIX>() else { return Ok(None) };
    let length = u32::from_be_bytes(*prefix) as usize;
    if length > max {
        return Err(too_large(length, max));
    }
    if from.len() < PREFIX + length {
        from.reserve(PREFIX + length - from.len());
        return Ok(None);
    }
    from.advance(PREFIX);
    let message = from.split_to(length);
    rmp_serde::from_slice(&message).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

fn too_large(length: usize, max: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes is over {max}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    type Client = Dials<String, String>;
    type Server = Serves<String, String>;

    fn request(message: &str) -> ClientMessage<String> {
        ClientMessage::Request(Request { context: context::current(), id: 7, message: message.to_owned() })
    }

    #[test]
    fn messages_come_back_whole_however_they_are_cut() {
        let mut wire = BytesMut::new();
        Client::default().encode(request("one"), &mut wire).unwrap();
        Client::default().encode(request("two"), &mut wire).unwrap();
        let cancel = ClientMessage::Cancel { trace_context: trace::Context::default(), request_id: 9 };
        Client::default().encode(cancel, &mut wire).unwrap();
        let (mut got, mut seen) = (BytesMut::new(), Vec::new());
        for byte in wire {
            got.put_u8(byte);
            while let Some(message) = Server::default().decode(&mut got).unwrap() {
                seen.push(match message {
                    ClientMessage::Request(r) => format!("{}:{}", r.id, r.message),
                    ClientMessage::Cancel { request_id, .. } => format!("cancel {request_id}"),
                    other => panic!("{other:?}"),
                });
            }
        }
        assert_eq!((seen, got.len()), (vec!["7:one".to_owned(), "7:two".into(), "cancel 9".into()], 0));
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_reserved() {
        let mut wire = BytesMut::from(&[0xff; 8][..]);
        assert_eq!(Server::default().decode(&mut wire).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert!(wire.capacity() < 1024);
    }

    #[test]
    fn a_deadline_of_a_peer_is_clamped() {
        let mut wire = BytesMut::new();
        let trace = trace::Context::default().into();
        put(&Call::Request { id: 1, left_ms: u64::MAX, trace, message: String::new() }, &mut wire, MAX_MESSAGE)
            .unwrap();
        let Some(ClientMessage::Request(r)) = Server::default().decode(&mut wire).unwrap() else {
            panic!("no request")
        };
        assert!(r.context.deadline <= Instant::now() + LONGEST);
    }

    #[test]
    fn what_is_too_large_leaves_no_bytes_behind_and_the_caller_learns_it() {
        let mut wire = BytesMut::from(&b"before"[..]);
        Client::default().encode(request(&"x".repeat(MAX_MESSAGE)), &mut wire).unwrap_err();
        assert_eq!(&wire[..], b"before");
        let mut wire = BytesMut::new();
        let large = Response { request_id: 3, message: Ok("x".repeat(MAX_MESSAGE)) };
        Server::default().encode(large, &mut wire).unwrap();
        let told = Client::default().decode(&mut wire).unwrap().unwrap();
        assert_eq!((told.request_id, told.message.map_err(|e| e.kind)), (3, Err(io::ErrorKind::InvalidData)));
    }

    #[test]
    fn bytes_that_are_no_message_are_an_error() {
        for body in [&b""[..], &[0xc1], &[0xdc, 0xff, 0xff], &[0xdf, 0xff, 0xff, 0xff, 0xff]] {
            let mut wire = BytesMut::new();
            wire.put_u32(body.len() as u32);
            wire.put_slice(body);
            assert!(Server::default().decode(&mut wire).is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_within_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..512),
            prefixed in any::<bool>(),
        ) {
            let mut wire = BytesMut::new();
            if prefixed {
                wire.put_u32(bytes.len() as u32);
            }
            wire.put_slice(&bytes);
            while let Ok(Some(_)) = Server::default().decode(&mut wire) {}
            prop_assert!(wire.capacity() <= 2 * (MAX_MESSAGE + PREFIX));
            let mut wire = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = Client::default().decode(&mut wire) {}
        }
    }
}
