//! Services of users in meshes: applications that serve them, and others that call them by name.

#[path = "../../../transport/tests/who/mod.rs"]
mod who;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::wire::{Client, shards, soon, until};
use due::{
    Drivers, Kind,
    app::Running,
    core::{
        boot::{Address, MeshSettings, Settings},
        registry::{InstanceKind, State as Standing},
    },
    grpc,
    prelude::*,
    tarpc as rpc,
};
use futures_util::StreamExt;
use tarpc::{
    context::{self, Context},
    server::Channel as _,
};
use tokio::{net::TcpStream, sync::Semaphore};
use who::{Who, WhoClient, WhoServer};

#[tarpc::service]
trait Dice {
    /// Who rolls.
    async fn roll() -> String;
    /// The same, when it is let.
    async fn wait() -> String;
}

/// Calls of `wait` that have begun, and leave to go on.
struct Door {
    begun: AtomicUsize,
    go: Semaphore,
}

impl Door {
    fn shut() -> Arc<Self> {
        Arc::new(Self { begun: AtomicUsize::new(0), go: Semaphore::new(0) })
    }

    async fn begun(&self, calls: usize) {
        until("the calls begin", || async { self.begun.load(Ordering::Relaxed) == calls }).await;
    }
}

/// A service that knows the cluster it is in.
#[derive(Clone)]
struct Table {
    name: &'static str,
    door: Arc<Door>,
    cluster: Cluster,
}

impl Dice for Table {
    async fn roll(self, _: Context) -> String {
        // A lock of the application's own backend: the service reaches it.
        let lock = self.cluster.lock().acquire("dice", Duration::from_secs(5), Duration::from_secs(5)).await;
        lock.map(|_| self.name.to_owned()).unwrap_or_else(|e| e.to_string())
    }

    async fn wait(self, _: Context) -> String {
        self.door.begun.fetch_add(1, Ordering::Relaxed);
        self.door.go.acquire().await.unwrap().forget();
        self.name.to_owned()
    }
}

/// Calls wait for an event, not for a clock.
fn patient() -> Context {
    let mut context = context::current();
    context.deadline += Duration::from_secs(300);
    context
}

type Channel = rpc::Channel<DiceRequest, DiceResponse>;

/// A mesh of the name `dice` that serves tarpc and gRPC.
fn dice(name: &'static str, weight: u32, door: &Arc<Door>) -> Mesh {
    let door = door.clone();
    let table = move |cluster| {
        let table = Table { name, door, cluster };
        rpc::service(move |calls: rpc::Calls<_, _>| {
            calls.execute(table.clone().serve()).for_each_concurrent(64, |call| call)
        })
    };
    let who = move |_| grpc::service(WhoServer::new(name));
    Mesh::new("dice").id(name).weight(weight).serve("tarpc://127.0.0.1:0", table).serve("grpc://127.0.0.1:0", who)
}

async fn run(drivers: &Drivers, part: impl due::app::Part) -> Running {
    App::new(drivers.clone()).shards(shards(2)).with(part).start().await.unwrap()
}

/// Two applications with a mesh each, `a` of weight 1 and `b` of weight 3, and the drivers they share.
async fn two() -> (Drivers, Running, Running, Arc<Door>) {
    let (drivers, door) = (due::drivers(), Door::shut());
    let (a, b) = (run(&drivers, dice("a", 1, &door)).await, run(&drivers, dice("b", 3, &door)).await);
    (drivers, a, b, door)
}

/// Waits until the channel is connected to so many.
async fn connected(channel: &Channel, count: usize) {
    until("the members are connected", || async { channel.connected() == count }).await;
}

/// A call that waits.
fn waiting(channel: &Channel) -> tokio::task::JoinHandle<Result<String, tarpc::client::RpcError>> {
    let client = DiceClient::from(channel.clone());
    tokio::spawn(async move { client.wait(patient()).await })
}

/// Who answers so many calls.
async fn shares(channel: &Channel, calls: usize) -> BTreeMap<String, usize> {
    let client = DiceClient::from(channel.clone());
    let mut counts = BTreeMap::new();
    for _ in 0..calls {
        *counts.entry(soon("a roll", client.roll(patient())).await.unwrap()).or_default() += 1;
    }
    counts
}

