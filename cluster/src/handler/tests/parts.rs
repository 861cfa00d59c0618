//! A session and a cluster that lead nowhere.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, OnceLock},
};

use due_core::{Incarnation, Owner, SessionId, bus, cache, config, locate, lock, registry};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    cluster::{self, Backends, Cluster},
    link::Opened,
    node::bound::Bindings,
    session::{Made, NodeSelf, Session},
    shard::{
        inbox::{Inbox, SessionKey},
        ready::{Ready, Token},
    },
};

pub(super) fn session() -> Session {
    let gate = Owner { id: "gate-1".into(), incarnation: Incarnation(1) };
    let node = NodeSelf {
        name: "game".into(),
        owner: Owner { id: "game-1".into(), incarnation: Incarnation(2) },
        locator: Arc::new(locate::memory::Memory::default()),
        bindings: Bindings::new("game"),
        speakers: Default::default(),
        encryptor: None,
        doubt: Default::default(),
        contact: Default::default(),
    };
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    Session::new(Made {
        opened: Opened { session: SessionId(1), cid: 1, peer, user: None, ..Opened::nobody() },
        gate,
        gate_shard: 0,
        lane: 0,
        key: SessionKey { node: 0, slot: 0, generation: 0 },
        home: Arc::new(Inbox::new(Arc::<Ready>::default().waker(Token::Inbox).1)),
        node: Arc::new(node),
        crowded: Arc::default(),
    })
}

pub(super) fn cluster() -> Cluster {
    let backends = Backends {
        registry: Arc::new(registry::memory::registry()),
        locator: Arc::new(locate::memory::Memory::default()),
        bus: Arc::new(bus::memory::Memory::default()),
        config: Arc::new(config::memory::Memory::default()),
        lock: Arc::new(lock::memory::Memory::default()),
        cache: Arc::new(cache::memory::Memory::default()),
    };
    Cluster(Arc::new(cluster::Inner {
        side: crate::admin::Side::new(Vec::new(), Vec::new(), Vec::new()),
        backends,
        gates: Mutex::default(),
        callees: Vec::new(),
        peers: Arc::new(crate::peer::Peers::nobody(service())),
        service: service(),
        pool: Arc::new(tokio::sync::Semaphore::new(4)),
        encryptor: None,
    }))
}

/// A runtime that nobody drives: a cluster wants one to spawn on.
fn service() -> Handle {
    static IDLE: OnceLock<Runtime> = OnceLock::new();
    IDLE.get_or_init(|| Builder::new_current_thread().build().expect("a runtime")).handle().clone()
}
