//! Instances: what is said of them, and what can be done with them.

use std::time::Duration;

use due_cluster::Sent;
use serde_json::{Value, json};

use crate::world::{ADD, SIT, World};

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|i| i["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn instances_are_listed_by_kind_and_id_a_page_at_a_time() {
    let world = World::new().await;
    let all = world.api.get("/api/v1/nodes").await.body;
    assert_eq!(ids(&all), ["gate-1", "gate-2", "master-1", "game-1", "game-2"]);
    assert_eq!(ids(&world.api.get("/api/v1/nodes?kind=node").await.body), ["game-1", "game-2"]);
    assert_eq!(ids(&world.api.get("/api/v1/nodes?name=game&state=hang").await.body), [""; 0]);
    let mut seen = Vec::new();
    let mut path = "/api/v1/nodes?limit=2".to_owned();
    loop {
        let page = world.api.get(&path).await.body;
        seen.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/nodes?limit=2&cursor={next}");
    }
    assert_eq!(seen, ids(&all));
    let gate = world.api.get("/api/v1/nodes/gate-1").await.body;
    assert_eq!((gate["about"]["id"].as_str(), gate["listed"]["kind"].as_str()), (Some("gate-1"), Some("gate")));
    assert_eq!(gate["about"]["standing"], "held");
    let master = world.api.get("/api/v1/nodes/master-1").await.body;
    assert!(
        master["about"].is_null()
            && master["listed"]["endpoints"][0].as_str().unwrap().starts_with("http://127.0.0.1:")
    );
    assert_eq!(world.api.get("/api/v1/nodes/nobody").await.status, 404);
}

