//! Channels of a gate shard: dense lists of members, one pass per publication.

use std::collections::HashMap;

/// Subscribers by channel name; a slot stands at most once in a channel.
#[derive(Default)]
pub(crate) struct Channels {
    members: HashMap<Box<str>, Members>,
}

struct Members {
    slots: Vec<u32>,
    /// Where the channel stands among those that a round of pushes goes to, see [`Channels::place_in`].
    place: (u64, u32),
}

impl Channels {
    /// Adds a slot; the caller knows that it is not in the channel yet.
    pub(crate) fn subscribe(&mut self, channel: &str, slot: u32) {
        match self.members.get_mut(channel) {
            Some(members) => members.slots.push(slot),
            None => {
                self.members.insert(channel.into(), Members { slots: vec![slot], place: (0, 0) });
            }
        }
    }

    pub(crate) fn unsubscribe(&mut self, channel: &str, slot: u32) {
        let Some(members) = self.members.get_mut(channel) else { return };
        if let Some(at) = members.slots.iter().position(|m| *m == slot) {
            members.slots.swap_remove(at);
        }
        if members.slots.is_empty() {
            self.members.remove(channel);
        }
    }

    /// All that have members, with their number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, usize)> {
        self.members.iter().map(|(name, members)| (&**name, members.slots.len()))
    }

    pub(crate) fn members(&self, channel: &str) -> &[u32] {
        self.members.get(channel).map_or(&[], |one| &one.slots)
    }

    /// The place that a channel with members has in the round, which gives places anew; `free` if it had none yet.
    pub(crate) fn place_in(&mut self, round: u64, channel: &str, free: u32) -> Option<u32> {
        let one = self.members.get_mut(channel)?;
        if one.place.0 != round {
            one.place = (round, free);
        }
        Some(one.place.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // conformance 47
    #[test]
    fn a_subscriber_leaves_whole() {
        let mut channels = Channels::default();
        channels.subscribe("room", 7);
        assert_eq!(channels.members("room"), [7]);
        channels.unsubscribe("room", 7);
        channels.unsubscribe("room", 7);
        assert!(channels.members("room").is_empty() && channels.members.is_empty());
    }

    #[test]
    fn a_channel_keeps_its_place_for_a_round() {
        let mut channels = Channels::default();
        channels.subscribe("a", 1);
        channels.subscribe("b", 2);
        assert_eq!(
            [("a", 0), ("b", 1), ("a", 2)].map(|(name, free)| channels.place_in(1, name, free).unwrap()),
            [0, 1, 0]
        );
        assert_eq!(channels.place_in(2, "b", 0), Some(0));
        assert_eq!(channels.place_in(2, "nobody", 1), None);
    }
}
