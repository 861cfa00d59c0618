//! Where the application is in its life.

use std::sync::atomic::{AtomicU8, Ordering};

use due_core::registry::{Listed, Standing, State};

use super::Side;

/// Starting, running, stopping.
#[derive(Debug, Default)]
pub(crate) struct Health(AtomicU8);

impl Health {
    /// All parts run.
    pub(crate) fn started(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// It stops.
    pub(crate) fn stopping(&self) {
        self.0.store(2, Ordering::Release);
    }

    /// Has it started?
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only probes ask"))]
    pub(crate) fn has_started(&self) -> bool {
        self.0.load(Ordering::Acquire) >= 1
    }

    /// Why it takes no work now; nothing if it does.
    #[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only probes ask"))]
    pub(crate) fn reasons(&self, side: &Side) -> Vec<String> {
        let mut all: Vec<String> = match self.0.load(Ordering::Acquire) {
            0 => vec!["starting".to_owned()],
            1 => Vec::new(),
            _ => vec!["stopping".to_owned()],
        };
        all.extend(side.listed().iter().filter_map(unready));
        all
    }
}

fn unready(listed: &Listed) -> Option<String> {
    let instance = listed.instance();
    let why = match (listed.standing(), instance.state) {
        (Standing::Held, State::Work | State::Busy) => return None,
        (Standing::Held, _) => "takes no new work",
        (Standing::Lost, _) => "is not listed by the registry",
        (Standing::Superseded, _) => "has lost its id to another process",
    };
    Some(format!("{} {} {why}", instance.kind, instance.id))
}
