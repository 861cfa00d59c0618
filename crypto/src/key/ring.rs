//! Several keys, one of them current.

use std::fmt;

use due_core::{Error, Result};

use super::KeyId;

/// Keys at most: every change needs two, and a search walks all.
const KEYS_MAX: usize = 16;

/// Keys by id; the first one added is the current one. `Debug` shows ids only.
pub(crate) struct Ring<K>(Vec<(KeyId, K)>);

impl<K> Default for Ring<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K> Ring<K> {
    /// Adds a key; an error if it is there already or too many are.
    pub(crate) fn add(&mut self, id: KeyId, key: K) -> Result<()> {
        if self.find(id).is_some() {
            return Err(Error::config("this key was added before; list each key once").context("key", id));
        }
        if self.0.len() >= KEYS_MAX {
            return Err(Error::config(format!("more than {KEYS_MAX} keys; drop the oldest")).context("key", id));
        }
        self.0.push((id, key));
        Ok(())
    }

    /// The key with this id.
    pub(crate) fn find(&self, id: KeyId) -> Option<&K> {
        self.0.iter().find(|(found, _)| *found == id).map(|(_, key)| key)
    }

    /// The first key.
    pub(crate) fn current(&self) -> Option<(KeyId, &K)> {
        self.0.first().map(|(id, key)| (*id, key))
    }

    /// No key at all?
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K> fmt::Debug for Ring<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_is_current_and_all_are_found() {
        let mut ring = Ring::default();
        let ids = [[1; 8], [2; 8]].map(KeyId::from_bytes);
        for (id, key) in ids.into_iter().zip(["a", "b"]) {
            ring.add(id, key).unwrap();
        }
        assert_eq!(ring.current(), Some((ids[0], &"a")));
        assert_eq!(ring.find(ids[1]), Some(&"b"));
        assert_eq!(ring.find(KeyId::from_bytes([3; 8])), None);
        assert!(ring.add(ids[1], "c").unwrap_err().to_string().contains("added before"));
    }

    #[test]
    fn a_ring_is_bounded() {
        let mut ring = Ring::default();
        let ids = (0..=KEYS_MAX as u8).map(|n| KeyId::from_bytes([n; 8]));
        let refused = ids.filter(|id| ring.add(*id, ()).is_err());
        assert_eq!(refused.count(), 1);
    }
}
