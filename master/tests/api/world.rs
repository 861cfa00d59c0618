//! A cluster in one process, a master with links of its own to it, and a client that holds each answer against the
//! contract.

use std::{net::SocketAddr, sync::Mutex, time::Duration};

use due_cluster::{
    Admission, App, Cluster, Fault, Gate, Node, Running, Session, Shards,
    actor::Actor,
    handler::{Msg, Routes},
};
use due_codec::Json;
use due_core::{
    Call, Drivers, Push, Uid,
    config::{Live, Validate},
};
use due_master::Master;
use due_testkit::cluster::{Client, TestCluster};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

pub(crate) const LOGIN: Call<i64, u64, Json> = Call::new(1, "login");
pub(crate) const ADD: Call<i64, i64, Json> = Call::new(2, "add");
pub(crate) const SIT: Call<u64, (), Json> = Call::new(3, "sit").authorized();
pub(crate) const NOWHERE: Call<i64, (), Json> = Call::new(99, "nowhere");
pub(crate) const SAID: Push<String, Json> = Push::new(101, "said");

async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<u64, Fault> {
    me.bind(uid).await.map_err(|e| Fault::new(e.kind().into(), e.text().to_owned()))?;
    me.subscribe("room")?;
    Ok(1)
}

struct Table;

impl Actor for Table {
    const KIND: &'static str = "table";
    type Key = u64;
}

async fn sit(me: Session, Msg(table): Msg<u64>, cluster: Cluster) -> Result<(), Fault> {
    me.attach(&cluster.actor::<Table>(&table))?.await?;
    Ok(())
}

/// A setting of the nodes.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Rules {
    pub(crate) rooms: u32,
    #[serde(default)]
    #[expect(dead_code, reason = "it is there to be hidden")]
    password: String,
}

impl Validate for Rules {
    fn validate(&self) -> Result<(), String> {
        if self.rooms > 100 { Err("rooms: at most 100".to_owned()) } else { Ok(()) }
    }
}

/// A setting of the nodes that has a schema.
#[derive(Debug, Default, Deserialize)]
struct Shop {
    prices: Vec<u32>,
}

impl Validate for Shop {
    fn validate(&self) -> Result<(), String> {
        if self.prices.len() == 7 { Err("prices: seven are unlucky".to_owned()) } else { Ok(()) }
    }
}

const SHOP: &str = r#"{"type":"object","required":["prices"],
    "properties":{"prices":{"type":"array","items":{"type":"integer","minimum":1}}}}"#;

fn app() -> App {
    let routes = Routes::new().route(LOGIN, login).route(SIT, sit).route(ADD, |Msg(n): Msg<i64>| n + 1);
    let rules = Live::<Rules>::new(|bytes: &[u8]| serde_json::from_slice(bytes));
    let follows = rules.clone();
    let node =
        Node::new("game").routes(routes).actors(async |_: u64, _: Cluster| Ok(Table)).started(async move |cluster| {
            follows.follow(cluster.config().clone(), "game/rules.json").await?;
            Ok(())
        });
    let gate = Gate::new("gate").listen("memory://gate?heartbeat=off").on_hello(|arrival| {
        let uid = arrival.hello.and_then(|hello| hello["uid"].as_i64());
        Ok(uid.map_or_else(Admission::new, |uid| Admission::new().bind(uid)))
    });
    let shop = Live::<Shop>::new(|bytes: &[u8]| serde_json::from_slice(bytes));
    let app = App::new(Drivers::memory()).with(gate).with(node).setting("game/rules.json", &rules);
    app.setting("game/shop.json", &shop).schema("game/shop.json", SHOP)
}

/// All of it.
pub(crate) struct World {
    pub(crate) cluster: TestCluster,
    pub(crate) master: Running,
    pub(crate) api: Api,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|master| master).await
    }

    pub(crate) async fn with(set: impl FnOnce(Master) -> Master) -> Self {
        let cluster = TestCluster::new(app).gates(2).nodes(2).start().await;
        let (tx, token) = oneshot::channel();
        let told = Mutex::new(Some(tx));
        let announce = move |token: &str| {
            let _ = told.lock().unwrap().take().unwrap().send(token.to_owned());
        };
        // Nobody is slowed down by accident: the tests ask often.
        let master = set(Master::new().id("master-1").rate(100_000).announce(announce));
        let drivers = cluster.drivers().clone();
        let master = App::new(drivers).shards(Shards::Inline).with(master).start().await.unwrap();
        let api = Api::new(&master, token.await.unwrap()).await;
        let world = Self { cluster, master, api };
        world.until("/api/v1/nodes", |all| all["items"].as_array().unwrap().len() == 5).await;
        world
    }

    /// A client that is logged in.
    pub(crate) async fn user(&self, gate: &str, uid: i64) -> Client {
        let client = self.cluster.client_at(gate).await;
        assert_eq!(client.call(LOGIN, &uid).await, Ok(1));
        client
    }

    /// Looks until the answer is as it should be.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1000 {
            let answer = self.api.get(path).await;
            if answer.status == 200 && holds(&answer.body) {
                return answer.body;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} does not become what it should be: {:?}", self.api.get(path).await)
    }

    pub(crate) async fn epoch(&self, uid: i64) -> u64 {
        let record = self.master.cluster().admin().locate(&Uid::from(uid)).await.unwrap();
        record.gate.unwrap().epoch.0
    }
}