#[tokio::test]
async fn who_has_left_is_gone_and_when() {
    let world = World::new().await;
    world.cluster.stop("game-2").await.unwrap();
    world.until("/api/v1/nodes?kind=node", |all| ids(all) == ["game-1"]).await;
    let gone = world.api.get("/api/v1/nodes/game-2").await;
    assert_eq!((gone.status, gone.body["code"].as_str()), (410, Some("gone")));
    assert!(gone.body["last_seen"].as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
}

#[tokio::test]
async fn figures_are_those_of_the_load() {
    let world = World::new().await;
    let (ann, bob) = (world.user("gate-1", 7).await, world.user("gate-2", 8).await);
    let nobody = world.cluster.client_at("gate-2").await;
    for n in 0..100 {
        assert_eq!(ann.call(ADD, &n).await, Ok(n + 1));
        assert_eq!(bob.call(ADD, &n).await, Ok(n + 1));
    }
    let whole = world.api.get("/api/v1/cluster").await.body;
    assert_eq!((&whole["connections"], &whole["users"], &whole["messages"]), (&json!(3), &json!(2), &json!(202)));
    assert_eq!((&whole["replies"], &whole["partial"], &whole["warnings"]), (&json!(202), &json!(false), &json!([])));
    assert_eq!((&whole["kinds"]["gate"], &whole["states"]["work"]), (&json!(2), &json!(5)));
    let routes = world.api.get("/api/v1/routes").await.body;
    let add = routes["items"].as_array().unwrap().iter().find(|r| r["name"] == "add").unwrap().clone();
    assert_eq!(
        (&add["handled"], &add["owners"], &add["node"]),
        (&json!(200), &json!(["game-1", "game-2"]), &json!("game"))
    );
    let online = world.api.get("/api/v1/online").await.body;
    assert_eq!(
        (&online["connections"], &online["users"], &online["items"][1]["connections"]),
        (&json!(3), &json!(2), &json!(2))
    );
    assert_eq!(world.api.get("/api/v1/online?by=label:region").await.body["items"][0]["connections"], 3);
    let by_version = world.api.get("/api/v1/online?by=version").await.body;
    assert_eq!(by_version["items"][0]["group"], env!("CARGO_PKG_VERSION"));
    assert_eq!(world.api.get("/api/v1/online?by=moon").await.status, 400);
    let known = world.api.get(concat!("/api/v1/nodes?version=", env!("CARGO_PKG_VERSION"))).await.body;
    assert_eq!((ids(&known).len(), &known["partial"]), (4, &json!(false)));
    assert_eq!(ids(&world.api.get("/api/v1/nodes?version=0.0.0").await.body), [""; 0]);
    let info = world.api.get("/api/v1/info").await.body;
    assert_eq!((&info["backends"]["registry"], &info["features"][0]), (&json!("memory"), &json!("audit-redis")));
    let metrics = world.api.get("/api/v1/nodes/gate-1/metrics").await.body;
    assert_eq!((&metrics["gate"]["messages"], &metrics["connections"]), (&json!(101), &json!(1)));
    let own = world.api.get("/api/v1/nodes/game-1/routes").await.body;
    assert_eq!(own["items"].as_array().unwrap().len(), 3);
    let links = world.api.get("/api/v1/nodes/gate-1/links").await.body;
    let kinds: Vec<&str> = links["items"].as_array().unwrap().iter().map(|l| l["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|k| **k == "gate-to-node").count(), 2, "{links}");
    assert!(kinds.contains(&"orders"), "the master's own: {links}");
    assert_eq!(world.api.get("/api/v1/nodes/gate-1/routes").await.status, 409);
    let graph = world.api.get("/api/v1/cluster/graph").await.body;
    let edges = graph["edges"].as_array().unwrap();
    let between =
        |from: &str, to: &str| edges.iter().any(|e| e["from"] == from && e["to"] == to && e["up"] == e["links"]);
    assert!(between("gate-1", "game-2") && between("game-2", "gate-1") && !between("gate-1", "gate-2"), "{graph}");
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 5);
    assert_eq!(world.api.get("/api/v1/services").await.body, json!({ "items": [] }));
    drop(nobody);
}

#[tokio::test]
async fn one_that_does_not_answer_is_named_and_the_others_are_there() {
    let world = World::new().await;
    let _ann = world.user("gate-1", 7).await;
    world.api.get("/api/v1/online").await;
    world.cluster.stall("gate-2");
    let online = world.api.get("/api/v1/online").await;
    assert_eq!((online.status, &online.body["partial"], &online.body["users"]), (200, &json!(true), &json!(1)));
    assert_eq!(online.body["failed"], json!([{ "node": "gate-2", "error": "timeout" }]));
    let sessions = world.api.get("/api/v1/sessions").await.body;
    assert_eq!((sessions["items"].as_array().unwrap().len(), &sessions["partial"]), (1, &json!(true)));
    assert_eq!(world.api.get("/api/v1/nodes/gate-2").await.status, 504);
    let whole = world.api.get("/api/v1/cluster").await.body;
    assert!(whole["warnings"].to_string().contains("gate-2"), "{whole}");
    world.cluster.resume("gate-2");
    world.until("/api/v1/online", |online| online["partial"] == false).await;
}

#[tokio::test]
async fn an_instance_changes_if_it_is_as_it_was_seen() {
    let world = World::new().await;
    let path = "/api/v1/nodes/game-1";
    let tag = world.api.get(path).await.header("etag").unwrap().to_owned();
    let token = Some(world.api.token.as_str());
    let change = |body: Value| json!({ "reason": "a test", "weight": body });
    let missing = world.api.send("PATCH", path, change(json!(5))).await;
    assert_eq!((missing.status, missing.body["code"].as_str()), (428, Some("precondition_required")));
    let stale = world.api.call(("PATCH", path), token, &[("If-Match", "\"0\"")], Some(change(json!(5)))).await;
    assert_eq!((stale.status, stale.body["code"].as_str()), (412, Some("precondition_failed")));
    let dry = format!("{path}?dry_run=1");
    let tried = world.api.call(("PATCH", &dry), token, &[("If-Match", &tag)], Some(change(json!(5)))).await;
    assert_eq!((tried.status, &tried.body["weight"]), (200, &json!(1)));
    let body = json!({ "reason": "a test", "state": "busy", "weight": 5, "labels": { "region": "eu" } });
    let made = world.api.call(("PATCH", path), token, &[("If-Match", &tag)], Some(body)).await;
    assert_eq!((made.status, &made.body["weight"], &made.body["state"]), (200, &json!(5), &json!("busy")));
    let listed = world.until("/api/v1/nodes?label=region=eu", |all| ids(all) == ["game-1"]).await;
    assert_eq!((&listed["items"][0]["weight"], &listed["items"][0]["state"]), (&json!(5), &json!("busy")));
    let again = world.api.call(("PATCH", path), token, &[("If-Match", &tag)], Some(change(json!(6)))).await;
    assert_eq!(again.status, 412, "what was seen is old by now");
    let tag = made.header("etag").unwrap();
    for bad in [json!({ "host": "x" }), json!({ "": "x" }), json!({ "a": "x".repeat(300) })] {
        let body = json!({ "reason": "a test", "labels": bad });
        assert_eq!(world.api.call(("PATCH", path), token, &[("If-Match", tag)], Some(body)).await.status, 400);
    }
}

#[tokio::test]
async fn a_gate_is_emptied_its_counts_balance_and_it_comes_back() {
    let world = World::new().await;
    let path = "/api/v1/nodes/gate-1/drain";
    assert_eq!(world.api.get(path).await.body["code"], "not_draining");
    let (ann, bob) = (world.user("gate-1", 7).await, world.user("gate-2", 8).await);
    let old = world.cluster.old_client_at("gate-1").await;
    let drain = json!({ "reason": "a test", "mode": "goaway", "deadline_secs": 60 });
    let dry = world.api.send("POST", &format!("{path}?dry_run=1"), drain.clone()).await;
    assert_eq!((dry.status, world.api.get(path).await.status), (202, 404));
    let begun = world.api.send("POST", path, drain.clone()).await;
    assert_eq!((begun.status, &begun.body["began_with"]), (202, &json!(2)), "{}", begun.body);
    let twice = world.api.send("POST", path, drain.clone()).await;
    assert_eq!((twice.status, twice.body["code"].as_str()), (409, Some("already_draining")));
    world.until("/api/v1/nodes?state=hang", |all| ids(all) == ["gate-1"]).await;
    let other = world.api.send("POST", "/api/v1/nodes/gate-2/drain", drain.clone()).await;
    assert_eq!((other.status, other.body["code"].as_str()), (409, Some("last_of_kind")));
    ann.closed().await;
    old.closed().await;
    let done = world.until(path, |view| view["phase"] == "empty").await;
    assert_eq!(
        (&done["moved"], &done["finished"], &done["cut"], &done["connections"]),
        (&json!(1), &json!(1), &json!(0), &json!(0))
    );
    let token = Some(world.api.token.as_str());
    let tag = world.api.get("/api/v1/nodes/gate-1").await.header("etag").unwrap().to_owned();
    let body = json!({ "reason": "a test", "state": "work" });
    let forced = world.api.call(("PATCH", "/api/v1/nodes/gate-1"), token, &[("If-Match", &tag)], Some(body)).await;
    assert_eq!(forced.status, 409, "a drain is ended by its own door");
    let cancelled = world.api.call(("DELETE", &format!("{path}?reason=enough")), token, &[], None).await;
    assert_eq!((cancelled.status, &cancelled.body["state"]), (200, &json!("work")));
    assert_eq!(world.api.get(path).await.status, 404);
    let back = world.user("gate-1", 9).await;
    assert_eq!((back.call(ADD, &1).await, bob.call(ADD, &1).await), (Ok(2), Ok(2)));
}

#[tokio::test]
async fn clients_that_stay_are_cut_at_the_end_of_the_drain_and_counted() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let path = "/api/v1/nodes/gate-1/drain";
    let drain = json!({ "reason": "a test", "mode": "goaway", "deadline_secs": 1 });
    assert_eq!(world.api.send("POST", path, drain).await.status, 202);
    // It goes on asking, so that nothing of it is ever quiet.
    while ann.ended().is_none() {
        let _ = tokio::time::timeout(Duration::from_millis(50), ann.call(ADD, &1)).await;
    }
    let done = world.until(path, |view| view["connections"] == 0).await;
    assert_eq!((&done["moved"], &done["cut"], &done["began_with"]), (&json!(0), &json!(1), &json!(1)), "{done}");
}

#[tokio::test]
async fn a_node_that_is_emptied_gets_no_new_sessions_and_says_who_is_left() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let drain = json!({ "reason": "a test" });
    let begun = world.api.send("POST", "/api/v1/nodes/game-1/drain", drain).await;
    assert_eq!((begun.status, &begun.body["mode"]), (202, &json!("wait")), "{}", begun.body);
    assert_eq!(ann.call(ADD, &1).await, Ok(2), "who is there is served");
    let view = world.until("/api/v1/nodes/game-1/drain", |view| view["phase"] == "empty").await;
    assert_eq!((&view["bound"], &view["holders"]), (&json!(0), &json!([])), "nobody is bound to it: {view}");
}

