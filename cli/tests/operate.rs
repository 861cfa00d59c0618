//! The commands for operators against a real master, gate and node.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod common;

use std::{path::PathBuf, sync::Mutex};

use common::{Ran, due};
use due::{app::Running, prelude::*};
use due_core::config::{Live, Validate};
use due_master::Master;
use due_sdk::Client;
use serde_json::{Value, json};
use tokio::sync::oneshot;

const LOGIN: Call<i64, ()> = Call::new(1, "login");
const SAID: Push<String> = Push::new(101, "said");
const STOP: std::time::Duration = std::time::Duration::from_secs(5);

async fn login(me: Session, Msg(uid): Msg<i64>) -> Result<(), Fault> {
    me.bind(uid).await?;
    Ok(())
}

/// A setting that the node uses.
#[derive(Default, serde::Deserialize)]
struct Speed {
    limit: u8,
}

impl Validate for Speed {}

/// A process with all parts, and the token of its master's first admin.
struct World {
    running: Running,
    speed: Live<Speed>,
    master: String,
    token: String,
}

impl World {
    async fn new() -> Self {
        Self::guarding("").await
    }

    async fn guarding(policy: &str) -> Self {
        let (tx, token) = oneshot::channel();
        let tx = Mutex::new(Some(tx));
        let announce = move |token: &str| drop(tx.lock().unwrap().take().map(|tx| tx.send(token.to_owned())));
        let master = Master::new().listen("127.0.0.1:0").announce(announce).guard(policy);
        let speed = Live::<Speed>::new(|bytes: &[u8]| serde_json::from_slice(bytes));
        let follows = speed.clone();
        let node = Node::new("game").id("game-1").routes(Routes::new().route(LOGIN, login));
        let node = node.started(async move |cluster| Ok(follows.follow(cluster.config().clone(), "speed").await?));
        let gate = Gate::new("gate").id("gate-1").listen("tcp://127.0.0.1:0");
        let app = App::new(due::drivers()).with(gate).with(node).with(master).setting("speed", &speed);
        let app = app.schema("speed", r#"{"type": "object"}"#);
        let running = app.start().await.unwrap();
        let master = running.url("master").unwrap().to_string();
        Self { master, token: token.await.unwrap(), running, speed }
    }

    async fn due(&self, args: &[&str]) -> Ran {
        due(args, "", &[("DUE_MASTER", &self.master), ("DUE_TOKEN", &self.token)]).await
    }

    /// What a command prints as JSON; it must succeed.
    async fn json(&self, args: &[&str]) -> Value {
        let ran = self.due(&[args, &["--json"]].concat()).await;
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{args:?}: {}", ran.out);
        serde_json::from_str(&ran.out).unwrap()
    }

    async fn user(&self, uid: i64) -> Client {
        let client = Client::connect(&self.running.url("gate").unwrap().to_string()).await.unwrap();
        client.call(LOGIN, &uid).await.unwrap();
        client
    }

    async fn stop(self) {
        self.running.stop(STOP).await.unwrap();
    }
}

#[tokio::test]
async fn the_fleet_and_its_parts_are_shown() {
    let world = World::new().await;
    let _ann = world.user(7).await;
    let ran = world.due(&["ps"]).await;
    assert!(ran.out.starts_with("KIND") && ran.out.contains("gate-1") && ran.out.contains("game-1"), "{}", ran.out);
    assert!(ran.out.contains("1 connections, 1 users"), "{}", ran.out);
    let nodes = world.json(&["node", "list", "--kind", "gate"]).await;
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.json(&["node", "show", "game-1"]).await["listed"]["name"], "game");
    for what in ["links", "routes", "metrics"] {
        world.json(&["node", what, "game-1"]).await;
    }
    let connections = world.json(&["node", "connections", "gate-1"]).await;
    assert_eq!(connections["items"][0]["uid"], 7);
    let routes = world.due(&["route", "list"]).await;
    assert!(routes.out.contains("login"), "{}", routes.out);
    world.json(&["route", "services"]).await;
    world.stop().await;
}