fn expected<const N: usize>(shares: [(&str, usize); N]) -> BTreeMap<String, usize> {
    shares.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

const ROLL: Call<(), String> = Call::new(40, "roll");
const WHO: Call<String, String> = Call::new(41, "who");

/// What handlers of a node call with, opened at its start.
#[derive(Clone, Default)]
struct Services {
    dice: Arc<OnceLock<Channel>>,
    who: Arc<OnceLock<grpc::Channel>>,
}

async fn roll(State(services): State<Services>) -> Result<String, Fault> {
    let channel = services.dice.get().ok_or_else(|| Fault::of(Kind::Unavailable))?.clone();
    Ok(DiceClient::from(channel).roll(patient()).await?)
}

async fn who(State(services): State<Services>, Msg(name): Msg<String>) -> Result<String, Fault> {
    let channel = services.who.get().ok_or_else(|| Fault::of(Kind::Unavailable))?.clone();
    Ok(WhoClient::new(channel).who(Who { name }).await?.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_calls_the_services_of_another_application() {
    let drivers = due::drivers();
    let _mesh = run(&drivers, dice("a", 1, &Door::shut())).await;
    let services = Services::default();
    let routes = Routes::new().route(ROLL, roll).route(WHO, who).with_state(services.clone());
    let node = Node::new("game").routes(routes).started(move |cluster| async move {
        let _ = services.dice.set(rpc::channel(cluster.registry(), "discovery://dice").await?);
        let _ = services.who.set(grpc::channel(cluster.registry(), "discovery://test.Who").await?);
        Ok(())
    });
    let app = App::new(drivers).shards(shards(2)).with(Gate::new("gate").listen("tcp://127.0.0.1:0")).with(node);
    let running = app.start().await.unwrap();
    let mut client = Client::tcp(&running).await;
    assert_eq!(client.ask(40, 1, b"").await, b"\"a\"");
    assert_eq!(client.ask(41, 2, b"\"you\"").await, b"\"a\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_follow_the_weights_and_states_of_the_applications() {
    let (drivers, a, b, _) = two().await;
    let caller = run(&drivers, Node::new("game")).await;
    let channel: Channel = rpc::channel(caller.cluster().registry(), "discovery://dice").await.unwrap();
    connected(&channel, 2).await;
    assert_eq!(shares(&channel, 40).await, expected([("a", 10), ("b", 30)]));
    for (state, running, other) in [(Standing::Hang, &b, "a"), (Standing::Busy, &a, "b")] {
        running.announce(state).await.unwrap();
        soon("the others are called", async { while shares(&channel, 4).await != expected([(other, 4)]) {} }).await;
        assert_eq!(shares(&channel, 8).await, expected([(other, 8)]), "{state:?}");
        running.announce(Standing::Work).await.unwrap();
        soon("both are called", async { while shares(&channel, 4).await.len() < 2 {} }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_no_call_and_lets_those_that_run_end() {
    let (drivers, a, b, door) = two().await;
    let registry = drivers.registry.open(&due::Url::parse("memory://").unwrap()).await.unwrap();
    let channel: Channel = rpc::channel(&*registry, "discovery://dice").await.unwrap();
    connected(&channel, 2).await;
    let waits: Vec<_> = (0..8).map(|_| waiting(&channel)).collect();
    door.begun(8).await;
    let (stopped, host) = (AtomicBool::new(false), a.url("dice:tarpc").unwrap().host().to_owned());
    let stop = async {
        a.stop(Duration::from_secs(60)).await.unwrap();
        stopped.store(true, Ordering::Relaxed);
    };
    let play = async {
        // While it goes, every call is answered, by the other alone at last.
        while TcpStream::connect(&host).await.is_ok() {
            shares(&channel, 4).await;
        }
        assert_eq!(shares(&channel, 8).await, expected([("b", 8)]));
        assert!(!stopped.load(Ordering::Relaxed), "its calls still run");
        door.go.add_permits(8);
    };
    soon("the stop", async { tokio::join!(stop, play) }).await;
    let mut answers = BTreeMap::new();
    for wait in waits {
        *answers.entry(wait.await.unwrap().unwrap()).or_default() += 1;
    }
    assert_eq!(answers, expected([("a", 2), ("b", 6)]));
    b.stop(Duration::from_secs(60)).await.unwrap();
    let mut watch = registry.watch(InstanceKind::Mesh).await.unwrap();
    soon("nobody is listed", watch.until(|view| view.members.is_empty())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_cut_at_the_deadline_and_named() {
    let (drivers, door) = (due::drivers(), Door::shut());
    let running = run(&drivers, dice("a", 1, &door)).await;
    let host = running.url("dice:tarpc").unwrap().host().to_owned();
    let channel = Channel::direct(&format!("direct://{host}")).await.unwrap();
    let wait = waiting(&channel);
    door.begun(1).await;
    let error = running.stop(Duration::from_millis(200)).await.unwrap_err();
    assert!(error.kind() == Kind::Timeout && error.to_string().contains("calls of the mesh dice"), "{error}");
    assert!(wait.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_move_a_service_and_choose_the_mesh_alone() {
    let (drivers, door) = (due::drivers(), Door::shut());
    let settings = |listen: &str| Settings {
        roles: Some(vec!["mesh".to_owned()]),
        mesh: BTreeMap::from([(
            "dice".to_owned(),
            MeshSettings { listen: Some(vec![Address::new(listen).unwrap()]), ..MeshSettings::default() },
        )]),
        ..Settings::default()
    };
    let app =
        || App::new(drivers.clone()).with(Gate::new("gate").listen("tcp://127.0.0.1:0")).with(dice("a", 1, &door));
    let running = app().args(settings("tarpc://localhost:0?advertise=localhost")).start().await.unwrap();
    assert!(running.url("gate").is_none());
    assert!(running.url("dice:tarpc").unwrap().host().starts_with("localhost:"));
    let wrong = app().args(settings("http://127.0.0.1:0")).start().await.err().unwrap();
    assert!(wrong.kind() == Kind::Config && wrong.to_string().contains("mesh.dice.listen"), "{wrong}");
}

#[tokio::test]
async fn a_service_refuses_an_address_of_another_protocol() {
    let mesh = Mesh::new("dice").serve("tarpc://127.0.0.1:0", |_| grpc::service(WhoServer::new("a")));
    let error = App::new(due::drivers()).with(mesh).start().await.err().unwrap();
    assert!(error.kind() == Kind::Config && error.to_string().contains("grpc://host:port"), "{error}");
}
