//! Entry points for fuzzers. Not an interface: they may change at any time.

use std::sync::LazyLock;

use due_core::{
    Incarnation, Owner,
    transport::{Batch, Dialer},
};
use tokio::time::Instant;

use crate::{
    handshake::{Answering, Dialing, Hail, Keys},
    session::{Limits, Session},
};

/// Reads `data` as each message of a handshake. Panics if anything of it is taken for a proof.
pub fn handshake(data: &[u8]) {
    static KEYS: LazyLock<Option<Keys>> = LazyLock::new(|| Keys::new(&[vec![7; 32]], "fuzz").ok());
    let Some(keys) = KEYS.as_ref() else { return };
    let owner = |id: &str| Owner { id: id.into(), incarnation: Incarnation(1) };
    let hail = Hail { from: Dialer { owner: owner("gate"), shard: 0 }, to: owner("node"), nonce: 1, resume: false };
    let (message, proof) = data.split_at(data.len().saturating_sub(32));
    let answered = Answering::begin(keys, &hail.to, message, &[3; 32]);
    assert!(answered.is_err() || answered.is_ok_and(|(answer, _)| answer.finish(keys, proof, &[]).is_err()));
    let (dialing, _) = Dialing::begin(keys, &hail, &[1; 32]);
    let proved = dialing.prove(keys, message, &[]);
    assert!(proved.is_err() || proved.is_ok_and(|(proved, _)| proved.finish(proof).is_err()));
}

/// Reads `data` as what a peer sends after the handshake, in one piece and in pieces whose sizes come from the data too.
/// Panics if the frames or the end differ, or if more is held than a link may hold.
pub fn frames(data: &[u8]) {
    let seed = data.iter().take(16).fold(1, |seed: u32, b| seed.wrapping_mul(31).wrapping_add(u32::from(*b)));
    let whole = transcript(data, || usize::MAX);
    let mut state = seed;
    let parts = transcript(data, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (state >> 24) as usize % 23
    });
    assert_eq!(whole, parts);
}

/// The bodies that a session hands out of `data`, fed in pieces of the sizes that `next` gives, and whether it broke.
fn transcript(data: &[u8], mut next: impl FnMut() -> usize) -> (Vec<Vec<u8>>, bool) {
    let now = Instant::now();
    let mut session = Session::new(Limits { high: 1 << 20, max_frame: 1 << 20 }, now);
    session.attach(now);
    let (mut bodies, mut rest, mut batch) = (Vec::new(), data, Batch::default());
    while !rest.is_empty() && !session.is_over() {
        let space = session.space();
        let len = next().min(rest.len()).min(space.len());
        let (piece, behind) = rest.split_at(len);
        space.iter_mut().zip(piece).for_each(|(to, from)| *to = *from);
        rest = behind;
        batch.clear();
        // What stands before a fault is handed out.
        let filled = session.filled(now, len);
        let taken = session.take(now, &mut batch, usize::MAX);
        bodies.extend((0..batch.len()).filter_map(|i| batch.get(i)).map(|(_, body)| body.to_vec()));
        if !session.is_over() && (filled.is_err() || taken.is_err()) {
            return (bodies, true);
        }
    }
    (bodies, false)
}