#[tokio::test]
async fn a_user_is_found_pushed_to_and_kicked_and_the_audit_log_has_it() {
    let world = World::new().await;
    let ann = world.user(7).await;
    let mut said = ann.pushes(SAID);
    let user = world.json(&["user", "show", "7"]).await;
    assert_eq!((&user["gate"], &user["uid"]), (&json!("gate-1"), &json!(7)));
    assert_eq!(world.json(&["user", "list"]).await["items"][0]["uid"], 7);
    let pushed = world.json(&["push", "7", "101", "\"hello\"", "--reason", "a greeting"]).await;
    assert_eq!(pushed["queued"], 1);
    assert_eq!(said.next().await.unwrap().unwrap(), "hello");
    let epoch = user["epoch"].as_u64().unwrap();
    let wrong = world.due(&["kick", "7", "--epoch", &(epoch + 1).to_string(), "--reason", "x"]).await;
    assert!(wrong.code == Some(1) && wrong.err.contains("epoch_changed"), "{}", wrong.err);
    let dry = world.json(&["kick", "7", "--reason", "only looking", "--dry-run"]).await;
    assert_eq!(dry["dry_run"], true);
    world.json(&["user", "show", "7"]).await;
    let epoch = epoch.to_string();
    let kick = ["kick", "7", "--code", "1001", "--message", "bye", "--epoch", &epoch, "--reason", "cheating"];
    world.json(&kick).await;
    assert!(matches!(ann.closed().await, due_sdk::Closed::Kicked { code: 1001, .. }));
    let gone = world.due(&["user", "show", "7"]).await;
    assert!(gone.code == Some(1) && gone.err.starts_with("due: offline: "), "{}", gone.err);
    let block = ["kick", "7", "--block-for", "1h", "--reason", "cheating"];
    let blocked = world.json(&block).await;
    assert!(blocked["gate"].is_null() && blocked["blocked_until"].is_u64(), "{blocked}");
    let wrong = world.due(&["kick", "7", "--block-for", "60", "--reason", "x"]).await;
    assert!(wrong.code == Some(2) && wrong.err.contains("60"), "{}", wrong.err);
    let unblocked = world.json(&["unblock", "7", "--reason", "a mistake"]).await;
    assert_eq!(unblocked["was_until"], blocked["blocked_until"]);
    let audit = world.json(&["audit", "--verb", "user.kick"]).await;
    let all = world.due(&["audit", "--all", "--json"]).await;
    let first: Value = serde_json::from_str(all.out.lines().last().unwrap()).unwrap();
    assert_eq!((all.code, &first["seq"]), (Some(0), &json!(1)), "{}", all.err);
    let done: Vec<&Value> = audit["items"].as_array().unwrap().iter().map(|r| &r["outcome"]).collect();
    assert!(done.contains(&&json!("done")) && done.contains(&&json!("epoch_changed")), "{done:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_node_is_set_drained_and_taken_back() {
    let world = World::new().await;
    let set = ["node", "set", "game-1", "--weight", "3", "--label", "zone=a", "--reason", "more work"];
    let about = world.json(&set).await;
    assert_eq!((&about["weight"], &about["labels"]["zone"]), (&json!(3), &json!("a")));
    let only = world.due(&["drain", "start", "game-1", "--reason", "a new version"]).await;
    assert!(only.code == Some(1) && only.err.contains("last_of_kind"), "{}", only.err);
    world.json(&["drain", "start", "game-1", "--force", "--reason", "a new version"]).await;
    world.json(&["drain", "show", "game-1"]).await;
    assert_eq!(world.json(&["drain", "cancel", "game-1", "--reason", "not today"]).await["state"], "work");
    let over = world.due(&["drain", "show", "game-1"]).await;
    assert!(over.err.contains("not_draining"), "{}", over.err);
    world.stop().await;
}

#[tokio::test]
async fn a_broadcast_is_counted_before_it_is_sent() {
    let world = World::new().await;
    let (ann, bob) = (world.user(7).await, world.user(8).await);
    let (mut to_ann, mut to_bob) = (ann.pushes(SAID), bob.pushes(SAID));
    let send = ["broadcast", "101", "\"hello\"", "--reason", "news"];
    let asked = world.due(&send).await;
    assert!(asked.code == Some(1) && asked.err.contains("it reaches 2 connections"), "{}", asked.err);
    let dry = world.json(&[&send[..], &["--dry-run"]].concat()).await;
    assert_eq!(dry["count"], 2);
    let sent = world.json(&[&send[..], &["--yes"]].concat()).await;
    assert_eq!(sent["items"][0]["queued"], 2);
    for said in [to_ann.next().await, to_bob.next().await] {
        assert_eq!(said.unwrap().unwrap(), "hello");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_setting_is_edited_refused_when_bad_and_rolled_back() {
    let world = World::new().await;
    let no = world.due(&["config", "set", "speed", "{\"limit\": 1}", "--reason", "first"]).await;
    assert!(no.code == Some(1) && no.err.contains("--create"), "{}", no.err);
    let first = ["config", "set", "speed", "{\"limit\": 1}", "--create", "--reason", "first"];
    let version = world.json(&first).await["version"].as_str().unwrap().to_owned();
    let mut speed = world.speed.clone();
    while speed.get().limit != 1 {
        speed.changed().await;
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("speed.json");
    std::fs::write(&file, "{\"limit\": 2}").unwrap();
    let second = ["config", "set", "speed", "--file", file.to_str().unwrap(), "--reason", "faster"];
    world.json(&second).await;
    let stale = ["config", "set", "speed", "{}", "--if-version", &version, "--reason", "late"];
    let stale = world.due(&stale).await;
    assert!(stale.err.contains("precondition_failed"), "{}", stale.err);
    for bad in [["config", "set", "speed", "{\"limit\": 999}"], ["config", "validate", "speed", "{\"limit\": 999}"]] {
        let reason: &[&str] = if bad[1] == "set" { &["--reason", "too fast"] } else { &[] };
        let refused = world.due(&[&bad[..], reason].concat()).await;
        assert!(refused.code == Some(1) && refused.err.contains("validation_failed"), "{}", refused.err);
    }
    assert_eq!(world.due(&["config", "get", "speed"]).await.out, "{\"limit\": 2}\n");
    let history = world.json(&["config", "history", "speed"]).await;
    let number = history["items"].as_array().unwrap().last().unwrap()["number"].to_string();
    let newest = history["items"].as_array().unwrap().first().unwrap()["number"].to_string();
    let changed = world.due(&["config", "diff", "speed", &newest, "--from", &number]).await.out;
    assert!(changed.contains("-  \"limit\": 1") && changed.contains("+  \"limit\": 2"), "{changed}");
    assert_eq!(world.json(&["config", "schema", "speed"]).await["items"][0]["schema"]["type"], "object");
    world.json(&["config", "rollback", "speed", "--to", &number, "--reason", "too fast after all"]).await;
    assert_eq!(world.due(&["config", "get", "speed"]).await.out, "{\"limit\": 1}\n");
    while speed.get().limit != 1 {
        speed.changed().await;
    }
    assert_eq!(speed.status().rejected, 0, "what is bad never reaches a process");
    let status = world.json(&["config", "status", "speed"]).await;
    assert!(status["items"].as_array().unwrap().iter().any(|i| i["node"] == "game-1"), "{status}");
    assert_eq!(world.json(&["config", "list", "--prefix", "spe"]).await["items"][0]["key"], "speed");
    world.stop().await;
}

#[tokio::test]
async fn tokens_are_made_used_from_a_file_and_revoked() {
    let world = World::new().await;
    let made = world.json(&["token", "create", "bob", "--role", "viewer", "--ttl", "60", "--reason", "to look"]).await;
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bob.token");
    std::fs::write(&file, made["token"].as_str().unwrap()).unwrap();
    let bob = ["--token-file", file.to_str().unwrap(), "--master", &world.master];
    let me = due(&[&["token", "me", "--json"], &bob[..]].concat(), "", &[]).await;
    assert_eq!(serde_json::from_str::<Value>(&me.out).unwrap()["roles"], json!(["viewer"]), "{}", me.err);
    let kick = due(&[&["kick", "7", "--reason", "x"], &bob[..]].concat(), "", &[]).await;
    assert!(
        kick.code == Some(1) && kick.err.contains("permission_denied") && kick.err.contains("need"),
        "{}",
        kick.err
    );
    let narrow = ["--role", "config", "--scope-label", "region=eu", "--scope-config", "game/", "--reason", "prices"];
    let narrow = world.json(&[&["token", "create", "eve"], &narrow[..]].concat()).await;
    assert!(narrow["token"].is_string(), "{narrow}");
    let listed = world.json(&["token", "list"]).await;
    let scopes = json!({ "nodes": { "region": "eu" }, "config": ["game/"] });
    assert!(
        listed["items"].as_array().unwrap().iter().any(|t| t["name"] == "eve" && t["scopes"] == scopes),
        "{listed}"
    );
    let wrong = world.due(&["token", "create", "x", "--role", "viewer", "--scope-label", "eu", "--reason", "x"]).await;
    assert!(wrong.code == Some(1) && wrong.err.contains("NAME=VALUE"), "{}", wrong.err);
    let revoked = world.due(&["token", "revoke", made["id"].as_str().unwrap(), "--reason", "left"]).await;
    assert_eq!((revoked.code, &*revoked.out), (Some(0), "done\n"), "{}", revoked.err);
    let me = due(&[&["token", "me"], &bob[..]].concat(), "", &[]).await;
    assert!(me.err.contains("unauthenticated"), "{}", me.err);
    world.stop().await;
}

#[tokio::test]
async fn what_has_happened_is_shown_and_what_happens_is_followed() {
    let world = World::new().await;
    let set = |weight: &'static str| ["node", "set", "game-1", "--weight", weight, "--reason", "more work"];
    world.json(&set("3")).await;
    let seen = world.json(&["events", "--kind", "node.", "--limit", "1"]).await;
    assert_eq!((&seen["items"][0]["subject"], &seen["items"][0]["by"]), (&json!("node/game-1"), &json!("first")));
    let variables = [("DUE_MASTER", &*world.master), ("DUE_TOKEN", &*world.token)];
    let mut follower = common::Follower::new(&["events", "--follow", "--kind", "node.", "--json"], &variables);
    let line = async |follower: &mut common::Follower| serde_json::from_str::<Value>(&follower.line().await).unwrap();
    assert_eq!(line(&mut follower).await["id"], seen["items"][0]["id"], "first what there is");
    world.json(&set("4")).await;
    assert_eq!(line(&mut follower).await["kind"], "node.change");
    follower.end().await;
    world.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_way_to_a_master_is_named() {
    let none = due(&["ps"], "", &[]).await;
    assert!(none.code == Some(1) && none.err.contains("DUE_TOKEN"), "{}", none.err);
    let nobody = due(&["ps", "--master", "http://127.0.0.1:9"], "", &[("DUE_TOKEN", "x")]).await;
    assert!(nobody.err.contains("127.0.0.1:9") && nobody.err.contains("nobody listens"), "{}", nobody.err);
    let url = due(&["ps", "--master", "nonsense"], "", &[("DUE_TOKEN", "x")]).await;
    assert!(url.err.contains("http://HOST:PORT"), "{}", url.err);
    let file = due(&["ps", "--token-file", "/nowhere/token"], "", &[]).await;
    assert!(file.err.contains("/nowhere/token"), "{}", file.err);
    assert_eq!(due(&["kick", "7"], "", &[("DUE_TOKEN", "x")]).await.code, Some(2), "a reason is asked for");
}

#[tokio::test]
async fn roles_are_shown_made_and_set() {
    let world = World::new().await;
    let listed = world.due(&["role", "list"]).await;
    assert!(listed.out.contains("support") && listed.out.contains("users:kick"), "{}", listed.out);
    let set =
        ["role", "set", "night", "--permission", "nodes:read", "--permission", "users:kick", "--reason", "a test"];
    let early = world.due(&set).await;
    assert!(early.code == Some(1) && early.err.contains("--create"), "{}", early.err);
    let made = world.json(&[&set[..], &["--create"]].concat()).await;
    assert_eq!((&made["revision"], &made["permissions"]), (&json!(1), &json!(["nodes:read", "users:kick"])));
    let less = ["role", "set", "night", "--permission", "nodes:read", "--reason", "a test"];
    assert_eq!(world.json(&less).await["revision"], 2);
    let stale = world.due(&[&less[..], &["--if-revision", "1"]].concat()).await;
    assert!(stale.err.contains("precondition_failed"), "{}", stale.err);
    assert_eq!(world.json(&["role", "show", "night"]).await["permissions"], json!(["nodes:read"]));
    world.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_second_person_is_said_shown_and_approved() {
    let world = World::guarding("config=approve").await;
    let made = world.json(&["token", "create", "bob", "--role", "config", "--reason", "the second person"]).await;
    let bob = [("DUE_MASTER", &*world.master), ("DUE_TOKEN", made["token"].as_str().unwrap())];
    let set = ["config", "set", "speed", "{\"limit\": 7}", "--create", "--reason", "faster", "--json"];
    let asked = world.due(&set).await;
    let pending: Value = serde_json::from_str(&asked.out).unwrap();
    let id = pending["id"].as_str().unwrap();
    assert!(asked.code == Some(0) && asked.err.contains(&format!("due approvals approve {id}")), "{}", asked.err);
    let listed = world.due(&["approvals"]).await;
    assert!(listed.out.contains(id) && listed.out.contains("pending"), "{}", listed.out);
    let own = world.due(&["approvals", "approve", id, "--reason", "me too"]).await;
    assert!(own.code == Some(1) && own.err.contains("second_person_needed"), "{}", own.err);
    let approved = due(&["approvals", "approve", id, "--reason", "seen", "--json"], "", &bob).await;
    assert_eq!(approved.code, Some(0), "{}", approved.err);
    assert_eq!(world.json(&["approvals", "show", id]).await["decision"]["outcome"], "done");
    assert_eq!(world.json(&["config", "get", "speed"]).await["value"], "{\"limit\": 7}");
    world.stop().await;
}
