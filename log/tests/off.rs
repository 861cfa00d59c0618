//! A place that is not logged is off. Alone in its program: while several logs live, no place is off for good.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{Shelf, setup, with};
use due_log::Level;

#[test]
fn a_place_that_is_not_logged_is_off() {
    let shelf = Shelf::default();
    let (enabled, guard) = with(setup("info,off=warn").sink(shelf.output("shelf")), |_| {
        [tracing::enabled!(Level::INFO), tracing::enabled!(target: "game", Level::INFO)]
    });
    assert!(guard.flush());
    assert_eq!((enabled, shelf.messages()), ([false, true], vec![]));
}