#[tokio::test]
async fn the_actors_of_a_node_that_is_emptied_end_and_its_counts_balance() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    assert_eq!(ann.call(SIT, &1).await, Ok(()));
    // A table opens where the user is handled.
    let user = world.api.get("/api/v1/users/7").await.body;
    let path = &format!("/api/v1/nodes/{}/drain", user["nodes"][0]["node"].as_str().unwrap());
    let drain = json!({ "reason": "a test", "mode": "goaway", "deadline_secs": 60 });
    let begun = world.api.send("POST", path, drain).await;
    assert_eq!((begun.status, begun.body["holders"].as_array().unwrap().is_empty()), (202, false), "{}", begun.body);
    let over = world.until(path, |view| view["phase"] == "empty").await;
    let count = |name: &str| over[name].as_u64().unwrap();
    let ended = count("moved") + count("finished") + count("cut") + count("bound");
    assert!(count("began_with") > 0 && count("began_with") + count("came") == ended, "{over}");
    assert_eq!((count("cut"), count("bound")), (0, 0), "{over}");
    assert_eq!(world.api.get("/api/v1/users/7").await.body["nodes"], json!([]));
}

/// proves invariant 3
#[tokio::test]
async fn killing_the_master_changes_nothing_for_players() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let World { cluster, master, .. } = world;
    master.kill().await;
    for n in 0..50 {
        assert_eq!(ann.call(ADD, &n).await, Ok(n + 1));
    }
    let sent: Sent =
        cluster.cluster("game-1").push(due_cluster::To::Bound, crate::world::SAID, &"x".to_owned()).await.unwrap();
    assert_eq!(sent.queued, 1);
}

