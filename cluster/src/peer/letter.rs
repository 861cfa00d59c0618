//! Messages for actors as they travel between processes.

use bytes::Bytes;
use due_core::{Error, Kind, Owner, Result, Uid};

use super::calls::Incoming;
use crate::{
    fault::Fault,
    link::{Opened, Reader, Writer},
};

/// What a message for an actor comes to: an answer, or none where the route has none.
pub(crate) type Outcome = Result<Option<Bytes>, Fault>;

/// A message for an actor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) route: i32,
    pub(crate) waited: bool,
    pub(crate) uid: Option<Uid>,
    pub(crate) session: Option<Visit>,
    pub(crate) body: Bytes,
}

/// A session that another node's actor is to reach.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Visit {
    pub(crate) opened: Opened,
    pub(crate) gate: Owner,
    pub(crate) gate_shard: u16,
    pub(crate) lane: u64,
}

impl Letter {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let w = Writer::default().text(&self.kind).text(&self.key).u32(self.route as u32).u8(self.waited.into());
        let w = match &self.uid {
            Some(uid) => w.u8(1).uid(uid),
            None => w.u8(0),
        };
        let w = match &self.session {
            Some(visit) => {
                let opened = visit.opened.encode();
                let w = w.u8(1).owner(&visit.gate).u32(visit.gate_shard.into()).u64(visit.lane);
                w.u32(opened.len() as u32).rest(&opened)
            }
            None => w.u8(0),
        };
        w.rest(&self.body).done()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let r = &mut Reader(body);
        let (kind, key) = (r.text()?.to_owned(), r.text()?.to_owned());
        let (route, waited) = (r.u32()? as i32, r.u8()? != 0);
        let uid = if r.u8()? == 1 { Some(r.uid()?) } else { None };
        let session = if r.u8()? == 1 { Some(Visit::read(r)?) } else { None };
        Ok(Self { kind, key, route, waited, uid, session, body: Bytes::copy_from_slice(r.rest()) })
    }

    /// The answer to one.
    pub(crate) fn answer(outcome: Outcome) -> Vec<u8> {
        match outcome {
            Ok(None) => vec![2],
            Ok(Some(body)) => Incoming::encode(&Ok(body)),
            Err(fault) => Incoming::encode(&Err(fault)),
        }
    }

    pub(crate) fn outcome(answer: Bytes) -> Outcome {
        match &*answer {
            [2] => Ok(None),
            _ => Incoming::decode(answer).map(Some),
        }
    }
}

impl Visit {
    fn read(r: &mut Reader<'_>) -> Result<Self> {
        let (gate, gate_shard, lane) = (r.owner()?, r.u32()?, r.u64()?);
        let len = r.u32()? as usize;
        let (opened, rest) = r.0.split_at_checked(len).ok_or_else(|| Error::from(Kind::Malformed))?;
        r.0 = rest;
        let gate_shard = u16::try_from(gate_shard).map_err(|_| Error::from(Kind::Malformed))?;
        Ok(Self { opened: Opened::decode(opened)?, gate, gate_shard, lane })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use due_core::{Epoch, Incarnation, SessionId};

    #[test]
    fn letters_survive_the_wire_and_their_prefixes_are_refused() {
        let opened = Opened {
            session: SessionId(7),
            cid: 1,
            peer: ([0, 0, 0, 0], 0).into(),
            user: Some((Uid::from("ann"), Epoch(5))),
            labels: vec![("a".to_owned(), "b".to_owned())],
            owners: Vec::new(),
        };
        let gate = Owner { id: "gate-1".into(), incarnation: Incarnation(3) };
        let visit = Visit { opened, gate, gate_shard: 2, lane: 1 << 32 };
        for session in [None, Some(visit)] {
            let (kind, key, uid) = ("room".to_owned(), "7".to_owned(), Some(Uid::from("ann")));
            let letter = Letter { kind, key, route: 4, waited: true, uid, session, body: Bytes::from_static(b"xyz") };
            let bytes = letter.encode();
            assert_eq!(Letter::decode(&bytes).unwrap(), letter);
            (0..bytes.len() - 3).for_each(|cut| assert!(Letter::decode(&bytes[..cut]).is_err(), "{cut}"));
        }
        for body in [None, Some(Bytes::new()), Some(Bytes::from_static(b"\x02"))] {
            assert_eq!(Letter::outcome(Letter::answer(Ok(body.clone())).into()).unwrap(), body);
        }
        assert!(Letter::outcome(Letter::answer(Err(Fault::of(Kind::Moved))).into()).is_err());
    }
}
