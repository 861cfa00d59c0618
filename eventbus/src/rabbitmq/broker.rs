//! Publishing with confirms.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Origin, Result, Retry, Url,
    bus::{Broker, Capability, Confirm, Level, Options, Receipt, Source},
};
use lapin::{BasicProperties, Confirmation, ErrorKind, PublisherConfirm, options::BasicPublishOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time,
};

use super::{
    link::{Link, Live},
    subscribe::{Role, start},
};
use crate::names;

/// What may wait for confirms, in KiB.
const WAITING: u32 = 64 * 1024;
/// What one event counts at least, in KiB.
const LEAST: u32 = 16;

/// RabbitMQ. See the [module](super) for what it promises.
#[derive(Debug)]
pub struct RabbitMq {
    link: Arc<Link>,
    waiting: Arc<Semaphore>,
}

impl RabbitMq {
    pub(super) async fn open(url: &Url) -> Result<Self> {
        Ok(Self { link: Arc::new(Link::open(url).await?), waiting: Arc::new(Semaphore::new(WAITING as usize)) })
    }

    async fn permit(&self, bytes: usize) -> Result<OwnedSemaphorePermit> {
        let permit = self.waiting.clone().acquire_many_owned(weight(bytes));
        match time::timeout(self.link.settings.timeout, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Error::new(Kind::Full, "too many publishes wait for rabbitmq").context("url", &self.link.url)),
        }
    }

    async fn hand_over(&self, live: &Live, topic: &str, body: &[u8]) -> Result<PublisherConfirm> {
        let (exchange, key) = (self.link.settings.exchange.as_str().into(), topic.into());
        let options = BasicPublishOptions::default();
        let sending = live.publish.basic_publish(exchange, key, options, body, BasicProperties::default());
        let failed = |kind, text| Error::new(kind, text).context("url", &self.link.url);
        match time::timeout(self.link.settings.timeout, sending).await {
            Ok(Ok(confirm)) => Ok(confirm),
            Ok(Err(error)) => {
                live.distrust();
                Err(match error.kind() {
                    ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_) => {
                        failed(Kind::BusDown, "not connected to rabbitmq")
                    }
                    _ => failed(Kind::Timeout, "the connection broke while an event was sent"),
                }
                .because(error))
            }
            Err(_) => {
                live.distrust();
                Err(failed(Kind::Timeout, "rabbitmq takes no more"))
            }
        }
    }
}

#[async_trait]
impl Broker for RabbitMq {
    fn capability(&self) -> Capability {
        Capability { group: true, group_order: false, durable: true, replay: false, receipt: Level::Accepted }
    }

    async fn send(&self, topic: &str, _: Bytes, body: Bytes) -> Result<Confirm> {
        self.link.live()?;
        let permit = self.permit(body.len()).await?;
        let live = self.link.live()?;
        let confirm = self.hand_over(&live, topic, &body).await?;
        let (tell, told) = oneshot::channel();
        tokio::spawn(settle(live, confirm, permit, tell));
        let link = self.link.clone();
        Ok(Box::pin(async move {
            let confirmed = time::timeout(link.settings.timeout, told).await;
            receipt(confirmed).map_err(|e| e.context("url", &link.url))
        }))
    }

    async fn open(&self, topic: &str, options: &Options) -> Result<Box<dyn Source>> {
        let role = match options {
            Options { durable: Some(name), .. } => Role::Durable(format!("due.{}", names::group("d", topic, name))),
            Options { group: Some(name), .. } => Role::Group(format!("due.{}", names::group("g", topic, name))),
            _ => Role::Plain,
        };
        start(self.link.clone(), topic.to_owned(), role).await
    }
}

type Confirmed = lapin::Result<Confirmation>;

/// Waits for the confirm, whoever listens: lapin keeps each confirm that is dropped for as long as its channel lives.
async fn settle(
    live: Arc<Live>,
    confirm: PublisherConfirm,
    permit: OwnedSemaphorePermit,
    tell: oneshot::Sender<Confirmed>,
) {
    tokio::select! {
        confirmed = confirm => drop(tell.send(confirmed)),
        () = live.over() => {}
    }
    drop(permit);
}

/// What an event counts, in KiB.
fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(WAITING).clamp(LEAST, WAITING)
}

fn receipt(confirmed: Result<Result<Confirmed, oneshot::error::RecvError>, time::error::Elapsed>) -> Result<Receipt> {
    let unknown = |text| Error::new(Kind::Timeout, text);
    match confirmed {
        // Some queues may have it.
        Ok(Ok(Ok(confirmation))) if confirmation.is_nack() => {
            let error = Error::new(Kind::Unavailable, "rabbitmq does not take the event into each of its queues");
            Err(error.from_origin(Origin::Remote).retry_as(Retry::Unknown))
        }
        Ok(Ok(Ok(_))) => Ok(Receipt::Accepted),
        Ok(Ok(Err(error))) => Err(unknown("the connection broke before rabbitmq confirmed").because(error)),
        Ok(Err(gone)) => Err(unknown("the connection broke before rabbitmq confirmed").because(gone)),
        Err(late) => Err(unknown("rabbitmq does not confirm").because(late)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_by_count_and_bytes() {
        assert_eq!([0, 1, 20 * 1024, 1024 * 1024 + 1].map(weight), [LEAST, LEAST, 20, 1025]);
        assert_eq!(weight(usize::MAX), WAITING);
    }

    #[test]
    fn only_a_confirm_is_a_receipt() {
        assert_eq!(receipt(Ok(Ok(Ok(Confirmation::Ack(None))))).unwrap(), Receipt::Accepted);
        let nack = receipt(Ok(Ok(Ok(Confirmation::Nack(None))))).unwrap_err();
        assert_eq!((nack.kind(), nack.retry()), (Kind::Unavailable, Retry::Unknown));
    }
}
