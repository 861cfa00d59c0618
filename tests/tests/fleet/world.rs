//! A fleet and the servers it stands on.

use std::time::Duration;

use due_testkit::server::{Program, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, SemaphorePermit},
};

use crate::process::Process;

/// Fleets at a time: each is a dozen processes, and tests run side by side.
static ROOM: Semaphore = Semaphore::const_new(3);

/// Where the processes find each other.
pub(crate) enum Backends {
    /// Servers of this test's own: registry, event bus, locator.
    Servers(Box<Servers>),
    /// The first process that opens this address is the home of all others.
    Peer(String),
}

pub(crate) struct Servers {
    pub(crate) etcd: Server,
    pub(crate) nats: Server,
    pub(crate) redis: Server,
}

/// A fleet; all of it ends with this.
pub(crate) struct World {
    pub(crate) backends: Backends,
    _room: SemaphorePermit<'static>,
}

impl World {
    /// On etcd, NATS and redis; `None`, after saying so, where one of them is not installed.
    pub(crate) async fn on_servers() -> Option<Self> {
        let room = ROOM.acquire().await.unwrap();
        let etcd = Server::start(Program::Etcd).await?;
        let nats = Server::start(Program::Nats).await?;
        let redis = Server::start(Program::Redis).await?;
        Some(Self { backends: Backends::Servers(Box::new(Servers { etcd, nats, redis })), _room: room })
    }

    /// On nothing but each other.
    pub(crate) async fn on_peers() -> Self {
        let room = ROOM.acquire().await.unwrap();
        let home = format!("127.0.0.1:{}", crate::program::free_port());
        Self { backends: Backends::Peer(home), _room: room }
    }

    pub(crate) fn servers(&self) -> &Servers {
        match &self.backends {
            Backends::Servers(servers) => servers,
            Backends::Peer(_) => panic!("a fleet of peers has no servers"),
        }
    }

    /// The arguments of a process of this fleet.
    pub(crate) fn args(&self, role: &str, id: &str) -> Vec<String> {
        let mut args = words(&[role, "--id", id, "--shards", "1", "--drain", "10s", "--probes", "http://127.0.0.1:0"]);
        args.extend(match &self.backends {
            Backends::Servers(all) => vec![
                // Short leases: the tests wait for the end of some.
                format!("--registry=etcd://{}?ttl=3s", all.etcd.address()),
                format!("--eventbus=nats://{}", all.nats.address()),
                format!("--locator=redis://{}", all.redis.address()),
            ],
            Backends::Peer(home) => vec![format!("--peers={home}")],
        });
        args
    }

    /// Starts a process and waits until it serves.
    pub(crate) async fn start(&self, role: &str, id: &str) -> Process {
        self.start_with(role, id, &[]).await
    }

    /// The same with more arguments.
    pub(crate) async fn start_with(&self, role: &str, id: &str, more: &[&str]) -> Process {
        let args = [self.args(role, id), words(more)].concat();
        Process::spawn(id, &args).ready().await
    }

    /// Starts several at once.
    pub(crate) async fn start_all(&self, role: &str, ids: &[&str]) -> Vec<Process> {
        let starting: Vec<Process> = ids.iter().map(|id| Process::spawn(id, &self.args(role, id))).collect();
        let mut all = Vec::new();
        for process in starting {
            all.push(process.ready().await);
        }
        all
    }

    /// Two gates, so many nodes, and a mesh.
    pub(crate) async fn play(&self, nodes: usize) -> Fleet {
        let mesh = self.start("mesh", "mesh-1").await;
        let ids: Vec<String> = (1..=nodes).map(|n| format!("node-{n}")).collect();
        let nodes = self.start_all("node", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let gates = self.start_all("gate", &["gate-1", "gate-2"]).await;
        Fleet { gates, nodes, meshes: vec![mesh] }
    }
}

/// Waits until etcd lists so many nodes (meshes are nodes too).
pub(crate) async fn nodes_listed(etcd: &Server, wanted: usize) {
    while nodes_in(etcd).await.is_none_or(|count| count < wanted) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many nodes stand under `/due/registry/node/`; `None` if etcd does not say.
async fn nodes_in(etcd: &Server) -> Option<usize> {
    let body = r#"{"key":"L2R1ZS9yZWdpc3RyeS9ub2RlLw==","range_end":"L2R1ZS9yZWdpc3RyeS9ub2RlMA==","count_only":true}"#;
    let mut stream = TcpStream::connect(etcd.address()).await.ok()?;
    let head = format!("POST /v3/kv/range HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let count = answer.split_once(r#""count":""#)?.1;
    count.split('"').next()?.parse().ok()
}

/// The processes of a fleet.
pub(crate) struct Fleet {
    pub(crate) gates: Vec<Process>,
    pub(crate) nodes: Vec<Process>,
    pub(crate) meshes: Vec<Process>,
}

impl Fleet {
    /// Where clients go.
    pub(crate) fn doors(&self) -> Vec<String> {
        self.gates.iter().map(Process::tcp).collect()
    }

    /// Takes out the node that runs as this process.
    pub(crate) fn take_node(&mut self, pid: u32) -> Process {
        let at = self.nodes.iter().position(|node| node.pid() == pid).expect("a node has this number");
        self.nodes.remove(at)
    }

    /// The end of every log.
    pub(crate) fn logs(&self) -> String {
        let all = self.gates.iter().chain(&self.nodes).chain(&self.meshes);
        all.map(|p| format!("{} ({}):\n{}", p.name(), p.pid(), p.log())).collect()
    }
}

pub(crate) fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}
