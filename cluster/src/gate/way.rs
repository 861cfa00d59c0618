//! Which node gets a client's message.

use due_core::Kind;

use super::{
    client::{Client, Lane},
    members::{Dispatch, Members, Up},
    shard::GateShard,
};

/// Where a message goes.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(super) member: u16,
    pub(super) up: Up,
    /// Has the session a lane there that is known to be open?
    pub(super) open: bool,
    /// Does a client without hello expect an answer?
    pub(super) answers: bool,
    /// How long the handler may take, in milliseconds.
    pub(super) limit: u32,
    /// The epoch by which the node has the user; 0 where that does not matter.
    pub(super) epoch: u64,
}

/// The way of a client's last message. It holds for the next one of its route as long as the nodes are what they were, the
/// client has the same lanes and bindings, and its lane there has credit: what changes one of them forgets it.
#[derive(Clone, Copy)]
pub(crate) struct Settled {
    route: i32,
    /// What [`Members::changes`] was.
    changes: u32,
    authorized: bool,
    way: Way,
    /// Where it ends, if that is on the same shard.
    pub(super) seat: Option<Seat>,
}

/// A session of a node of the same shard, and the place of a handler in the node's table.
#[derive(Clone, Copy)]
pub(crate) struct Seat {
    pub(super) session: u32,
    pub(super) handler: u32,
}

impl Settled {
    #[inline]
    fn holds(&self, members: &Members, client: &Client, route: i32) -> bool {
        self.route == route && self.changes == members.changes() && (!self.authorized || client.user.is_some())
    }
}

impl GateShard {
    /// May the client use the route, which node gets the message, and does the client expect an answer?
    pub(super) fn choose(&mut self, slot: u32, route: i32) -> Result<Way, Kind> {
        let client = self.clients.get_mut(slot as usize).ok_or(Kind::Gone)?;
        let by = self.own.part.dispatch;
        if let Some(way) = settled_way(&self.members, by, client, route)? {
            return Ok(way);
        }
        let (_, route) = self.members.route(route).ok_or(Kind::NoRoute)?;
        let (name, answers, limit) = (route.name, route.answers, route.limit);
        if let Some(member) = self.members.pick(name, by, rand::random()) {
            return Ok(Way { member, up: Up::Gone, open: false, answers, limit, epoch: 0 });
        }
        // Nobody takes new work: a node that hangs still serves who is there.
        let there = |l: &Lane| reachable(&self.members, l.member).filter(|_| l.name == name).map(|up| (l.member, up));
        let (member, up) = client.lanes().iter().find_map(there).ok_or(Kind::Unavailable)?;
        Ok(Way { member, up, open: false, answers, limit, epoch: 0 })
    }
}

/// May the client use the route? The way of its messages, if nothing is left to choose.
#[inline]
pub(super) fn settled_way(
    members: &Members,
    by: Dispatch,
    client: &mut Client,
    route: i32,
) -> Result<Option<Way>, Kind> {
    match client.settled() {
        Some(settled) if settled.holds(members, client, route) => Ok(Some(settled.way)),
        _ => settle(members, by, client, route),
    }
}

fn settle(members: &Members, by: Dispatch, client: &mut Client, route: i32) -> Result<Option<Way>, Kind> {
    let found = only_way(members, by, client, route)?;
    if let Some(way) = found.filter(|way| way.open)
        && client.lane_to(way.member).is_some_and(|lane| lane.dry_since == 0)
    {
        let authorized = members.route(route).is_some_and(|(_, route)| route.authorized);
        client.settle(Settled { route, changes: members.changes(), authorized, way, seat: None });
    }
    Ok(found)
}

fn only_way(members: &Members, by: Dispatch, client: &Client, route: i32) -> Result<Option<Way>, Kind> {
    let (_, route) = members.route(route).ok_or(Kind::NoRoute)?;
    let (name, answers, limit) = (route.name, route.answers, route.limit);
    if route.internal {
        return Err(Kind::Forbidden);
    }
    if route.authorized && client.user.is_none() {
        return Err(Kind::Unauthorized);
    }
    if route.stateful {
        let owner = client.slots().iter().find(|s| s.name == route.slot).ok_or(Kind::NotBound)?;
        let (member, epoch) = (owner.member, owner.epoch.0);
        let up = reachable(members, member).ok_or(Kind::OwnerLost)?;
        let open = client.lanes().iter().any(|l| l.member == member && l.sticky);
        return Ok(Some(Way { member, up, open, answers, limit, epoch }));
    }
    if by != Dispatch::Sticky {
        return Ok(None);
    }
    let mut lanes = client.lanes().iter().filter(|l| l.name == name && l.sticky);
    let works = |l: &Lane| members.get(l.member).filter(|m| m.works()).map(|m| (l.member, m.up));
    Ok(lanes.find_map(works).map(|(member, up)| Way { member, up, open: true, answers, limit, epoch: 0 }))
}

fn reachable(members: &Members, member: u16) -> Option<Up> {
    members.get(member).map(|m| m.up).filter(|up| *up != Up::Gone)
}
