//! Looks at gates and nodes once a second: how many log in and out, and whether errors come in bursts.
//!
//! Each look is one small question to each instance, and tells at most three events of it, whatever happens there.

use std::{collections::HashMap, time::Duration};

use due_cluster::admin::{Admin, Ask, Totals};
use due_core::{
    Incarnation,
    registry::{Instance, InstanceKind},
};
use futures_util::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    events::{Event, Events},
    members::Members,
};

/// Between two looks, and how long an instance may take to answer one.
const LOOK: Duration = Duration::from_secs(1);
/// From so many errors a second on a burst begins.
pub(crate) const BURST: u64 = 10;
/// After so long without that many it is over.
const CALM: Duration = Duration::from_secs(5);

/// Where events go.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) events: Events,
    /// Logins and logouts, which are many: apart from all others, so that they push none of those out.
    pub(crate) binds: Events,
}

/// What was seen of an instance last.
struct Seen {
    life: Incarnation,
    at: Instant,
    totals: Totals,
    burst: Option<Burst>,
}

/// Errors that come fast.
struct Burst {
    began: Instant,
    errors: u64,
    /// When there were as many last.
    last: Instant,
}

/// Looks for ever.
pub(crate) async fn follow(admin: Admin, members: Members, told: Told) {
    let mut all = HashMap::<String, Seen>::new();
    let mut clock = interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let listed = [members.of(InstanceKind::Gate), members.of(InstanceKind::Node)].concat();
        let until = Instant::now() + LOOK;
        let asked = listed.iter().map(|member| admin.ask::<Totals>(member, &Ask::Totals, until));
        for (member, totals) in listed.iter().zip(join_all(asked).await) {
            match totals {
                Ok(totals) => seen(&mut all, member, totals, &told),
                Err(e) => tracing::trace!(instance = %member.id, error = %e, "an instance was not looked at"),
            }
        }
        let is_listed = |key: &String| listed.iter().any(|member| member.key() == *key);
        let gone: Vec<String> = all.keys().filter(|key| !is_listed(key)).cloned().collect();
        for key in gone {
            all.remove(&key).and_then(|seen| seen.burst).inspect(|burst| burst.end(&key, &told));
        }
    }
}

/// An instance has answered. What it counted before it was seen for the first time has not happened since.
fn seen(all: &mut HashMap<String, Seen>, member: &Instance, totals: Totals, told: &Told) {
    let (key, now) = (member.key(), Instant::now());
    let fresh = Seen { life: member.incarnation, at: now, totals, burst: None };
    let Some(before) = all.get_mut(&key) else {
        all.insert(key, fresh);
        return;
    };
    if before.life != member.incarnation {
        before.burst.take().inspect(|burst| burst.end(&key, told));
        *before = fresh;
        return;
    }
    let span = now.saturating_duration_since(before.at);
    for (kind, count) in [
        ("bind.login", totals.logins.saturating_sub(before.totals.logins)),
        ("bind.logout", totals.logouts.saturating_sub(before.totals.logouts)),
    ] {
        if count > 0 {
            told.binds.add(Event::counted(kind, &key, count, format!("in {} ms", span.as_millis())));
        }
    }
    let errors = totals.errors.saturating_sub(before.totals.errors);
    before.count(&key, (errors, span), told);
    (before.at, before.totals) = (now, totals);
}

impl Seen {
    fn count(&mut self, key: &str, (errors, span): (u64, Duration), told: &Told) {
        let now = self.at + span;
        let fast = errors as f64 >= BURST as f64 * span.as_secs_f64() && errors >= BURST;
        match &mut self.burst {
            None if fast => {
                let text = format!("errors in {} ms", span.as_millis());
                told.events.add(Event::counted("errors.began", key, errors, text));
                self.burst = Some(Burst { began: self.at, errors, last: now });
            }
            None => {}
            Some(burst) => {
                burst.errors += errors;
                if fast {
                    burst.last = now;
                } else if now.saturating_duration_since(burst.last) >= CALM {
                    burst.end(key, told);
                    self.burst = None;
                }
            }
        }
    }
}

impl Burst {
    fn end(&self, key: &str, told: &Told) {
        let took = self.last.saturating_duration_since(self.began);
        let text = format!("errors, most of them in {} ms", took.as_millis());
        told.events.add(Event::counted("errors.ended", key, self.errors, text));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    struct Watched {
        all: HashMap<String, Seen>,
        gate: Instance,
        totals: Totals,
        told: Told,
    }

    impl Watched {
        fn new() -> Self {
            let told = Told { events: Events::default(), binds: Events::default() };
            let gate = Instance::new(InstanceKind::Gate, "gate-1", "gate");
            Self { all: HashMap::new(), gate, totals: Totals::default(), told }
        }

        /// A second later so much more has happened.
        async fn look(&mut self, (logins, logouts, errors): (u64, u64, u64)) {
            advance(LOOK).await;
            self.totals.logins += logins;
            self.totals.logouts += logouts;
            self.totals.errors += errors;
            seen(&mut self.all, &self.gate, self.totals, &self.told);
        }

        fn told(events: &Events) -> Vec<(String, Option<u64>)> {
            events.behind(0, 1000, |_| true).events.into_iter().map(|e| (e.kind, e.count)).collect()
        }
    }

    fn event(kind: &str, count: u64) -> (String, Option<u64>) {
        (kind.to_owned(), Some(count))
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_log_in_a_look_tells_two_events_of_a_gate_and_none_of_others_goes() {
        let mut gate = Watched::new();
        gate.look((500, 100, 0)).await;
        assert_eq!(Watched::told(&gate.told.binds), [], "that was before");
        gate.look((10_000, 0, 0)).await;
        gate.look((0, 0, 0)).await;
        gate.look((3, 9_000, 0)).await;
        let expected = [event("bind.login", 10_000), event("bind.login", 3), event("bind.logout", 9_000)];
        assert_eq!(Watched::told(&gate.told.binds), expected);
        assert_eq!(Watched::told(&gate.told.events), []);
        gate.gate.incarnation = Incarnation(gate.gate.incarnation.0 ^ 1);
        gate.totals = Totals::default();
        gate.look((7, 0, 0)).await;
        assert_eq!(Watched::told(&gate.told.binds).len(), 3, "another life counts anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_errors_is_told_when_it_begins_and_once_when_it_is_over_with_its_count() {
        let mut gate = Watched::new();
        for errors in [1000, BURST - 1, BURST, 500, 0, 2, 0, 0, BURST, 0, 0, 0, 0] {
            gate.look((0, 0, errors)).await;
        }
        assert_eq!(Watched::told(&gate.told.events), [event("errors.began", BURST)], "a pause of 4 s is none");
        gate.look((0, 0, 0)).await;
        let all = [event("errors.began", BURST), event("errors.ended", 2 * BURST + 502)];
        assert_eq!(Watched::told(&gate.told.events), all);
        gate.look((0, 0, 99)).await;
        gate.gate.incarnation = Incarnation(gate.gate.incarnation.0 ^ 1);
        gate.look((0, 0, 0)).await;
        assert_eq!(Watched::told(&gate.told.events)[2..], [event("errors.began", 99), event("errors.ended", 99)]);
    }
}
