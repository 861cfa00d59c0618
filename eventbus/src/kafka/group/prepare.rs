//! Before a member joins: the group must have a place in every partition. All of it blocks.

use std::time::Duration;

use due_core::{Result, bus::Begin};
use rdkafka::{
    Offset,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult},
};

use crate::kafka::{
    broker::Shared,
    client::{self, Consumer, retry, unavailable},
    offsets::{Places, Survey, list},
};

/// A consumer that has subscribed, and whether events of its place are gone.
pub(super) fn join(shared: &Shared, topic: &str, group: &str, durable: bool, from: &Begin) -> Result<(Consumer, bool)> {
    let mut config = client::config(&shared.url, &shared.settings);
    client::consuming(&mut config, &shared.settings, group, "earliest");
    let consumer = client::consumer(&config, &shared.url)?;
    let failed = |e: KafkaError| unavailable(&shared.url, "kafka does not keep the place of a group").because(e);
    // The first group of a new cluster has no coordinator yet.
    let placed = retry(shared.settings.timeout, || place(&consumer, shared, topic, group, durable, from));
    let trimmed = placed.map_err(failed)?;
    consumer.subscribe(&[topic]).map_err(failed)?;
    Ok((consumer, trimmed))
}

fn place(
    consumer: &Consumer,
    shared: &Shared,
    topic: &str,
    group: &str,
    durable: bool,
    from: &Begin,
) -> KafkaResult<bool> {
    let s = &shared.settings;
    let survey = Survey::take(consumer, topic, s)?;
    let groups = consumer.fetch_group_list(Some(group), s.timeout)?;
    if groups.groups().iter().any(|g| !g.members().is_empty()) {
        return Ok(false);
    }
    let known = if durable { committed(consumer, topic, &survey, s.timeout)? } else { Places::new() };
    // A place that is kept has partitions that came since: they begin with their first event.
    let (mut start, gone) =
        if known.is_empty() { survey.begin(consumer, topic, from, s)? } else { (survey.first(), false) };
    start.retain(|p, _| !known.contains_key(p));
    if !start.is_empty() {
        consumer.commit(&list(topic, &start)?, CommitMode::Sync)?;
    }
    let lost = |(p, at): (&i32, &i64)| survey.bounds.get(p).is_some_and(|(low, high)| at < low || at > high);
    Ok(gone || known.iter().any(lost))
}

fn committed(consumer: &Consumer, topic: &str, survey: &Survey, timeout: Duration) -> KafkaResult<Places> {
    let all = survey.bounds.keys().map(|p| (*p, 0)).collect();
    let kept = consumer.committed_offsets(list(topic, &all)?, timeout)?;
    let place = |e: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
        Offset::Offset(at) => Some((e.partition(), at)),
        _ => None,
    };
    Ok(kept.elements().into_iter().filter_map(place).collect())
}
