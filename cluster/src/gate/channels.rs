//! Channels of a gate shard: dense lists of members, one pass per publication.

use std::collections::HashMap;

/// Subscribers by channel name; a slot stands at most once in a channel.
#[derive(Default)]
pub(crate) struct Channels {
    members: HashMap<Box<str>, Vec<u32>>,
}

impl Channels {
    /// Adds a slot; the caller knows that it is not in the channel yet.
    pub(crate) fn subscribe(&mut self, channel: &str, slot: u32) {
        match self.members.get_mut(channel) {
            Some(members) => members.push(slot),
            None => {
                self.members.insert(channel.into(), vec![slot]);
            }
        }
    }

    pub(crate) fn unsubscribe(&mut self, channel: &str, slot: u32) {
        let Some(members) = self.members.get_mut(channel) else { return };
        if let Some(at) = members.iter().position(|m| *m == slot) {
            members.swap_remove(at);
        }
        if members.is_empty() {
            self.members.remove(channel);
        }
    }

    /// All that have members, with their number.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, usize)> {
        self.members.iter().map(|(name, members)| (&**name, members.len()))
    }

    pub(crate) fn members(&self, channel: &str) -> &[u32] {
        self.members.get(channel).map_or(&[], Vec::as_slice)
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
}
