//! Where logs begin and end, and where to begin in them.

use std::{collections::BTreeMap, time::UNIX_EPOCH};

use due_core::bus::{Begin, Position};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, KafkaResult},
};

use super::{
    client::{Consumer, partitions},
    settings::Settings,
};

/// The next offset of each partition.
pub(super) type Places = BTreeMap<i32, i64>;

/// A survey of a topic.
pub(super) struct Survey {
    /// First and next offset of each partition.
    pub(super) bounds: BTreeMap<i32, (i64, i64)>,
}

impl Survey {
    /// Asks the brokers. Blocks.
    pub(super) fn take(consumer: &Consumer, topic: &str, settings: &Settings) -> KafkaResult<Self> {
        let mut bounds = BTreeMap::new();
        for partition in partitions(consumer.client(), topic, settings)? {
            bounds.insert(partition, consumer.fetch_watermarks(topic, partition, settings.timeout)?);
        }
        if bounds.is_empty() {
            return Err(KafkaError::MetadataFetch(rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        Ok(Self { bounds })
    }

    /// Where a subscription begins, and whether what it asks for is gone. Blocks.
    pub(super) fn begin(
        &self,
        consumer: &Consumer,
        topic: &str,
        from: &Begin,
        settings: &Settings,
    ) -> KafkaResult<(Places, bool)> {
        match from {
            Begin::Now => Ok((self.bounds.iter().map(|(p, (_, high))| (*p, *high)).collect(), false)),
            Begin::First => Ok((self.first(), false)),
            Begin::Time(time) => {
                let millis = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
                let millis = i64::try_from(millis).unwrap_or(i64::MAX);
                Ok((self.since(consumer, topic, millis, settings)?, false))
            }
            Begin::After(position) => match parse(position) {
                Some((partition, offset, time)) if self.has(partition, offset) => {
                    let mut places = self.since(consumer, topic, time, settings)?;
                    places.insert(partition, offset + 1);
                    Ok((places, false))
                }
                _ => Ok((self.first(), true)),
            },
        }
    }

    /// Where all logs begin.
    pub(super) fn first(&self) -> Places {
        self.bounds.iter().map(|(p, (low, _))| (*p, *low)).collect()
    }

    /// Was there an event, and is everything behind it still there?
    fn has(&self, partition: i32, offset: i64) -> bool {
        self.bounds.get(&partition).is_some_and(|(low, high)| offset >= 0 && offset < *high && offset + 1 >= *low)
    }

    fn since(&self, consumer: &Consumer, topic: &str, millis: i64, settings: &Settings) -> KafkaResult<Places> {
        let mut times = TopicPartitionList::new();
        for partition in self.bounds.keys() {
            times.add_partition_offset(topic, *partition, Offset::Offset(millis))?;
        }
        let found = consumer.offsets_for_times(times, settings.timeout)?;
        let offset = |p: &i32, high: i64| match found.find_partition(topic, *p).map(|e| e.offset()) {
            Some(Offset::Offset(at)) => at,
            _ => high,
        };
        Ok(self.bounds.iter().map(|(p, (_, high))| (*p, offset(p, *high))).collect())
    }

    /// Where to go on from `places`; whether anything changed, and whether events are gone. New partitions begin with
    /// their first event; a log that begins behind the place or ends before it has lost some.
    pub(super) fn follow(&self, places: &Places) -> (Places, bool, bool) {
        let (mut changed, mut trimmed) = (false, false);
        let next = self.bounds.iter().map(|(p, (low, high))| match places.get(p) {
            Some(at) if at < low || at > high => {
                (changed, trimmed) = (true, true);
                (*p, *low)
            }
            Some(at) => (*p, *at),
            None => {
                changed = true;
                (*p, *low)
            }
        });
        let next = next.collect();
        (next, changed, trimmed)
    }
}

/// `partition:offset:time`.
fn parse(position: &Position) -> Option<(i32, i64, i64)> {
    let mut parts = position.0.split(':');
    let parsed = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(parsed)
}

/// As librdkafka wants it.
pub(super) fn list(topic: &str, places: &Places) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in places {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(bounds: &[(i32, i64, i64)]) -> Survey {
        Survey { bounds: bounds.iter().map(|(p, low, high)| (*p, (*low, *high))).collect() }
    }

    #[test]
    fn logs_that_begin_behind_the_place_or_end_before_it_are_trimmed() {
        let survey = survey(&[(0, 5, 10), (1, 0, 3), (2, 0, 7)]);
        let follow = |places: &[(i32, i64)]| survey.follow(&places.iter().copied().collect());
        assert_eq!(follow(&[(0, 7), (1, 3), (2, 0)]), (Places::from([(0, 7), (1, 3), (2, 0)]), false, false));
        assert_eq!(follow(&[(0, 4), (1, 3), (2, 0)]), (Places::from([(0, 5), (1, 3), (2, 0)]), true, true));
        assert_eq!(follow(&[(0, 7), (1, 4), (2, 0)]), (Places::from([(0, 7), (1, 0), (2, 0)]), true, true));
        assert_eq!(follow(&[(0, 7), (1, 3)]), (Places::from([(0, 7), (1, 3), (2, 0)]), true, false));
    }

    #[test]
    fn positions_are_read_or_refused() {
        let read = |text: &str| parse(&Position(text.into()));
        assert_eq!(read("1:20:300"), Some((1, 20, 300)));
        for wrong in ["", "1", "1:2", "1:2:3:4", "a:2:3", "1:2:x", "nonsense"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
