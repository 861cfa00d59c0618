//! Things found again by a key that never means another thing later.

/// Place and generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    place: usize,
    generation: u32,
}

#[derive(Debug)]
pub(crate) struct Slots<T> {
    all: Vec<(u32, Option<T>)>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }

    pub(crate) fn insert(&mut self, value: T) -> Key {
        let place = self.free.pop().unwrap_or(self.all.len());
        match self.all.get_mut(place) {
            Some((generation, slot)) => {
                *slot = Some(value);
                Key { place, generation: *generation }
            }
            None => {
                self.all.push((0, Some(value)));
                Key { place, generation: 0 }
            }
        }
    }

    pub(crate) fn at(&mut self, key: Key) -> Option<&mut T> {
        let (generation, slot) = self.all.get_mut(key.place)?;
        if *generation == key.generation { slot.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let (generation, slot) = self.all.get_mut(key.place)?;
        if *generation != key.generation {
            return None;
        }
        let value = slot.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(key.place);
        Some(value)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.all.iter_mut().filter_map(|(_, slot)| slot.as_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_key_finds_nothing() {
        let mut slots = Slots::new();
        let a = slots.insert('a');
        assert_eq!(slots.remove(a), Some('a'));
        let b = slots.insert('b');
        assert_ne!(a, b);
        assert_eq!(slots.at(a), None);
        assert_eq!(slots.remove(a), None);
        assert_eq!(slots.at(b), Some(&mut 'b'));
        assert_eq!(slots.len(), 1);
    }
}
