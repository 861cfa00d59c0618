//! A subscriber that gets everything: all partitions, from places of its own.

use std::{collections::VecDeque, mem, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Result,
    bus::{Ack, Begin, Cause, Gap, Raw, Source},
};
use rdkafka::{
    Message,
    consumer::Consumer as _,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tokio::{
    task::JoinHandle,
    time::{self, Duration, Instant, Interval, MissedTickBehavior},
};

use super::{
    broker::{Shared, position},
    client::{self, Consumer, blocking, retry, unavailable},
    offsets::{Places, Survey, list},
};

/// Between two surveys that errors ask for.
const PAUSE: Duration = Duration::from_millis(500);

struct Plain {
    shared: Arc<Shared>,
    topic: Arc<str>,
    consumer: Option<Arc<Consumer>>,
    places: Places,
    waiting: VecDeque<Raw>,
    refresh: Interval,
    /// No survey for an error before.
    not_before: Instant,
    /// Brokers do not know a place of this subscription: it must be set anew.
    reset: bool,
    /// A survey that is under way; kept here so that a dropped `next` does not forget it.
    survey: Option<JoinHandle<KafkaResult<Survey>>>,
}

/// Reads where the logs end now, or where `from` says, and begins there.
pub(super) async fn open(shared: Arc<Shared>, topic: String, from: &Begin) -> Result<Box<dyn Source>> {
    let (from, state) = (from.clone(), shared.clone());
    let name = topic.clone();
    let opened = blocking(move || -> Result<_> {
        let mut config = client::config(&state.url, &state.settings);
        // A group's name is a must though there is no group: nothing joins, nothing is committed.
        client::consuming(&mut config, &state.settings, "due.plain", "error");
        let consumer = client::consumer(&config, &state.url)?;
        let failed = |e: KafkaError| unavailable(&state.url, "kafka does not say where its logs end").because(e);
        let begin = || {
            let survey = Survey::take(&consumer, &name, &state.settings)?;
            survey.begin(&consumer, &name, &from, &state.settings)
        };
        // A topic that was made just now is not known to every broker yet.
        let (places, trimmed) = retry(state.settings.timeout, begin).map_err(failed)?;
        list(&name, &places).and_then(|l| consumer.assign(&l)).map_err(failed)?;
        Ok((consumer, places, trimmed))
    });
    let (consumer, places, trimmed) = opened.await??;
    let mut refresh = time::interval_at(Instant::now() + shared.settings.refresh, shared.settings.refresh);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let waiting = trimmed.then_some(Raw::Gap(Gap { cause: Cause::Trimmed, lost: None })).into_iter().collect();
    Ok(Box::new(Plain {
        shared,
        topic: topic.into(),
        consumer: Some(Arc::new(consumer)),
        places,
        waiting,
        refresh,
        not_before: Instant::now(),
        reset: false,
        survey: None,
    }))
}

impl Plain {
    fn look(&mut self, consumer: &Arc<Consumer>) {
        let (consumer, topic, shared) = (consumer.clone(), self.topic.clone(), self.shared.clone());
        self.not_before = Instant::now() + PAUSE;
        self.survey = Some(tokio::task::spawn_blocking(move || Survey::take(&consumer, &topic, &shared.settings)));
    }

    /// Goes on where the survey says.
    fn follow(&mut self, consumer: &Consumer, survey: &Survey) {
        let (places, changed, trimmed) = survey.follow(&self.places);
        // The log may have been cut and have grown again: then its ends show nothing.
        let reset = mem::take(&mut self.reset);
        if !changed && !reset {
            return;
        }
        match list(&self.topic, &places).and_then(|l| consumer.assign(&l)) {
            Ok(()) => self.places = places,
            Err(error) => tracing::warn!(topic = &*self.topic, %error, "partitions were not assigned"),
        }
        if trimmed || reset {
            self.waiting.push_back(Raw::Gap(Gap { cause: Cause::Trimmed, lost: None }));
        }
    }

    fn message(&mut self, message: &impl Message) -> Option<Raw> {
        let (partition, offset) = (message.partition(), message.offset());
        let next = self.places.entry(partition).or_insert(offset);
        if offset < *next {
            return None;
        }
        *next = offset + 1;
        let body = Bytes::copy_from_slice(message.payload().unwrap_or_default());
        let position = Some(position(partition, offset, message.timestamp()));
        Some(Raw::Message { body, position, ack: Ack::none() })
    }

    /// Most errors need no help: librdkafka connects again by itself. It stops to read a partition whose log does not have
    /// the place.
    fn error(&mut self, consumer: &Arc<Consumer>, error: &KafkaError) {
        tracing::debug!(topic = &*self.topic, %error, "reading");
        self.reset |= error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset);
        if Instant::now() >= self.not_before {
            self.look(consumer);
        }
    }
}

#[async_trait]
impl Source for Plain {
    async fn next(&mut self) -> Option<Raw> {
        let consumer = self.consumer.clone()?;
        loop {
            if let Some(raw) = self.waiting.pop_front() {
                return Some(raw);
            }
            if let Some(survey) = &mut self.survey {
                let taken = survey.await;
                self.survey = None;
                match taken {
                    Ok(Ok(survey)) => self.follow(&consumer, &survey),
                    Ok(Err(error)) => tracing::debug!(topic = &*self.topic, %error, "no survey"),
                    Err(_) => return None,
                }
                continue;
            }
            tokio::select! {
                message = consumer.recv() => match message {
                    Ok(message) => if let Some(raw) = self.message(&message) { return Some(raw) },
                    Err(error) => self.error(&consumer, &error),
                },
                _ = self.refresh.tick() => self.look(&consumer),
                () = time::sleep_until(self.not_before), if self.reset => self.look(&consumer),
            }
        }
    }

    /// Keys lie in partitions. Offsets show losses instead.
    fn in_order(&self) -> bool {
        false
    }
}

impl Drop for Plain {
    /// Closing a client waits for its threads.
    fn drop(&mut self) {
        let consumer = self.consumer.take();
        std::thread::spawn(move || drop(consumer));
    }
}
