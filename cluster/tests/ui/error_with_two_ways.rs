//~ expects: conflicting implementations of trait `From<
//! A standard error turns into a fault already; its code is found by its source.
use due_cluster::Fault;
use std::{error::Error, fmt};

#[derive(Debug)]
struct Mine;

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("mine") }
}

impl Error for Mine {}

impl From<Mine> for Fault {
    fn from(_: Mine) -> Fault { due_core::Code::INTERNAL.into() }
}

fn main() {}
