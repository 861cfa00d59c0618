//! How far a token reaches.

use serde_json::{Value, json};

use crate::{
    contract::filled,
    world::{ADD, Answer, World},
};

/// How each endpoint keeps to scopes: written here a second time, so that no change of the table goes unseen.
const REACH: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/openapi.json", ""),
    ("GET", "/api/v1/info", "any"),
    ("GET", "/api/v1/auth/me", "any"),
    ("GET", "/api/v1/auth/tokens", "whole"),
    ("POST", "/api/v1/auth/tokens", "whole"),
    ("DELETE", "/api/v1/auth/tokens/{id}", "whole"),
    ("GET", "/api/v1/roles", "any"),
    ("GET", "/api/v1/roles/{name}", "any"),
    ("PUT", "/api/v1/roles/{name}", "whole"),
    ("GET", "/api/v1/audit", "whole"),
    ("GET", "/api/v1/cluster", "nodes"),
    ("GET", "/api/v1/cluster/graph", "nodes"),
    ("GET", "/api/v1/online", "nodes"),
    ("GET", "/api/v1/nodes", "nodes"),
    ("GET", "/api/v1/nodes/{id}", "node"),
    ("PATCH", "/api/v1/nodes/{id}", "node"),
    ("POST", "/api/v1/nodes/{id}/drain", "node"),
    ("GET", "/api/v1/nodes/{id}/drain", "node"),
    ("DELETE", "/api/v1/nodes/{id}/drain", "node"),
    ("GET", "/api/v1/nodes/{id}/links", "node"),
    ("GET", "/api/v1/nodes/{id}/routes", "node"),
    ("GET", "/api/v1/nodes/{id}/metrics", "node"),
    ("GET", "/api/v1/nodes/{id}/connections", "node"),
    ("GET", "/api/v1/routes", "nodes"),
    ("GET", "/api/v1/services", "nodes"),
    ("GET", "/api/v1/sessions", "nodes"),
    ("GET", "/api/v1/users/{uid}", "nodes"),
    ("POST", "/api/v1/users/{uid}/kick", "nodes"),
    ("DELETE", "/api/v1/users/{uid}/block", "whole"),
    ("POST", "/api/v1/users/{uid}/push", "nodes"),
    ("POST", "/api/v1/users/kick", "nodes"),
    ("GET", "/api/v1/channels", "nodes"),
    ("GET", "/api/v1/channels/{name}", "nodes"),
    ("POST", "/api/v1/broadcasts", "nodes"),
    ("GET", "/api/v1/broadcasts", "nodes"),
    ("GET", "/api/v1/broadcasts/{id}", "nodes"),
    ("GET", "/api/v1/approvals", "asked"),
    ("GET", "/api/v1/approvals/{id}", "asked"),
    ("POST", "/api/v1/approvals/{id}/approve", "asked"),
    ("POST", "/api/v1/approvals/{id}/reject", "asked"),
    ("GET", "/api/v1/events", "nodes"),
    ("GET", "/api/v1/events/stream", "nodes"),
    ("GET", "/api/v1/config", "keys"),
    ("GET", "/api/v1/config/{key}", "key"),
    ("PUT", "/api/v1/config/{key}", "key"),
    ("POST", "/api/v1/config/{key}/validate", "key"),
    ("GET", "/api/v1/config/{key}/revisions", "key"),
    ("GET", "/api/v1/config/{key}/revisions/{number}", "key"),
    ("GET", "/api/v1/config/{key}/schema", "key"),
    ("POST", "/api/v1/config/{key}/rollback", "key"),
    ("GET", "/api/v1/config/{key}/status", "key"),
];

impl World {
    /// Gives `gate-1` and `game-1` the label `region=eu`.
    async fn label(&self) {
        for id in ["gate-1", "game-1"] {
            let tag = self.api.get(&format!("/api/v1/nodes/{id}")).await.header("etag").unwrap().to_owned();
            let body = json!({ "reason": "a test", "labels": { "region": "eu" } });
            let seen = [("If-Match", &*tag)];
            let path = format!("/api/v1/nodes/{id}");
            let changed = self.api.call(("PATCH", &path), Some(&self.api.token), &seen, Some(body)).await;
            assert_eq!(changed.status, 200, "{}", changed.body);
        }
        self.until("/api/v1/nodes?label=region=eu", |all| all["items"].as_array().unwrap().len() == 2).await;
    }

