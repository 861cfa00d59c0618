//! What needs two persons.

use due_cluster::{App, Shards};
use due_core::{Drivers, config::Expect};
use due_master::Master;
use serde_json::{Value, json};

use crate::world::{ADD, Answer, Api, World};

const ALL: &str = "kick_all=approve,broadcast=approve,drain=approve,config=approve,roles=approve";

async fn guarded() -> World {
    World::with(|master| master.guard(ALL)).await
}

impl World {
    async fn decide(&self, token: &str, id: &str, what: &str) -> Answer {
        decide(&self.api, token, id, what).await
    }

    /// Asks for a kick of all that are there, as a dry run has counted them.
    async fn ask_to_kick(&self, token: &str) -> Answer {
        let mut body = json!({ "reason": "a test", "selector": { "older_than_secs": 0 } });
        let path = "/api/v1/users/kick";
        let counted = self.api.call(("POST", &format!("{path}?dry_run=1")), Some(token), &[], Some(body.clone())).await;
        assert_eq!(counted.status, 200, "{}", counted.body);
        body["count_token"] = counted.body["count_token"].clone();
        self.api.call(("POST", path), Some(token), &[], Some(body)).await
    }

    async fn audited(&self, verb: &str) -> Vec<Value> {
        let page = self.api.get(&format!("/api/v1/audit?verb={verb}&limit=1000")).await.body;
        page["items"].as_array().unwrap().clone()
    }
}

async fn decide(api: &Api, token: &str, id: &str, what: &str) -> Answer {
    let body = json!({ "reason": "looked at it" });
    api.call(("POST", &format!("/api/v1/approvals/{id}/{what}")), Some(token), &[], Some(body)).await
}