const STREAM: &str = "content-type: text/event-stream";

/// A stream does not end: what it says first is what there is of it.
fn is_a_stream_that_speaks(read: &[u8]) -> bool {
    let text = String::from_utf8_lossy(read);
    text.split_once("\r\n\r\n").is_some_and(|(head, body)| head.contains(STREAM) && body.contains("\n\n"))
}

/// The API, with the token of an admin.
pub(crate) struct Api {
    addr: SocketAddr,
    pub(crate) token: String,
    pub(crate) contract: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let wanted = |line: &&str| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.headers.lines().find(wanted).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }
}

impl Api {
    pub(crate) async fn new(running: &Running, token: String) -> Self {
        let url = running.url("master").unwrap();
        let addr = url.host().parse().unwrap();
        let mut api = Self { addr, token, contract: Value::Null };
        api.contract = api.raw(b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: a\r\n\r\n").await.body;
        api
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(("GET", path), Some(&self.token), &[], None).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.call((method, path), Some(&self.token), &[], Some(body)).await
    }

    /// Sends a request, and holds the answer against the contract: its status, its form, and the fields of its problem.
    pub(crate) async fn call(
        &self,
        (method, path): (&str, &str),
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let body = body.map(|b| b.to_string());
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n");
        token.iter().for_each(|t| text += &format!("Authorization: Bearer {t}\r\n"));
        headers.iter().for_each(|(k, v)| text += &format!("{k}: {v}\r\n"));
        if let Some(body) = &body {
            text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        text += body.as_deref().unwrap_or_default();
        let answer = self.raw(text.as_bytes()).await;
        self.check(method, path, &answer);
        answer
    }

    /// Sends bytes, reads to the end.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut socket = TcpStream::connect(self.addr).await.unwrap();
        // A server that has answered already need not read on.
        let _ = socket.write_all(bytes).await;
        let mut read = Vec::new();
        while !is_a_stream_that_speaks(&read) && socket.read_buf(&mut read).await.is_ok_and(|n| n > 0) {}
        let text = String::from_utf8(read).unwrap();
        let (headers, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        let json = match headers.contains(STREAM) {
            true => Value::from(body),
            false if body.is_empty() => Value::Null,
            false => serde_json::from_str(body).unwrap(),
        };
        Answer { status, headers: headers.to_owned(), body: json }
    }

    pub(crate) async fn socket(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let Some(operation) = self.operation(method, path) else { return };
        let documented = &operation["responses"][answer.status.to_string()];
        assert!(documented.is_object(), "{method} {path}: {} is not in the contract: {}", answer.status, answer.body);
        if let Some(content) = documented["content"].as_object() {
            let form = answer.header("content-type").unwrap_or_default();
            assert!(content.contains_key(form), "{method} {path}: {} as {form:?}", answer.status);
        }
        if answer.status >= 400 {
            let fields = ["type", "code", "status", "title", "detail"];
            assert!(fields.iter().all(|f| !answer.body[f].is_null()), "{}", answer.body);
            assert_eq!(answer.body["status"], answer.status);
        }
    }

    /// The operation of a path, with parameters filled in or not.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path: Vec<&str> = path.split('?').next()?.split('/').collect();
        let fits = |template: &str| {
            let template: Vec<&str> = template.split('/').collect();
            let same = |(a, b): (&&str, &&str)| a == b || (a.starts_with('{') && !b.is_empty());
            template.len() == path.len() && template.iter().zip(&path).all(same)
        };
        let paths = self.contract["paths"].as_object()?;
        let found = paths.iter().find(|(template, _)| fits(template))?.1.get(method.to_lowercase())?;
        Some(found)
    }

    /// Makes a token.
    pub(crate) async fn mint(&self, roles: &[&str]) -> String {
        let body = json!({ "reason": "a test", "name": roles.join("-"), "roles": roles });
        let mut made = self.send("POST", "/api/v1/auth/tokens", body.clone()).await;
        while made.status == 429 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            made = self.send("POST", "/api/v1/auth/tokens", body.clone()).await;
        }
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["token"].as_str().unwrap().to_owned()
    }
}