    async fn mint_within(&self, role: &str, scopes: Value) -> String {
        let body = json!({ "reason": "a test", "name": "narrow", "roles": [role], "scopes": scopes });
        let made = self.api.send("POST", "/api/v1/auth/tokens", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["token"].as_str().unwrap().to_owned()
    }

    async fn write(&self, key: &str) {
        let (path, fresh) = (format!("/api/v1/config/{key}"), [("If-None-Match", "*")]);
        let body = json!({ "reason": "a test", "value": "1" });
        let stored = self.api.call(("PUT", &path), Some(&self.api.token), &fresh, Some(body)).await;
        assert_eq!(stored.status, 200, "{}", stored.body);
    }

    async fn ask(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.api.call((method, path), Some(token), &[], body).await
    }
}

fn check_foreign(answer: &Answer, what: &str) {
    let code = (answer.status, answer.body["code"].as_str());
    assert_eq!(code, (403, Some("out_of_scope")), "{what}: {}", answer.body);
}

/// Everything that a token without scopes would be told of those that are out of scope.
fn check_silent(answer: &Answer, what: &str) {
    let text = answer.body.to_string();
    let told = ["gate-2", "game-2", "other"].iter().find(|word| text.contains(*word));
    assert_eq!(told, None, "{what}: {text}");
}

#[tokio::test]
async fn each_endpoint_keeps_to_the_scopes_of_the_token() {
    let world = World::new().await;
    world.label().await;
    world.write("game").await;
    world.write("other").await;
    let (_ann, _bob) = (world.user("gate-1", 7).await, world.user("gate-2", 8).await);
    let narrow = world.mint_within("admin", json!({ "nodes": { "region": "eu" }, "config": ["game"] })).await;
    let paths = world.api.contract["paths"].as_object().unwrap();
    let documented: usize = paths.values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(documented, REACH.len(), "a line here for each operation");
    for (method, path, reach) in REACH {
        let operation = world.api.operation(method, path).unwrap_or_else(|| panic!("{method} {path}"));
        assert_eq!(operation["x-scope"].as_str().unwrap_or_default(), *reach, "{method} {path}");
        let body = || (*method != "GET").then(|| json!({}));
        // It is filled with gate-1, the user 7 and the key game.
        let own = world.ask(&narrow, method, &filled(path), body()).await;
        let what = format!("{method} {path}");
        if *reach == "whole" {
            check_foreign(&own, &what);
            continue;
        }
        assert_ne!(own.status, 403, "{what}: {}", own.body);
        if path.ends_with("/stream") || path.ends_with("openapi.json") {
            continue;
        }
        if !["node", "key"].contains(reach) {
            check_silent(&own, &what);
        }
        let foreign = path.replace("{id}", "gate-2").replace("{key}", "other");
        if ["node", "key"].contains(reach) {
            let refused = world.ask(&narrow, method, &filled(&foreign), body()).await;
            check_foreign(&refused, &what);
            let told = [&refused.body["label"], &refused.body["prefix"]];
            assert!(told.contains(&&json!("region=eu")) || told.contains(&&json!("game")), "{}", refused.body);
        }
    }
    let denied = world.api.get("/api/v1/audit?verb=denied.&limit=1000").await.body.to_string();
    for path in ["/api/v1/nodes/gate-2/drain", "/api/v1/config/other", "/api/v1/auth/tokens"] {
        assert!(denied.contains(path), "{path} stands in the audit log");
    }
}

#[tokio::test]
async fn users_elsewhere_are_not_seen_kicked_or_pushed_to_and_selectors_do_not_find_them() {
    let world = World::new().await;
    world.label().await;
    let (ann, bob) = (world.user("gate-1", 7).await, world.user("gate-2", 8).await);
    let narrow = world.mint_within("admin", json!({ "nodes": { "region": "eu" } })).await;
    let ask = async |method: &str, path: &str, body: Option<Value>| world.ask(&narrow, method, path, body).await;
    let push = json!({ "reason": "a test", "route": 101, "body": "hi" });
    for (path, body) in [("kick", json!({ "reason": "a test" })), ("push", push)] {
        for dry in ["", "?dry_run=1"] {
            let refused = ask("POST", &format!("/api/v1/users/8/{path}{dry}"), Some(body.clone())).await;
            check_foreign(&refused, path);
            assert_eq!(refused.body["label"], "region=eu");
        }
    }
    check_foreign(&ask("GET", "/api/v1/users/8", None).await, "look");
    check_foreign(&ask("GET", "/api/v1/sessions?gate=gate-2", None).await, "sessions");
    check_foreign(&ask("GET", "/api/v1/sessions?gate=moon", None).await, "a gate that nobody knows");
    assert_eq!(ask("GET", "/api/v1/users/7", None).await.body["gate"], "gate-1");
    let sessions = ask("GET", "/api/v1/sessions", None).await;
    assert_eq!(sessions.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(ask("GET", "/api/v1/online", None).await.body["users"], 1);
    // A broadcast and a kick of many reach those in scope and nobody else.
    let many = json!({ "reason": "a test", "selector": { "older_than_secs": 0 } });
    assert_eq!(ask("POST", "/api/v1/users/kick?dry_run=1", Some(many)).await.body["count"], 1);
    let there = json!({ "reason": "a test", "selector": { "gate": "gate-2" } });
    check_foreign(&ask("POST", "/api/v1/users/kick?dry_run=1", Some(there)).await, "a gate elsewhere");
    let mut word = json!({ "reason": "a test", "to": "bound", "route": 101, "body": "hi" });
    let counted = ask("POST", "/api/v1/broadcasts?dry_run=1", Some(word.clone())).await.body;
    assert_eq!(counted["count"], 1);
    word["count_token"] = counted["count_token"].clone();
    let sent = ask("POST", "/api/v1/broadcasts", Some(word)).await;
    assert_eq!((sent.status, sent.body["items"].as_array().unwrap().len()), (200, 1), "{}", sent.body);
    assert_eq!(sent.body["items"][0]["gate"], "gate-1");
    assert_eq!((ann.call(ADD, &1).await, bob.call(ADD, &1).await), (Ok(2), Ok(2)), "both are still there");
}

#[tokio::test]
async fn events_of_instances_and_settings_out_of_scope_are_not_told() {
    let world = World::new().await;
    world.label().await;
    let _bob = world.user("gate-2", 8).await;
    let kick = json!({ "reason": "a test" });
    assert_eq!(world.api.send("POST", "/api/v1/users/8/kick", kick).await.status, 200);
    world.write("game").await;
    world.write("other").await;
    let drain = json!({ "reason": "a test" });
    for id in ["gate-2", "game-1"] {
        assert_eq!(world.api.send("POST", &format!("/api/v1/nodes/{id}/drain"), drain.clone()).await.status, 202);
    }
    let all =
        |events: &Value| events["items"].as_array().unwrap().iter().map(|e| e["subject"].clone()).collect::<Vec<_>>();
    world.until("/api/v1/events?subject=node/game-1&kind=node.drain", |events| all(events).len() == 1).await;
    let narrow = world.mint_within("admin", json!({ "nodes": { "region": "eu" }, "config": ["game"] })).await;
    let seen = world.ask(&narrow, "GET", "/api/v1/events?limit=1000", None).await;
    check_silent(&seen, "events");
    let subjects = all(&seen.body);
    assert!(subjects.contains(&json!("node/game-1")) && subjects.contains(&json!("config/game")), "{subjects:?}");
    assert!(!subjects.contains(&json!("user/8")), "{subjects:?}");
}

#[tokio::test]
async fn nobody_hands_out_more_than_he_has_or_takes_an_instance_out_of_his_scope() {
    let world = World::new().await;
    world.label().await;
    let scopes = json!({ "nodes": { "region": "eu" } });
    let narrow = world.mint_within("admin", scopes.clone()).await;
    let wide = json!({ "reason": "a test", "name": "x", "roles": ["admin"] });
    check_foreign(&world.ask(&narrow, "POST", "/api/v1/auth/tokens", Some(wide)).await, "mint");
    let shown = json!({ "nodes": { "region": "eu" }, "config": [] });
    assert_eq!(world.ask(&narrow, "GET", "/api/v1/auth/me", None).await.body["scopes"], shown);
    let tokens = world.api.get("/api/v1/auth/tokens").await.body;
    assert_eq!(tokens["items"][1]["scopes"], shown);
    let path = "/api/v1/nodes/gate-1";
    let tag = world.api.get(path).await.header("etag").unwrap().to_owned();
    let seen = [("If-Match", &*tag)];
    for labels in [json!({ "region": "us" }), json!({ "region": null })] {
        let body = json!({ "reason": "a test", "labels": labels });
        check_foreign(&world.api.call(("PATCH", path), Some(&narrow), &seen, Some(body)).await, "labels");
    }
    let body = json!({ "reason": "a test", "labels": { "zone": "a" } });
    assert_eq!(world.api.call(("PATCH", path), Some(&narrow), &seen, Some(body)).await.status, 200);
    for wrong in
        [json!({ "nodes": {} }), json!({ "config": [] }), json!({ "config": [".master/"] }), json!({ "moon": 1 })]
    {
        let body = json!({ "reason": "a test", "name": "x", "roles": ["viewer"], "scopes": wrong });
        assert_eq!(world.api.send("POST", "/api/v1/auth/tokens", body).await.status, 422, "{wrong}");
    }
}
