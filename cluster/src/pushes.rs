//! Pushes to many channels that leave together.

use std::fmt;

use due_core::{Codec, Kind, Push, Result};
use futures_util::future::join_all;

use crate::{
    cluster::{Cluster, Sent},
    gate::fan::Fan,
    link::{Audience, Counts, GateOrder, class_bits},
    session::check_channel,
};

/// Pushes to channels that are collected and leave together, see [`Cluster::to_channels`].
///
/// They arrive as if they had been pushed one after the other. Together they cost less: a gate takes them in one turn
/// and writes each member all of its messages at once. Nothing leaves before [`ToChannels::send`].
#[must_use = "nothing leaves before `send`"]
pub struct ToChannels {
    cluster: Cluster,
    all: Vec<Fan>,
    bytes: Vec<u8>,
}

impl Cluster {
    /// Begins to collect pushes to channels: those of a tick of a game to all of its rooms, say.
    ///
    /// ```
    /// # use due_cluster::Cluster; use due_core::{Push, Result, codec::Codec};
    /// # async fn tick<C: Codec<String>>(cluster: Cluster, rooms: Vec<String>, news: Push<String, C>) -> Result<()>
    /// # where Push<String, C>: Copy {
    /// let mut tick = cluster.to_channels();
    /// for room in &rooms {
    ///     tick.push(room, news, &format!("this is {room}"))?;
    /// }
    /// let reached: usize = tick.send().await.iter().map(|sent| sent.queued).sum();
    /// # drop(reached); Ok(()) }
    /// ```
    pub fn to_channels(&self) -> ToChannels {
        ToChannels { cluster: self.clone(), all: Vec::new(), bytes: Vec::new() }
    }
}

impl ToChannels {
    /// Adds a push to the subscribers of a channel, on all gates. `BadRequest`, and nothing is added, for a name that is
    /// empty or longer than 255 bytes or a value that cannot be encoded.
    pub fn push<T, C: Codec<T>>(&mut self, channel: &str, push: Push<T, C>, value: &T) -> Result<()> {
        check_channel(channel)?;
        let (def, from) = (push.def(), self.bytes.len());
        self.bytes.extend_from_slice(channel.as_bytes());
        let body = self.bytes.len();
        if let Err(e) = self.cluster.encode::<T, C>(def.id, value, &mut self.bytes) {
            self.bytes.truncate(from);
            return Err(e);
        }
        let (flags, end) = (class_bits(def.flags.class), self.bytes.len());
        self.all.push(Fan { gate: 0, flags, route: def.id.0, from, body, end });
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Sends them and waits for the gates' counts, as [`Cluster::push`] does; they come in the order of the pushes.
    /// Dropped after its first poll, all is sent and nothing counted.
    pub async fn send(self) -> Vec<Sent> {
        if self.all.is_empty() {
            return Vec::new();
        }
        let Some((inbox, gate)) = self.cluster.only_gate() else { return Box::pin(self.send_to_gates()).await };
        let count = self.all.len();
        match inbox.fan_all(gate, self.all, self.bytes) {
            Ok(wait) => wait.end().await.into_iter().map(Sent::of).collect(),
            Err(e) if e.kind() == Kind::Full => vec![Sent { full: 1, ..Sent::default() }; count],
            Err(_) => vec![Sent::of(None); count],
        }
    }

    async fn send_to_gates(self) -> Vec<Sent> {
        let gates = self.cluster.all_gates();
        let pushes = self.all.iter().map(|fan| self.order(fan));
        let counted = pushes.map(|order| {
            join_all(gates.iter().map(|gate| self.cluster.counted(gate.clone(), order.clone())).collect::<Vec<_>>())
        });
        let all = join_all(counted).await;
        all.into_iter().map(|of_gates| Sent::of(Some(sum(&of_gates)))).collect()
    }

    fn order(&self, fan: &Fan) -> GateOrder {
        let name = self.bytes.get(fan.from..fan.body).unwrap_or_default();
        let to = Audience::Channel(String::from_utf8_lossy(name).into_owned());
        let body = self.bytes.get(fan.body..fan.end).unwrap_or_default().to_vec();
        GateOrder::Push { to, route: fan.route, flags: fan.flags, body }
    }
}

fn sum(all: &[Counts]) -> Counts {
    all.iter().fold(Counts::default(), |mut sum, one| {
        sum.add(*one);
        sum
    })
}

impl fmt::Debug for ToChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToChannels").field("len", &self.len()).finish_non_exhaustive()
    }
}
