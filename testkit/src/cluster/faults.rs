//! What goes wrong between processes.

use due_core::{InstanceId, locate, registry, transport};

use super::start::TestCluster;

impl TestCluster {
    /// From now on nothing passes between two processes, and neither notices. After [`heal`](Self::heal) all of it
    /// arrives in order. Registry and locator are not concerned.
    pub fn partition(&self, a: &str, b: &str) {
        self.links().cut_both(&id(a), &id(b));
    }

    /// Ends a partition.
    pub fn heal(&self, a: &str, b: &str) {
        self.links().heal(&id(a), &id(b));
    }

    /// Breaks the links between two processes: both ends are over at once and what was under way is lost. They connect
    /// anew unless there is a partition.
    pub fn reset(&self, a: &str, b: &str) {
        self.links().reset(&id(a), &id(b));
    }

    /// The process reads no link until [`resume`](Self::resume), as if it was stopped.
    pub fn stall(&self, name: &str) {
        self.links().stall(&id(name));
    }

    /// The process reads its links again.
    pub fn resume(&self, name: &str) {
        self.links().resume(&id(name));
    }

    /// All faults of the links.
    pub fn links(&self) -> transport::memory::Faults {
        self.world().transport.faults()
    }

    /// The faults of the registry.
    pub fn registry(&self) -> registry::memory::Faults {
        self.world().registry.faults()
    }

    /// The faults of the locator.
    pub fn locator(&self) -> locate::memory::Faults {
        self.world().locator.faults()
    }
}

fn id(name: &str) -> InstanceId {
    InstanceId::from(name)
}
