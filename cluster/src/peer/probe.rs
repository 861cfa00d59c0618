//! Whether somebody who is registered under an id still lives: asked by whoever wants the id.

use std::{collections::BTreeMap, error::Error as _, fs, io, sync::Arc};

use async_trait::async_trait;
use due_core::{
    Error, Owner, Retry, Url,
    registry::{Answer, Instance, Probe},
    transport::{Dialer, Transport},
};

/// Labels of every instance, by which a second holder of an id is told where the first one is.
const HOST: &str = "host";
const PID: &str = "pid";

/// Where this process runs.
pub(crate) fn labels() -> BTreeMap<String, String> {
    [(HOST.to_owned(), host()), (PID.to_owned(), std::process::id().to_string())].into()
}

fn host() -> String {
    let named = fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned());
    let named = named.or_else(|| std::env::var("HOSTNAME").ok()).or_else(|| std::env::var("COMPUTERNAME").ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Dials whoever is asked about: only the very life that is meant takes a link.
pub(crate) struct Dialing {
    pub(crate) own: Owner,
    pub(crate) transport: Arc<dyn Transport>,
}

#[async_trait]
impl Probe for Dialing {
    async fn ask(&self, other: &Instance) -> Answer {
        let Some(url) = other.endpoints.first().and_then(|endpoint| Url::parse(endpoint).ok()) else {
            return Answer::Silent;
        };
        let from = Dialer { owner: self.own.clone(), shard: Dialer::ORDERS };
        match self.transport.connect(&url, from, &other.owner()).await {
            Ok(_) => alive(&other.labels),
            Err(e) if e.retry() == Retry::Never || is_refused(&e) => Answer::Dead,
            Err(_) => Answer::Silent,
        }
    }
}

fn alive(labels: &BTreeMap<String, String>) -> Answer {
    let host = labels.get(HOST).cloned().unwrap_or_else(|| "unknown".to_owned());
    Answer::Alive { host, pid: labels.get(PID).and_then(|pid| pid.parse().ok()).unwrap_or_default() }
}

/// Does nobody listen there?
fn is_refused(e: &Error) -> bool {
    let mut cause = e.source();
    while let Some(e) = cause {
        if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = e.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use due_core::{
        Incarnation, Kind,
        registry::InstanceKind,
        transport::{Acceptor, Link, memory::Memory},
    };

    use super::*;

    struct Takes;

    impl Acceptor for Takes {
        fn accept(&self, _: Dialer, _: Box<dyn Link>) {}
    }

    fn instance(url: &Url, incarnation: u64) -> Instance {
        let instance = Instance::new(InstanceKind::Node, "n1", "game");
        let incarnation = Incarnation(incarnation);
        Instance { incarnation, endpoints: vec![url.to_string()], labels: labels(), ..instance }
    }

    #[tokio::test]
    async fn a_life_that_listens_is_alive_and_any_other_is_dead() {
        let transport = Arc::new(Memory::default());
        let url = Url::parse("memory://n1").unwrap();
        let probe = Dialing { own: instance(&url, 9).owner(), transport: transport.clone() };
        assert_eq!(probe.ask(&instance(&url, 1)).await, Answer::Dead, "nobody listens");
        let listening = transport.listen(&url, instance(&url, 1).owner(), Arc::new(Takes)).await.unwrap();
        let pid = std::process::id();
        assert_eq!(probe.ask(&instance(&listening.url, 1)).await, Answer::Alive { host: host(), pid });
        assert_eq!(probe.ask(&instance(&listening.url, 2)).await, Answer::Dead, "another life listens");
        let nowhere = Instance { endpoints: Vec::new(), ..instance(&url, 1) };
        assert_eq!(probe.ask(&nowhere).await, Answer::Silent);
    }

    #[test]
    fn a_way_that_is_broken_proves_nothing() {
        let broken =
            |kind: io::ErrorKind| Error::new(Kind::Unavailable, "cannot connect").because(io::Error::from(kind));
        assert!(is_refused(&broken(io::ErrorKind::ConnectionRefused)));
        assert!(!is_refused(&broken(io::ErrorKind::TimedOut)) && !is_refused(&Kind::Unavailable.into()));
    }
}
