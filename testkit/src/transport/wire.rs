//! Faults of a real network, for transports over TCP.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use due_core::{InstanceId, Url};

use super::{Faults, server};
use crate::server::{Direction, Proxy};

/// A proxy before each server of the bench.
#[derive(Default)]
pub struct Wire {
    proxies: Mutex<Vec<Proxy>>,
    come_back: bool,
}

impl Wire {
    /// For a transport whose links get a lost connection back, or (`false`) end with it.
    pub fn new(come_back: bool) -> Self {
        Self { come_back, ..Self::default() }
    }

    fn proxies(&self) -> MutexGuard<'_, Vec<Proxy>> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self, order: impl Fn(&Proxy)) {
        self.proxies().iter().for_each(order);
    }
}

/// The way that leads to this instance.
fn to(id: &InstanceId) -> Direction {
    if *id == server().id { Direction::ToServer } else { Direction::ToClient }
}

#[async_trait]
impl Faults for Wire {
    async fn way(&self, url: &Url) -> Url {
        let proxy = Proxy::to(url.host()).await;
        let way = url.with_host(proxy.address());
        self.proxies().push(proxy);
        way
    }

    fn come_back(&self) -> bool {
        self.come_back
    }

    fn cut(&self, _: &InstanceId, at: &InstanceId) {
        self.each(|proxy| proxy.swallow(to(at)));
    }

    fn heal(&self, _: &InstanceId, _: &InstanceId) {
        self.each(Proxy::mend);
    }

    fn reset(&self, _: &InstanceId, _: &InstanceId) {
        self.each(Proxy::close_all);
    }

    fn stall(&self, id: &InstanceId) {
        self.each(|proxy| proxy.swallow(to(id)));
    }

    fn resume(&self, _: &InstanceId) {
        self.each(Proxy::mend);
    }

    fn refuse(&self, _: &InstanceId) {
        self.each(Proxy::cut);
    }

    fn welcome(&self, _: &InstanceId) {
        self.each(Proxy::mend);
    }
}
