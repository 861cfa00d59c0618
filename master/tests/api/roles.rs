//! Who may do what.

use due_master::Master;
use serde_json::json;

use crate::{contract::filled, world::World};

const ROLES: [&str; 5] = ["viewer", "support", "operator", "config", "admin"];

/// What each endpoint needs: written here a second time, so that no change of the table goes unseen.
const NEEDS: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/openapi.json", ""),
    ("GET", "/api/v1/info", "viewer"),
    ("GET", "/api/v1/auth/me", "any"),
    ("GET", "/api/v1/auth/tokens", "admin"),
    ("POST", "/api/v1/auth/tokens", "admin"),
    ("DELETE", "/api/v1/auth/tokens/{id}", "admin"),
    ("GET", "/api/v1/roles", "viewer"),
    ("GET", "/api/v1/roles/{name}", "viewer"),
    ("PUT", "/api/v1/roles/{name}", "admin"),
    ("GET", "/api/v1/cluster", "viewer"),
    ("GET", "/api/v1/online", "viewer"),
    ("GET", "/api/v1/nodes", "viewer"),
    ("GET", "/api/v1/nodes/{id}", "viewer"),
    ("PATCH", "/api/v1/nodes/{id}", "operator"),
    ("POST", "/api/v1/nodes/{id}/drain", "operator"),
    ("GET", "/api/v1/nodes/{id}/drain", "viewer"),
    ("DELETE", "/api/v1/nodes/{id}/drain", "operator"),
    ("GET", "/api/v1/nodes/{id}/links", "viewer"),
    ("GET", "/api/v1/nodes/{id}/routes", "viewer"),
    ("GET", "/api/v1/nodes/{id}/metrics", "viewer"),
    ("GET", "/api/v1/nodes/{id}/connections", "operator"),
    ("GET", "/api/v1/routes", "viewer"),
    ("GET", "/api/v1/services", "viewer"),
    ("GET", "/api/v1/sessions", "support"),
    ("GET", "/api/v1/users/{uid}", "support"),
    ("POST", "/api/v1/users/{uid}/kick", "support"),
    ("DELETE", "/api/v1/users/{uid}/block", "support"),
    ("POST", "/api/v1/users/{uid}/push", "support"),
    ("GET", "/api/v1/audit", "admin"),
    ("GET", "/api/v1/channels", "viewer"),
    ("GET", "/api/v1/channels/{name}", "viewer"),
    ("POST", "/api/v1/broadcasts", "operator"),
    ("GET", "/api/v1/broadcasts", "viewer"),
    ("GET", "/api/v1/broadcasts/{id}", "viewer"),
    ("GET", "/api/v1/config", "viewer"),
    ("GET", "/api/v1/config/{key}", "viewer"),
    ("PUT", "/api/v1/config/{key}", "config"),
    ("POST", "/api/v1/config/{key}/validate", "config"),
    ("GET", "/api/v1/config/{key}/revisions", "viewer"),
    ("GET", "/api/v1/config/{key}/revisions/{number}", "viewer"),
    ("GET", "/api/v1/config/{key}/schema", "viewer"),
    ("POST", "/api/v1/config/{key}/rollback", "config"),
    ("GET", "/api/v1/config/{key}/status", "viewer"),
    ("GET", "/api/v1/cluster/graph", "viewer"),
    ("POST", "/api/v1/users/kick", "operator"),
    ("GET", "/api/v1/approvals", "any"),
    ("GET", "/api/v1/approvals/{id}", "any"),
    ("POST", "/api/v1/approvals/{id}/approve", "any"),
    ("POST", "/api/v1/approvals/{id}/reject", "any"),
    ("GET", "/api/v1/events", "viewer"),
    ("GET", "/api/v1/events/stream", "viewer"),
];

