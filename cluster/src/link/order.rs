//! Orders: what one side asks of the other outside the flow of messages.

use std::net::SocketAddr;

use due_core::{Code, Epoch, Error, Kind, Owner, Result, SessionId, Uid};

use super::wire::{Reader, Writer};

/// The body of an `Open` frame: the session as the node needs to know it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opened {
    pub(crate) session: SessionId,
    pub(crate) cid: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) user: Option<(Uid, Epoch)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) owners: Vec<Owned>,
}

/// A slot of a user: its name, to whom it leads, by which epoch.
pub(crate) type Owned = (String, Owner, Epoch);

impl Writer {
    pub(crate) fn owners(self, owners: &[Owned]) -> Self {
        self.list(owners, |w, (slot, owner, epoch)| w.text(slot).owner(owner).epoch(*epoch))
    }
}

impl Reader<'_> {
    pub(crate) fn owners(&mut self) -> Result<Vec<Owned>> {
        self.list(|r| Ok((r.text()?.to_owned(), r.owner()?, r.epoch()?)))
    }
}

impl Opened {
    /// No session at all.
    pub(crate) fn nobody() -> Self {
        let peer = SocketAddr::from(([0, 0, 0, 0], 0));
        Self { session: SessionId(0), cid: 0, peer, user: None, labels: Vec::new(), owners: Vec::new() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let w = Writer::default().u128(self.session.0).u64(self.cid).text(&self.peer.to_string());
        let w = match &self.user {
            Some((uid, epoch)) => w.u8(1).uid(uid).epoch(*epoch),
            None => w.u8(0),
        };
        w.list(&self.labels, |w, (k, v)| w.text(k).text(v)).owners(&self.owners).done()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let r = &mut Reader(body);
        let (session, cid) = (SessionId(r.u128()?), r.u64()?);
        let peer = r.text()?.parse().map_err(|_| Error::new(Kind::Malformed, "a peer address"))?;
        let user = if r.u8()? == 1 { Some((r.uid()?, r.epoch()?)) } else { None };
        let labels = r.list(|r| Ok((r.text()?.to_owned(), r.text()?.to_owned())))?;
        let owners = r.owners()?;
        Ok(Self { session, cid, peer, user, labels, owners })
    }
}

/// Whom a push reaches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Audience {
    /// These users, as far as they are at this gate.
    Users(Vec<Uid>),
    /// These sessions of this gate: shard and lane.
    Sessions(Vec<(u16, u64)>),
    /// The subscribers of a channel.
    Channel(String),
    /// Every connection; only those with a user if `bound`.
    Everyone { bound: bool },
}

/// What a node asks of a gate.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GateOrder {
    /// Binds the lane's session to a user.
    Bind(Uid),
    /// Unbinds the lane's session.
    Unbind,
    /// Routes of this node name go to this owner from now on.
    Slot {
        name: String,
        owner: Owner,
        epoch: Epoch,
    },
    /// The binding to this node name is over.
    Unslot {
        name: String,
    },
    Subscribe(String),
    Unsubscribe(String),
    /// Ends the lane's session.
    Close {
        forced: bool,
        code: u32,
        text: String,
    },
    /// Pushes to many; `push` is route, class and body.
    Push {
        to: Audience,
        route: i32,
        flags: u8,
        body: Vec<u8>,
    },
    /// How many connections, how many with a user.
    Stat,
    /// Is this user here?
    IsOnline(Uid),
    /// Where does this user speak from?
    Ip(Uid),
    /// Ends the session of a user.
    Disconnect {
        uid: Uid,
        forced: bool,
        code: u32,
        text: String,
    },
    /// A login elsewhere has displaced this session of a user: every one below the epoch is over.
    Kick {
        uid: Uid,
        session: SessionId,
        below: Epoch,
    },
}

/// The number of a gate's order to a node for its route table.
pub(crate) const TABLE_ORDER: i32 = 1;
/// The number of a gate's word to a node that a slot it claims is another's: uid, session, and the slot as an [`Owned`].
pub(crate) const STALE_ORDER: i32 = 2;