fn pending(answer: &Answer) -> String {
    assert_eq!((answer.status, &answer.body["state"]), (202, &json!("pending")), "{}", answer.body);
    let id = answer.body["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(&*format!("/api/v1/approvals/{id}")));
    id
}

fn check_code(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{}", answer.body);
}

#[tokio::test]
async fn a_guarded_kick_of_many_waits_for_another_token_and_is_audited_with_both_names() {
    let world = guarded().await;
    let ann = world.user("gate-1", 7).await;
    let (asker, second) = (world.api.mint(&["operator"]).await, world.api.mint(&["operator", "viewer"]).await);
    let id = pending(&world.ask_to_kick(&asker).await);
    assert_eq!(ann.call(ADD, &1).await, Ok(2), "nobody was kicked");
    check_code(&world.decide(&asker, &id, "approve").await, 403, "second_person_needed");
    let support = world.api.mint(&["support"]).await;
    check_code(&world.decide(&support, &id, "approve").await, 403, "permission_denied");
    let view = |token: String| {
        let (api, path) = (&world.api, format!("/api/v1/approvals/{id}"));
        async move { api.call(("GET", &path), Some(&token), &[], None).await }
    };
    assert_eq!(view(support.clone()).await.status, 404, "it is not for those who may not decide it");
    let shown = view(second.clone()).await.body;
    assert_eq!(shown["request"]["body"]["selector"]["older_than_secs"], 0, "{shown}");
    let approved = world.decide(&second, &id, "approve").await;
    assert_eq!((approved.status, &approved.body["answer"]["kicked"]), (200, &json!(1)), "{}", approved.body);
    assert_eq!(approved.body["approval"]["decision"]["outcome"], "done");
    check_code(&world.decide(&second, &id, "reject").await, 409, "already_decided");
    let kicks = world.audited("users.kick").await;
    let done = kicks.iter().find(|r| r["outcome"] == "done" && r["dry_run"] == false).unwrap();
    assert_eq!(done["actor_name"], "operator");
    assert!(done["approved_by"].as_str().unwrap().starts_with("operator-viewer ("), "{done}");
    let outcomes: Vec<_> = world.audited("approval.").await;
    assert!(outcomes.iter().any(|r| r["verb"] == "approval.ask" && r["outcome"] == "done"), "{outcomes:?}");
    assert!(outcomes.iter().any(|r| r["verb"] == "approval.approve" && r["outcome"] == "second_person_needed"));
}

#[tokio::test]
async fn what_could_not_be_done_is_refused_as_ever_and_dry_runs_and_other_changes_are_answered_as_ever() {
    let world = guarded().await;
    let _ann = world.user("gate-1", 7).await;
    let api = &world.api;
    let blind = json!({ "reason": "a test", "value": "1" });
    assert_eq!(api.send("PUT", "/api/v1/config/x", blind.clone()).await.status, 428);
    let stale = [("If-Match", "\"7\"")];
    check_code(
        &api.call(("PUT", "/api/v1/config/x"), Some(&api.token), &stale, Some(blind)).await,
        412,
        "precondition_failed",
    );
    let all = json!({ "reason": "a test", "selector": { "older_than_secs": 0 } });
    check_code(&api.send("POST", "/api/v1/users/kick", all.clone()).await, 422, "validation_failed");
    assert_eq!(api.send("POST", "/api/v1/users/kick?dry_run=1", all).await.body["count"], 1);
    check_code(&api.send("POST", "/api/v1/nodes/moon/drain", json!({ "reason": "x" })).await, 404, "not_found");
    let sly = api.send("POST", "/api/v1/nodes/game-1/drain?dry%5Frun=0", json!({ "reason": "a test" })).await;
    let id = pending(&sly);
    assert_eq!(api.get("/api/v1/nodes/game-1/drain").await.status, 404, "it is not being emptied");
    assert_eq!(api.send("POST", "/api/v1/users/7/kick", json!({ "reason": "x" })).await.status, 200, "not guarded");
    let list = api.get("/api/v1/approvals").await.body;
    assert_eq!((list["items"].as_array().unwrap().len(), &list["items"][0]["id"]), (1, &json!(id)));
    assert_eq!(
        api.get("/api/v1/info").await.body["guard"],
        json!(["kick_all", "broadcast", "drain", "config", "roles"])
    );
    let second = api.mint(&["operator"]).await;
    assert_eq!(world.decide(&second, &id, "reject").await.body["state"], "rejected");
    check_code(&world.decide(&second, &id, "approve").await, 409, "already_decided");
    check_code(&world.decide(&second, "none", "approve").await, 404, "not_found");
    let token = [("Idempotency-Key", "once")];
    let ask = async || {
        let body = json!({ "reason": "a test" });
        api.call(("POST", "/api/v1/nodes/game-1/drain"), Some(&api.token), &token, Some(body)).await
    };
    assert_eq!(pending(&ask().await), pending(&ask().await), "it is asked once");
}

#[tokio::test]
async fn a_setting_that_changes_meanwhile_is_412_and_one_that_does_not_is_written_by_both() {
    let world = guarded().await;
    let (asker, second) = (world.api.mint(&["config"]).await, world.api.mint(&["config", "viewer"]).await);
    let write = async |value: &str, seen: (&str, &str)| {
        let body = json!({ "reason": "a test", "value": value });
        world.api.call(("PUT", "/api/v1/config/game"), Some(&asker), &[seen], Some(body)).await
    };
    let (one, other) = (write("1", ("If-None-Match", "*")).await, write("2", ("If-None-Match", "*")).await);
    let (one, other) = (pending(&one), pending(&other));
    let written = world.decide(&second, &one, "approve").await;
    assert_eq!((written.status, &written.body["status"]), (200, &json!(200)), "{}", written.body);
    check_code(&world.decide(&second, &other, "approve").await, 412, "precondition_failed");
    let failed = world.api.get(&format!("/api/v1/approvals/{other}")).await.body;
    assert_eq!((&failed["state"], &failed["decision"]["outcome"]), (&json!("approved"), &json!("precondition_failed")));
    assert_eq!(failed["request"]["body"], Value::Null, "the value is not kept");
    let history = world.api.get("/api/v1/config/game/revisions").await.body;
    let author = history["items"][0]["author"].as_str().unwrap();
    assert!(author.starts_with("config (") && author.contains("approved by config-viewer ("), "{author}");
}

#[tokio::test]
async fn whoever_approves_reaches_as_far_as_whoever_asks() {
    let world = guarded().await;
    let narrow = json!({ "reason": "a test", "name": "narrow", "roles": ["admin"], "scopes": { "config": ["game"] } });
    let narrow = world.api.send("POST", "/api/v1/auth/tokens", narrow).await.body["token"].as_str().unwrap().to_owned();
    let eu = json!({ "reason": "a test", "name": "eu", "roles": ["admin"], "scopes": { "nodes": { "region": "eu" } } });
    let eu = world.api.send("POST", "/api/v1/auth/tokens", eu).await.body["token"].as_str().unwrap().to_owned();
    let fresh = [("If-None-Match", "*")];
    let body = json!({ "reason": "a test", "value": "1" });
    let asked = world.api.call(("PUT", "/api/v1/config/other"), Some(&world.api.token), &fresh, Some(body)).await;
    check_code(&world.decide(&narrow, &pending(&asked), "approve").await, 403, "out_of_scope");
    let drain = world.api.send("POST", "/api/v1/nodes/game-1/drain", json!({ "reason": "a test" })).await;
    check_code(&world.decide(&eu, &pending(&drain), "approve").await, 403, "out_of_scope");
    let kick = world.ask_to_kick(&world.api.token).await;
    check_code(&world.decide(&eu, &pending(&kick), "reject").await, 403, "out_of_scope");
    let list = world.api.call(("GET", "/api/v1/approvals"), Some(&eu), &[], None).await.body;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "the setting, for which labels do not matter: {list}");
}