#[tokio::test] // B106, B107
async fn each_endpoint_is_for_its_role_and_for_admins_and_for_nobody_without_a_token() {
    let world = World::new().await;
    let paths = world.api.contract["paths"].as_object().unwrap();
    let documented: usize = paths.values().map(|item| item.as_object().unwrap().len()).sum();
    assert_eq!(documented, NEEDS.len(), "a line here for each operation");
    let mut tokens = Vec::new();
    for role in ROLES {
        tokens.push((role, world.api.mint(&[role]).await));
    }
    for (method, path, need) in NEEDS {
        let operation = world.api.operation(method, path).unwrap_or_else(|| panic!("{method} {path}"));
        assert_eq!(operation["x-role"].as_str().unwrap_or_default(), *need, "{method} {path}");
        // No change has a reason here: whoever may is told so, and nothing happens.
        let body = || (*method != "GET").then(|| json!({}));
        let path = &filled(path);
        for token in [None, Some("due_0_0"), Some("")] {
            let answer = world.api.call((method, path), token, &[], body()).await;
            assert_eq!(answer.status == 401, !need.is_empty(), "{method} {path} {token:?}: {}", answer.body);
        }
        for (role, token) in &tokens {
            let may = ["", "any", "viewer", *role].contains(need) || *role == "admin";
            let answer = world.api.call((method, path), Some(token), &[], body()).await;
            assert_ne!(answer.status, 401, "{method} {path} as {role}");
            assert_eq!(answer.status == 403, !may, "{method} {path} as {role}: {}", answer.body);
            if !may {
                assert_eq!(answer.body["need"], *need);
            }
        }
    }
    let denied = world.api.get("/api/v1/audit?verb=denied.&limit=1000").await.body;
    let denied = denied["items"].as_array().unwrap();
    let posts = |r: &&serde_json::Value| r["verb"] == "denied.post" && r["resource"] == "/api/v1/users/7/kick";
    let by: Vec<&str> = denied.iter().filter(posts).map(|r| r["actor_name"].as_str().unwrap()).collect();
    assert_eq!(by, ["config", "operator", "viewer"], "newest first");
    assert!(denied.iter().all(|r| r["outcome"] == "denied"), "{denied:?}");
}

#[tokio::test]
async fn a_read_only_master_changes_nothing_for_anybody() {
    let world = World::with(|master| master.read_only(true)).await;
    let ann = world.user("gate-1", 7).await;
    let kick = json!({ "reason": "a test" });
    let answer = world.api.send("POST", "/api/v1/users/7/kick", kick).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (403, Some("permission_denied")));
    assert!(world.api.get("/api/v1/info").await.body["read_only"].as_bool().unwrap());
    assert_eq!(ann.call(crate::world::ADD, &1).await, Ok(2));
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_so_and_others_are_not() {
    let world = World::with(|master| master.rate(1)).await;
    let viewer = world.api.mint(&["viewer"]).await;
    let mut limited = None;
    for _ in 0..20 {
        let answer = world.api.call(("GET", "/api/v1/auth/me"), Some(&viewer), &[], None).await;
        limited = limited.or((answer.status == 429).then_some(answer));
    }
    let limited = limited.expect("20 requests at a rate of 1");
    assert_eq!((limited.body["code"].as_str(), limited.header("retry-after")), (Some("rate_limited"), Some("1")));
}

#[tokio::test]
async fn a_second_master_knows_the_tokens_of_the_first_and_shows_none() {
    let world = World::new().await;
    let told = |_: &str| panic!("the first start was that of the first master");
    let second = Master::new().id("master-2").announce(told);
    let drivers = world.cluster.drivers().clone();
    let app = due_cluster::App::new(drivers).shards(due_cluster::Shards::Inline).with(second);
    let second = app.start().await.unwrap();
    let api = crate::world::Api::new(&second, world.api.token.clone()).await;
    assert_eq!(api.get("/api/v1/info").await.body["id"], "master-2");
    world.until("/api/v1/nodes?kind=master", |all| all["items"].as_array().unwrap().len() == 2).await;
}

const SUPPORT: &str = "/api/v1/roles/support";

impl World {
    async fn put_role(&self, path: &str, seen: (&str, &str), permissions: &[&str]) -> crate::world::Answer {
        let body = json!({ "reason": "a test", "permissions": permissions });
        self.api.call(("PUT", path), Some(&self.api.token), &[seen], Some(body)).await
    }
}

