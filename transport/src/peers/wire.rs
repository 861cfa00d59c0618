//! What a guest asks and what its home answers, as MessagePack on orders and answers of a link.

use bytes::Bytes;
use due_core::{
    Epoch, Error, Incarnation, Kind, Origin, Owner, Result, SessionId,
    bus::{self, Gap, Options, Position},
    config,
    locate::{self, Binding, Claim, Place, Subject},
    registry,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Flag of an answer that is an error.
pub(super) const FAULT: u8 = 1;

/// A question. Streams (`Feed`, `Open`, `Follow`) are told apart by the number of their question, under which their
/// items come until it is cancelled.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Put { key: String, value: registry::Value, ttl_ms: u64, expect: registry::Expect },
    Renew { key: String, incarnation: Incarnation, ttl_ms: u64 },
    Delete { key: String, incarnation: Incarnation },
    Names { prefix: String },
    Wait { prefix: String, cursor: u64 },

    Claim { subject: Subject, place: Place, how: How, claim: Claim },
    Reassert(Binding),
    Unbind { subject: Subject, place: Place, session: SessionId, epoch: Epoch },
    Locate(Subject),
    Check(Vec<Binding>),
    Fence(Owner),
    Feed,

    Send { topic: String, key: Bytes, body: Bytes },
    Open { topic: String, options: Options },
    Ack { stream: u64, number: u64 },

    Load { key: String },
    Values { prefix: String },
    Follow { prefix: String },
    Store { key: String, value: Bytes, expect: config::Expect },
    Remove { key: String, expect: config::Expect },
}

/// How a place is claimed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum How {
    Take,
    IfAbsent,
    IfEpoch(Epoch),
}

/// An item of a stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Item {
    Place(locate::Event),
    Event {
        number: u64,
        body: Bytes,
        position: Option<Position>,
    },
    Gap(Gap),
    Value(config::Update),
    /// Nothing more will come.
    End,
}

/// What a publish is answered with.
pub(super) type Sent = bus::Receipt;

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    rmp_serde::to_vec(value)
        .map_err(|e| Error::new(Kind::Internal, "a message between peers cannot be written").because(e))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    rmp_serde::from_slice(bytes).map_err(|e| {
        Error::new(Kind::Malformed, "a message between peers cannot be read: do all run one version?").because(e)
    })
}

/// An error as far as it travels: kind and text.
pub(super) fn encode_fault(e: &Error) -> Vec<u8> {
    encode(&(e.kind().code(), e.text())).unwrap_or_default()
}

pub(super) fn decode_fault(bytes: &[u8]) -> Error {
    let (code, text): (u32, String) = decode(bytes).unwrap_or((Kind::Internal.code(), String::new()));
    Error::new(Kind::from_code(code).unwrap_or(Kind::Internal), text).from_origin(Origin::Remote)
}