#[tokio::test]
async fn a_token_that_was_guarded_is_shown_to_whoever_approves_and_an_asker_who_has_gone_gets_nothing() {
    let world = World::with(|master| master.guard("drain=approve")).await;
    let second = world.api.mint(&["admin"]).await;
    let asker = json!({ "reason": "a test", "name": "ops", "roles": ["operator"] });
    let asker = world.api.send("POST", "/api/v1/auth/tokens", asker).await.body;
    let token = asker["token"].as_str().unwrap();
    let body = json!({ "reason": "a test" });
    let drain = world.api.call(("POST", "/api/v1/nodes/game-1/drain"), Some(token), &[], Some(body)).await;
    let id = pending(&drain);
    let revoked = format!("/api/v1/auth/tokens/{}?reason=left", asker["id"].as_str().unwrap());
    assert_eq!(world.api.call(("DELETE", &revoked), Some(&second), &[], None).await.status, 204);
    check_code(&world.decide(&second, &id, "approve").await, 409, "asker_gone");

    let world = World::with(|master| master.guard("tokens=approve")).await;
    let mint = json!({ "reason": "a test", "name": "second", "roles": ["admin"] });
    let asked = world.api.send("POST", "/api/v1/auth/tokens", mint).await;
    let id = pending(&asked);
    check_code(&world.decide(&world.api.token, &id, "approve").await, 403, "second_person_needed");
    assert_eq!(world.api.get("/api/v1/auth/tokens").await.body["items"].as_array().unwrap().len(), 1, "none was made");
}

#[tokio::test]
async fn any_master_decides_what_another_was_asked_and_what_has_expired_is_410() {
    let world = guarded().await;
    let second = world.api.mint(&["admin"]).await;
    // One that guards nothing itself decides all the same; it is as one that was started anew.
    let other = Master::new().id("master-2").rate(100_000).announce(|_| panic!("the first start was another's"));
    let drivers: Drivers = world.cluster.drivers().clone();
    let other = App::new(drivers).shards(Shards::Inline).with(other).start().await.unwrap();
    let api = Api::new(&other, second.clone()).await;
    let fresh = [("If-None-Match", "*")];
    let body = json!({ "reason": "a test", "value": "1" });
    let ask = async |key: &str| {
        let path = format!("/api/v1/config/{key}");
        pending(&world.api.call(("PUT", &path), Some(&world.api.token), &fresh, Some(body.clone())).await)
    };
    let (first, late) = (ask("first").await, ask("late").await);
    let (here, there) =
        tokio::join!(world.decide(&second, &first, "approve"), decide(&api, &second, &first, "approve"));
    let mut statuses = [here.status, there.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "one of them has decided: {} {}", here.body, there.body);
    let source = world.master.cluster().config().clone();
    let kept = source.load(".master/approvals").await.unwrap().unwrap();
    let mut document: Value = serde_json::from_slice(&kept.value).unwrap();
    document["requests"][1]["expires"] = json!(1);
    source.store(".master/approvals", document.to_string().into(), Expect::Version(kept.version)).await.unwrap();
    check_code(&decide(&api, &second, &late, "approve").await, 410, "expired");
    assert_eq!(api.get(&format!("/api/v1/approvals/{late}")).await.body["state"], "expired");
    assert_eq!(api.get("/api/v1/config/late").await.status, 404);
}

#[tokio::test]
async fn a_policy_that_is_none_ends_the_start() {
    let app = App::new(Drivers::memory());
    let refused = app.with(Master::new().guard("moon=approve").announce(|_| {})).start().await.unwrap_err();
    assert!(refused.to_string().contains("moon=approve") && refused.to_string().contains("kick_all"), "{refused}");
}