#[tokio::test]
async fn what_a_role_may_is_changed_if_it_is_as_it_was_seen_and_counts_at_once() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let support = world.api.mint(&["support"]).await;
    let kick = async || {
        let body = json!({ "reason": "rude" });
        world.api.call(("POST", "/api/v1/users/7/kick"), Some(&support), &[], Some(body)).await
    };
    let seen = world.api.get(SUPPORT).await;
    assert!(seen.body["permissions"].as_array().unwrap().contains(&json!("users:kick")), "{}", seen.body);
    let tag = seen.header("etag").unwrap().to_owned();
    let blind = world.api.send("PUT", SUPPORT, json!({ "reason": "a test", "permissions": [] })).await;
    assert_eq!(blind.status, 428);
    let dry = format!("{SUPPORT}?dry_run=1");
    assert_eq!(world.put_role(&dry, ("If-Match", &tag), &["users:read"]).await.body["revision"], 1);
    assert_eq!(world.put_role(SUPPORT, ("If-Match", &tag), &["users:read"]).await.status, 200);
    let refused = kick().await;
    assert_eq!((refused.status, refused.body["permission"].as_str()), (403, Some("users:kick")));
    assert_eq!(ann.call(crate::world::ADD, &1).await, Ok(2), "still there");
    let me = world.api.call(("GET", "/api/v1/auth/me"), Some(&support), &[], None).await;
    assert_eq!(me.body["permissions"], json!(["users:read"]));
    let stale = world.put_role(SUPPORT, ("If-Match", &tag), &["users:kick"]).await;
    assert_eq!((stale.status, stale.body["code"].as_str()), (412, Some("precondition_failed")));
    assert_eq!(world.put_role(SUPPORT, ("If-Match", "\"1\""), &["users:kick"]).await.status, 200);
    assert_eq!(kick().await.status, 200);
    let page = world.api.get("/api/v1/audit?verb=role.put").await.body;
    let outcomes: Vec<_> = page["items"].as_array().unwrap().iter().filter_map(|r| r["outcome"].as_str()).collect();
    assert_eq!(outcomes, ["done", "precondition_failed", "done", "done"], "newest first");
}

#[tokio::test]
async fn roles_are_made_for_tokens_and_no_role_makes_an_admin() {
    let world = World::new().await;
    let path = "/api/v1/roles/night-shift";
    assert_eq!(world.api.get(path).await.status, 404);
    assert_eq!(world.put_role(path, ("If-Match", "\"0\""), &[]).await.status, 404);
    let body = json!({ "reason": "a test", "name": "bob", "roles": ["night-shift"] });
    let early = world.api.send("POST", "/api/v1/auth/tokens", body).await;
    assert_eq!((early.status, early.body["fields"]["roles"].is_string()), (422, true), "{}", early.body);
    let made = world.put_role(path, ("If-None-Match", "*"), &["nodes:read", "nodes:drain"]).await;
    assert_eq!((made.status, &made.body["revision"]), (200, &json!(1)));
    assert_eq!(world.put_role(path, ("If-None-Match", "*"), &[]).await.status, 412);
    let bob = world.api.mint(&["night-shift"]).await;
    for (path, expected) in [("/api/v1/nodes", 200), ("/api/v1/nodes/gate-1/drain", 404), ("/api/v1/config", 403)] {
        assert_eq!(world.api.call(("GET", path), Some(&bob), &[], None).await.status, expected, "{path}");
    }
    let open = made.body["may"].as_array().unwrap();
    assert!(open.contains(&json!("POST /api/v1/nodes/{id}/drain")) && !open.contains(&json!("GET /api/v1/config")));
    for sly in ["tokens:write", "roles:write", "moon:land", ""] {
        let refused = world.put_role(path, ("If-Match", "\"1\""), &[sly]).await;
        assert_eq!((refused.status, refused.body["code"].as_str()), (422, Some("unknown_permission")), "{sly}");
    }
    let fixed = world.put_role("/api/v1/roles/admin", ("If-Match", "\"0\""), &[]).await;
    assert_eq!((fixed.status, fixed.body["code"].as_str()), (409, Some("fixed_role")));
    assert_eq!(world.put_role("/api/v1/roles/A%20B", ("If-None-Match", "*"), &[]).await.status, 400);
    assert_eq!(world.api.get("/api/v1/roles").await.body["items"].as_array().unwrap().len(), 6);
}