#[tokio::test]
async fn a_process_that_is_a_master_alone_has_probes_and_is_ready_while_it_is_listed() {
    let drivers = due_core::Drivers::memory();
    let probes = due_core::boot::Address::new("http://127.0.0.1:0").unwrap();
    let settings = due_core::boot::Settings { probes: Some(probes), ..Default::default() };
    let app = due_cluster::App::new(drivers).shards(due_cluster::Shards::Inline).args(settings);
    let running = app.with(due_master::Master::new().announce(|_| ())).start().await.unwrap();
    let addr = running.url("probes").unwrap().host().to_owned();
    for (path, expected) in [("/livez", "200"), ("/startupz", "200"), ("/readyz", "503")] {
        if path == "/readyz" {
            running.announce(due_core::registry::State::Hang).await.unwrap();
        }
        let mut socket = tokio::net::TcpStream::connect(&addr).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut socket, head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
        assert_eq!(answer.split(' ').nth(1), Some(expected), "{path}: {answer}");
        assert!(path != "/readyz" || answer.contains("master "), "it names the master: {answer}");
    }
}

#[tokio::test]
async fn rates_are_those_since_the_last_look() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    assert_eq!(world.api.get("/api/v1/cluster").await.body["messages_per_sec"], Value::Null);
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    let paced = world.until("/api/v1/cluster", |all| !all["messages_per_sec"].is_null()).await;
    let pace = paced["messages_per_sec"].as_f64().unwrap();
    assert!(pace > 0.0 && pace <= 1.0, "one message in a second or more: {pace}");
    let paced = |all: &Value| all["edges"].as_array().unwrap().iter().any(|edge| !edge["sent_per_sec"].is_null());
    world.until("/api/v1/cluster/graph", paced).await;
}

#[tokio::test]
async fn connections_tell_what_came_and_went_and_are_ordered_by_it() {
    let world = World::new().await;
    let (quiet, loud) = (world.user("gate-1", 7).await, world.user("gate-1", 8).await);
    for n in 0..100 {
        assert_eq!(loud.call(ADD, &n).await, Ok(n + 1));
    }
    let page = world.api.get("/api/v1/nodes/gate-1/connections?sort=bytes").await.body;
    let all: Vec<(&Value, u64, u64)> = page["items"].as_array().unwrap().iter().map(bytes).collect();
    assert!(all[0].0 == 8 && all[1].0 == 7, "{page}");
    // A frame has 5 bytes at least before its body.
    assert!(all[0].1 >= all[1].1 + 600 && all[0].2 >= all[1].2 + 600 && all[1].1 > 0 && all[1].2 > 0, "{page}");
    drop(quiet);
}

fn bytes(of: &Value) -> (&Value, u64, u64) {
    (&of["uid"], of["bytes_in"].as_u64().unwrap(), of["bytes_out"].as_u64().unwrap())
}

#[tokio::test]
async fn what_went_wrong_between_two_instances_is_told_also_after_they_are_linked_anew() {
    let world = World::new().await;
    let graph = "/api/v1/cluster/graph";
    let edge = |all: &Value| {
        let edges = all["edges"].as_array().unwrap();
        edges.iter().find(|e| e["from"] == "game-1" && e["to"] == "gate-1" && e["kind"] == "node-to-gate").cloned()
    };
    let before = edge(&world.api.get(graph).await.body).unwrap();
    assert_eq!((&before["errors"], &before["rtt_us"]), (&json!(0), &Value::Null), "in one process nothing is measured");
    world.cluster.stall("gate-1");
    let node = world.cluster.cluster("game-1");
    let lost =
        tokio::spawn(async move { node.push(due_cluster::To::Bound, crate::world::SAID, &"x".to_owned()).await });
    let waits =
        |all: &Value| all["items"].as_array().unwrap().iter().any(|l| l["peer"] == "gate-1" && l["orders"] == 1);
    world.until("/api/v1/nodes/game-1/links", waits).await;
    world.cluster.reset("game-1", "gate-1");
    world.cluster.resume("gate-1");
    let told = |all: &Value| edge(all).is_some_and(|e| e["errors"] == 1 && e["up"] == 1);
    world.until(graph, told).await;
    lost.abort();
}
