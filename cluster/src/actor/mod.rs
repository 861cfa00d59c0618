//! Actors.

/// The kinds of actors a node hosts.
#[derive(Default)]
pub struct Kinds {}
