//! What every client network does.
//!
//! A bench is one network and an address that stands for a free one; each case binds anew.

mod bytes;
mod ends;
mod wire;

use std::sync::Arc;

use due_core::{
    Result, Url,
    net::{Network, memory},
};

use crate::suite::{self, Case, Ran, Report, case, within};
use wire::{SOON, Server, Wire};

/// A network and an address.
#[derive(Clone)]
pub struct Bench {
    /// The network under test.
    pub network: Arc<dyn Network>,
    /// Where to bind: an address that stands for a free one (port 0).
    pub url: Url,
}

/// The bench of the memory network.
pub fn memory() -> Result<Bench> {
    Ok(Bench { network: Arc::new(memory::Memory::default()), url: Url::parse("memory://suite:0")? })
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(bytes::bytes_arrive_whole_and_in_order_both_ways),
    case!(bytes::a_large_body_arrives_whole),
    case!(bytes::shared_bodies_arrive_between_copied_ones),
    case!(bytes::a_reader_that_stops_stops_the_writer),
    case!(ends::a_graceful_end_loses_nothing),
    case!(ends::what_the_client_sent_before_it_left_is_read),
    case!(ends::a_dropped_end_is_seen),
    case!(ends::a_busy_address_is_a_setting_to_change),
    case!(ends::nobody_is_unavailable),
    case!(ends::closing_takes_what_is_queued_and_no_more),
    case!(ends::every_client_belongs_to_one_shard),
    case!(ends::peers_have_addresses),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}
