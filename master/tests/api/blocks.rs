//! Users who may not log in for a while.

use due_cluster::admin::Blocks;
use due_core::{Uid, config::Expect};
use due_testkit::cluster::{CallError, Client, Ended};
use serde_json::{Value, json};

use crate::world::{ADD, LOGIN, World};

const KICK: &str = "/api/v1/users/7/kick";

fn kick(more: Value) -> Value {
    let mut body = json!({ "reason": "cheating", "code": 1007, "message": "be nice" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

impl World {
    /// A client whose login the gate refuses, and why. One that came in before the gate knew is sent away.
    async fn refused(&self, gate: &str, uid: i64) -> (Client, CallError) {
        loop {
            let client = self.cluster.client_at(gate).await;
            match client.call(LOGIN, &uid).await {
                Ok(_) => drop(client.closed().await),
                Err(error) => return (client, error),
            }
        }
    }

    /// Logs in as soon as the gate lets it.
    async fn let_in(&self, gate: &str, uid: i64) -> Client {
        loop {
            let client = self.cluster.client_at(gate).await;
            if client.call(LOGIN, &uid).await.is_ok() {
                return client;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

fn is_refusal(error: &CallError, until: &Value) -> bool {
    let text = format!("until {until} ");
    matches!(error, CallError::Refused(code, why) if *code == 8 && why.starts_with("blocked for ") && why.contains(&text))
}

#[tokio::test]
async fn a_user_who_is_blocked_logs_in_at_no_gate_also_not_at_one_that_starts_later_until_it_is_taken_back() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    for wrong in [json!(0), json!(31_536_001), json!(-1), json!("1h")] {
        let answer = world.api.send("POST", KICK, kick(json!({ "block_for": wrong }))).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (422, Some("validation_failed")), "{wrong}");
    }
    let body = kick(json!({ "block_for": 3600 }));
    let dry = world.api.send("POST", &format!("{KICK}?dry_run=1"), body.clone()).await.body;
    assert!(dry["gate"] == "gate-1" && dry["blocked_until"].is_u64(), "{dry}");
    assert_eq!(world.api.get("/api/v1/users/7").await.body["blocked_until"], Value::Null);
    assert_eq!(ann.call(ADD, &1).await, Ok(2), "the dry run did nothing");

    let done = world.api.send("POST", KICK, body).await;
    assert_eq!((done.status, &done.body["gate"]), (200, &json!("gate-1")), "{}", done.body);
    let until = done.body["blocked_until"].clone();
    assert!(until.as_u64() >= dry["blocked_until"].as_u64(), "{until}");
    assert!(matches!(ann.closed().await, Some(Ended::Kicked(1007, text)) if text == "be nice"));
    for gate in ["gate-1", "gate-2"] {
        let (client, error) = world.refused(gate, 7).await;
        assert!(is_refusal(&error, &until), "{error:?}");
        assert_eq!(client.call(ADD, &1).await, Ok(2), "it is told, and not cut off");
        assert_eq!(client.call(LOGIN, &9).await, Ok(1), "another user comes in");
    }
    world.cluster.stop("gate-2").await.unwrap();
    world.cluster.restart("gate-2").await;
    let late = world.cluster.client_at("gate-2").await;
    let error = late.call(LOGIN, &7).await.unwrap_err();
    assert!(is_refusal(&error, &until), "it knew before the first client came: {error:?}");
    let hook = world.cluster.client_with("gate-2", json!({ "uid": 7 })).await;
    assert!(matches!(hook.closed().await, Some(Ended::Kicked(8, text)) if text.starts_with("blocked for ")));

    let gone = world.api.get("/api/v1/users/7").await;
    assert_eq!((gone.status, &gone.body["blocked_until"]), (404, &json!(until.to_string())));
    let back = "/api/v1/users/7/block?reason=a%20mistake";
    let token = Some(world.api.token.as_str());
    let dry = world.api.call(("DELETE", &format!("{back}&dry_run=1")), token, &[], None).await;
    assert_eq!((dry.status, &dry.body["was_until"]), (200, &until));
    assert_eq!(world.api.call(("DELETE", back), token, &[], None).await.body["was_until"], until);
    assert_eq!(world.api.call(("DELETE", back), token, &[], None).await.body["was_until"], Value::Null);
    let ann = world.let_in("gate-1", 7).await;
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
    let verbs = world.api.get("/api/v1/audit?verb=user.unblock").await.body;
    assert_eq!(verbs["items"].as_array().unwrap().len(), 6, "each with its outcome");
}

#[tokio::test]
async fn one_who_is_away_is_blocked_too_and_of_another_epoch_nobody_is() {
    let world = World::new().await;
    let away = world.api.send("POST", KICK, kick(json!({ "block_for": 60 }))).await;
    assert_eq!((away.status, &away.body["gate"]), (200, &Value::Null), "{}", away.body);
    assert!(is_refusal(&world.refused("gate-1", 7).await.1, &away.body["blocked_until"]));
    let bob = world.user("gate-1", 8).await;
    let path = "/api/v1/users/8/kick";
    let body = kick(json!({ "block_for": 60, "epoch": 1_000_000 }));
    let moved = world.api.send("POST", path, body).await;
    assert_eq!((moved.status, moved.body["code"].as_str()), (409, Some("epoch_changed")));
    let page = world.api.get("/api/v1/users/8").await.body;
    assert_eq!((&page["blocked_until"], bob.call(ADD, &1).await), (&Value::Null, Ok(2)));
    let body = kick(json!({ "block_for": 60, "epoch": world.epoch(8).await }));
    assert_eq!(world.api.send("POST", path, body).await.body["gate"], "gate-1");
    assert!(matches!(bob.closed().await, Some(Ended::Kicked(1007, _))));
    let narrow =
        json!({ "reason": "a test", "name": "eu", "roles": ["support"], "scopes": { "nodes": { "region": "eu" } } });
    let narrow = world.api.send("POST", "/api/v1/auth/tokens", narrow).await.body["token"].as_str().unwrap().to_owned();
    let body = kick(json!({ "block_for": 60 }));
    let refused = world.api.call(("POST", KICK), Some(&narrow), &[], Some(body)).await;
    assert_eq!((refused.status, refused.body["code"].as_str()), (403, Some("out_of_scope")), "it holds at every gate");
    assert_eq!(world.api.get("/api/v1/config?prefix=.master").await.body["items"], json!([]), "they are no settings");
}

#[tokio::test]
async fn a_session_that_slipped_in_before_its_gate_knew_is_ended_by_the_gate() {
    let world = World::new().await;
    let (ann, bob) = (world.user("gate-1", 7).await, world.user("gate-2", 8).await);
    let mut blocks = Blocks::default();
    blocks.block(&Uid::from(7), 4_000_000_000, 0).unwrap();
    let json = serde_json::to_vec(&blocks).unwrap();
    world.master.cluster().config().store(Blocks::KEY, json.into(), Expect::Absent).await.unwrap();
    assert!(matches!(ann.closed().await, Some(Ended::Kicked(8, text)) if text.contains("until 4000000000 ")));
    assert_eq!(bob.call(ADD, &1).await, Ok(2));
}
