//! Entry points for fuzzers. Not an interface: they may change at any time.

use due_core::net::{Scratch, Segments};

use crate::ws::{
    read_head,
    reader::{Fed, Reader, Stop},
    rules::Rules,
};

/// Reads `data` as the frames of a client and of a server, in one piece and in pieces whose sizes come from the data
/// too, and as a request head. Panics if the messages or the end differ.
pub fn ws(data: &[u8]) {
    let _ = read_head(data, &Rules::default());
    let seed = data.iter().take(16).fold(1, |seed: u32, b| seed.wrapping_mul(31).wrapping_add(u32::from(*b)));
    for side in [crate::ws::Side::Server, crate::ws::Side::Client] {
        let whole = transcript(side, data, |_| usize::MAX);
        let mut state = seed;
        let parts = transcript(side, data, |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + (state >> 24) as usize % 23
        });
        assert_eq!(whole, parts);
    }
}

/// The messages that a reader finds in `data`, fed in pieces of the sizes that `next` gives (from the offset), and why
/// it stopped.
pub(crate) fn transcript(
    side: crate::ws::Side,
    data: &[u8],
    mut next: impl FnMut(usize) -> usize,
) -> (Vec<Vec<u8>>, Stop) {
    let mut reader = Reader::new(side, 4096);
    let (mut scratch, mut out) = (Scratch::new(), Segments::default());
    let (mut messages, mut at) = (Vec::new(), 0);
    let mut stop = Stop::Hungry;
    while at < data.len() && stop == Stop::Hungry {
        scratch.clear();
        let kept = reader.restore(scratch.space());
        let space = scratch.space().get_mut(kept..).unwrap_or_default();
        let rest = data.get(at..).unwrap_or_default();
        let len = next(at).clamp(1, rest.len()).min(space.len());
        for (to, from) in space.iter_mut().zip(rest.iter().take(len)) {
            *to = *from;
        }
        at += len;
        let Fed { stop: now, .. } = reader.feed(&mut scratch, kept + len, &mut out);
        messages.extend(scratch.messages().map(<[u8]>::to_vec));
        stop = now;
    }
    (messages, stop)
}