impl GateOrder {
    /// The number that travels in the frame head.
    pub(crate) fn number(&self) -> i32 {
        match self {
            GateOrder::Bind(_) => 1,
            GateOrder::Unbind => 2,
            GateOrder::Slot { .. } => 3,
            GateOrder::Unslot { .. } => 4,
            GateOrder::Subscribe(_) => 5,
            GateOrder::Unsubscribe(_) => 6,
            GateOrder::Close { .. } => 7,
            GateOrder::Push { .. } => 8,
            GateOrder::Stat => 9,
            GateOrder::IsOnline(_) => 10,
            GateOrder::Ip(_) => 11,
            GateOrder::Disconnect { .. } => 12,
            GateOrder::Kick { .. } => 13,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let w = Writer::default();
        match self {
            GateOrder::Bind(uid) | GateOrder::IsOnline(uid) | GateOrder::Ip(uid) => w.uid(uid),
            GateOrder::Unbind | GateOrder::Stat => w,
            GateOrder::Slot { name, owner, epoch } => w.text(name).owner(owner).epoch(*epoch),
            GateOrder::Unslot { name } => w.text(name),
            GateOrder::Subscribe(channel) | GateOrder::Unsubscribe(channel) => w.text(channel),
            GateOrder::Close { forced, code, text } => w.u8((*forced).into()).u32(*code).text(text),
            GateOrder::Push { to, route, flags, body } => to.write(w).u32(*route as u32).u8(*flags).rest(body),
            GateOrder::Disconnect { uid, forced, code, text } => w.uid(uid).u8((*forced).into()).u32(*code).text(text),
            GateOrder::Kick { uid, session, below } => w.uid(uid).u128(session.0).epoch(*below),
        }
        .done()
    }

    pub(crate) fn decode(number: i32, body: &[u8]) -> Result<Self> {
        let r = &mut Reader(body);
        Ok(match number {
            1 => GateOrder::Bind(r.uid()?),
            2 => GateOrder::Unbind,
            3 => GateOrder::Slot { name: r.text()?.to_owned(), owner: r.owner()?, epoch: r.epoch()? },
            4 => GateOrder::Unslot { name: r.text()?.to_owned() },
            5 => GateOrder::Subscribe(r.text()?.to_owned()),
            6 => GateOrder::Unsubscribe(r.text()?.to_owned()),
            7 => GateOrder::Close { forced: r.u8()? != 0, code: r.u32()?, text: r.text()?.to_owned() },
            8 => GateOrder::Push {
                to: Audience::read(r)?,
                route: r.u32()? as i32,
                flags: r.u8()?,
                body: r.rest().to_vec(),
            },
            9 => GateOrder::Stat,
            10 => GateOrder::IsOnline(r.uid()?),
            11 => GateOrder::Ip(r.uid()?),
            12 => GateOrder::Disconnect {
                uid: r.uid()?,
                forced: r.u8()? != 0,
                code: r.u32()?,
                text: r.text()?.to_owned(),
            },
            13 => GateOrder::Kick { uid: r.uid()?, session: SessionId(r.u128()?), below: r.epoch()? },
            other => return Err(Error::new(Kind::Unsupported, format!("order {other} is not known here"))),
        })
    }
}

impl Audience {
    fn write(&self, w: Writer) -> Writer {
        match self {
            Audience::Users(uids) => w.u8(0).list(uids, Writer::uid),
            Audience::Sessions(all) => w.u8(1).list(all, |w, (shard, lane)| w.u32((*shard).into()).u64(*lane)),
            Audience::Channel(name) => w.u8(2).text(name),
            Audience::Everyone { bound } => w.u8(3).u8((*bound).into()),
        }
    }

    fn read(r: &mut Reader<'_>) -> Result<Self> {
        Ok(match r.u8()? {
            0 => Audience::Users(r.list(Reader::uid)?),
            1 => Audience::Sessions(r.list(|r| Ok((r.u32()? as u16, r.u64()?)))?),
            2 => Audience::Channel(r.text()?.to_owned()),
            3 => Audience::Everyone { bound: r.u8()? != 0 },
            _ => return Err(Error::new(Kind::Malformed, "an audience")),
        })
    }
}

/// What became of a push to many: the gates' own counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) queued: u32,
    pub(crate) full: u32,
    pub(crate) offline: u32,
    pub(crate) unknown: u32,
}

impl Counts {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Writer::default().u32(self.queued).u32(self.full).u32(self.offline).u32(self.unknown).done()
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        let r = &mut Reader(body);
        Ok(Self { queued: r.u32()?, full: r.u32()?, offline: r.u32()?, unknown: r.u32()? })
    }

    pub(crate) fn add(&mut self, other: Counts) {
        self.queued += other.queued;
        self.full += other.full;
        self.offline += other.offline;
        self.unknown += other.unknown;
    }
}

/// The body of an error frame or answer.
pub(crate) fn encode_fault(code: u32, text: &str) -> Vec<u8> {
    Writer::default().u32(code).rest(text.as_bytes()).done()
}

/// Code and text of an error frame or answer.
pub(crate) fn decode_fault(body: &[u8]) -> (u32, String) {
    let r = &mut Reader(body);
    let code = r.u32().unwrap_or(Code::INTERNAL.number());
    (code, String::from_utf8_lossy(r.rest()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_order_survives_the_wire_and_its_prefixes_are_refused_or_shorter() {
        let owner = Owner { id: "n1".into(), incarnation: due_core::Incarnation(7) };
        let orders = [
            GateOrder::Bind(Uid::from(7)),
            GateOrder::Bind(Uid::from("ann")),
            GateOrder::Unbind,
            GateOrder::Slot { name: "game".into(), owner, epoch: Epoch(9) },
            GateOrder::Unslot { name: "game".into() },
            GateOrder::Subscribe("room".into()),
            GateOrder::Unsubscribe("room".into()),
            GateOrder::Close { forced: true, code: 1001, text: "out".into() },
            GateOrder::Push {
                to: Audience::Users(vec![Uid::from(1), Uid::from("b")]),
                route: -3,
                flags: 4,
                body: b"x".to_vec(),
            },
            GateOrder::Push { to: Audience::Sessions(vec![(1, 2)]), route: 3, flags: 0, body: vec![] },
            GateOrder::Push { to: Audience::Channel("c".into()), route: 3, flags: 0, body: vec![1] },
            GateOrder::Push { to: Audience::Everyone { bound: true }, route: 3, flags: 0, body: vec![1] },
            GateOrder::Stat,
            GateOrder::IsOnline(Uid::from(7)),
            GateOrder::Ip(Uid::from(7)),
            GateOrder::Disconnect { uid: Uid::from(7), forced: false, code: 0, text: String::new() },
            GateOrder::Kick { uid: Uid::from(7), session: SessionId(5), below: Epoch(9) },
        ];
        for order in orders {
            let body = order.encode();
            assert_eq!(GateOrder::decode(order.number(), &body).unwrap(), order);
            for cut in 0..body.len() {
                let _ = GateOrder::decode(order.number(), &body[..cut]);
            }
        }
        assert!(GateOrder::decode(8, &[0, 255, 255, 255, 255]).is_err(), "a list is bounded by the bytes there");
    }
}
