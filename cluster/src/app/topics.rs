//! Events of the bus on their way to `Routes::topic` handlers.

use std::sync::Arc;

use due_core::bus::{Delivery, Subscription};
use tokio::sync::oneshot;

use crate::shard::inbox::Inbox;

/// Hands each event to its handler and waits for its end before the next one.
pub(crate) async fn follow(
    mut subscription: Subscription,
    inbox: Arc<Inbox>,
    handler: (u8, usize),
    topic: &'static str,
) {
    while let Some(delivery) = subscription.next().await {
        match delivery {
            Delivery::Event(event) => {
                let (done, ended) = oneshot::channel();
                let payload = event.payload.clone();
                inbox.run(move |shard| shard.topic_event(handler.0, handler.1, &payload, done));
                let _ = ended.await;
            }
            Delivery::Gap(gap) => tracing::warn!(topic, ?gap, "events were lost"),
        }
    }
}
