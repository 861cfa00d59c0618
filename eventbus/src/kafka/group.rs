//! Groups and durable names: a consumer group that a task keeps alive, whoever reads how slowly.

mod prepare;
mod source;
mod task;

use std::sync::Arc;

use due_core::{
    Result,
    bus::{Begin, Cause, Source},
};
use rdkafka::consumer::Consumer as _;
use tokio::{sync::mpsc, time};

use self::{source::Member, task::Task};
use super::{
    broker::Shared,
    client::{blocking, unavailable},
    shelf::{Item, Shelf},
};

/// Acknowledgements that may wait for their commit.
const ACKS: usize = 1024;

/// Commits where to begin, joins, and returns when partitions were dealt: from then on nobody takes the group for empty.
pub(super) async fn open(
    shared: Arc<Shared>,
    topic: String,
    group: String,
    durable: bool,
    from: &Begin,
) -> Result<Box<dyn Source>> {
    let (state, name, from) = (shared.clone(), topic.clone(), from.clone());
    let (consumer, trimmed) = blocking(move || prepare::join(&state, &name, &group, durable, &from)).await??;
    let (consumer, shelf) = (Arc::new(consumer), Shelf::default());
    let context = consumer.context().as_ref().clone();
    if trimmed {
        shelf.push(Item::Gap(Cause::Trimmed));
    }
    let (acks, told) = mpsc::channel(ACKS);
    let member = Member::new(shelf.clone(), durable.then_some(acks), shared.settings.timeout);
    tokio::spawn(Task::new(shared.clone(), topic, consumer, durable, shelf, told).run());
    // Brokers may wait for other new members first, 3 s by default.
    let limit = shared.settings.timeout + shared.settings.session;
    match time::timeout(limit, context.assigned()).await {
        Ok(()) => Ok(Box::new(member)),
        Err(late) => Err(unavailable(&shared.url, "kafka does not let a member into its group").because(late)),
    }
}
