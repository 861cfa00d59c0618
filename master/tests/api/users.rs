//! Users: found, spoken to, sent away; and what is written down of it.

use due_testkit::cluster::Ended;
use serde_json::{Value, json};

use crate::world::{ADD, SAID, World};

#[tokio::test]
async fn a_user_is_found_pushed_to_and_kicked() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let page = world.api.get("/api/v1/users/7").await.body;
    assert_eq!((&page["gate"], &page["uid"], &page["partial"]), (&json!("gate-1"), &json!(7), &json!(false)));
    assert_eq!((&page["session"]["stage"], &page["session"]["channels"]), (&json!("open"), &json!(["room"])));
    assert_eq!(page["epoch"], world.epoch(7).await);

    let push = json!({ "reason": "a test", "route": 101, "body": "hello" });
    let dry = world.api.send("POST", "/api/v1/users/7/push?dry_run=1", push.clone()).await;
    assert_eq!((dry.status, &dry.body["dry_run"]), (200, &json!(true)));
    let sent = world.api.send("POST", "/api/v1/users/7/push", push).await;
    assert_eq!((sent.status, &sent.body["queued"]), (200, &json!(1)));
    assert_eq!(ann.next(SAID).await, Ok("hello".to_owned()));
    let hex = json!({ "reason": "a test", "route": 101, "hex": "227a22" });
    assert_eq!(world.api.send("POST", "/api/v1/users/7/push", hex).await.body["queued"], 1);
    assert_eq!(ann.next(SAID).await, Ok("z".to_owned()), "the dry run sent nothing");

    let path = "/api/v1/users/7/kick";
    let kick = |epoch: u64| json!({ "reason": "rude", "code": 1007, "message": "be nice", "epoch": epoch });
    let wrong = world.api.send("POST", path, kick(1_000_000)).await;
    assert_eq!((wrong.status, wrong.body["code"].as_str()), (409, Some("epoch_changed")));
    assert_eq!(world.api.send("POST", &format!("{path}?dry_run=1"), kick(world.epoch(7).await)).await.status, 200);
    assert_eq!(ann.call(ADD, &1).await, Ok(2), "still there");
    assert_eq!(world.api.send("POST", path, kick(world.epoch(7).await)).await.body["gate"], "gate-1");
    assert!(matches!(ann.closed().await, Some(Ended::Kicked(1007, text)) if text == "be nice"));
    for _ in 0..500 {
        if world.api.get("/api/v1/users/7").await.status == 404 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let gone = world.api.send("POST", path, json!({ "reason": "rude" })).await;
    assert_eq!((gone.status, gone.body["code"].as_str()), (404, Some("offline")));
    assert_eq!(
        world.api.send("POST", "/api/v1/users/7/push", json!({ "reason": "x", "route": 1, "body": 1 })).await.status,
        404
    );
}

#[tokio::test]
async fn a_page_tells_what_has_happened_to_a_user_and_one_who_has_left_when_and_how() {
    let world = World::new().await;
    let path = "/api/v1/users/7";
    let unknown = world.api.get(path).await;
    assert_eq!((unknown.status, &unknown.body["last_seen"]), (404, &Value::Null));
    let first = world.user("gate-1", 7).await;
    assert_eq!(world.api.get(path).await.body["last_end"], Value::Null);
    let second = world.user("gate-2", 7).await;
    first.closed().await;
    let told = |page: &Value| page["events"].as_array().unwrap().len() == 3;
    let page = world.until(path, told).await;
    assert_eq!(
        (&page["last_end"]["what"], &page["last_end"]["gate"]),
        (&json!("taken_over"), &json!("gate-1")),
        "{page}"
    );
    let mut whats: Vec<&str> = page["events"].as_array().unwrap().iter().map(|e| e["what"].as_str().unwrap()).collect();
    whats.sort_unstable();
    assert_eq!((whats, page["last_seen"].is_u64()), (vec!["bound", "bound", "taken_over"], true));
    let kick = json!({ "reason": "rude", "code": 1007, "message": "be nice" });
    world.api.send("POST", &format!("{path}/kick"), kick).await;
    second.closed().await;
    let mut gone = world.api.get(path).await;
    while gone.status == 200 || gone.body["last_gate"] != "gate-2" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        gone = world.api.get(path).await;
    }
    assert_eq!((&gone.body["code"], &gone.body["last_end"]), (&json!("offline"), &json!("kicked")));
    assert_eq!(gone.body["last_text"], "1007: be nice");
    assert!(gone.body["last_seen"].as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
    let third = world.user("gate-1", 8).await;
    third.hang_up();
    let closed = "/api/v1/nodes/gate-1/connections?closed=10";
    let closed = world.until(closed, |page| page["closed"].as_array().unwrap().len() == 2).await;
    let whats: Vec<&str> = closed["closed"].as_array().unwrap().iter().map(|e| e["what"].as_str().unwrap()).collect();
    assert!(["left", "lost"].contains(&whats[0]) && whats[1] == "taken_over", "{whats:?}");
    assert_eq!(world.api.get("/api/v1/nodes/gate-1/connections?closed=1001").await.status, 400);
}

#[tokio::test]
async fn a_page_names_the_actors_that_a_user_is_attached_to() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    assert_eq!(world.api.get("/api/v1/users/7").await.body["actors"], json!([]));
    assert_eq!(ann.call(crate::world::SIT, &3).await, Ok(()));
    let page = world.api.get("/api/v1/users/7").await.body;
    assert_eq!(page["actors"], json!(["table/3"]), "{page}");
    assert_eq!(page["nodes"][0]["there"]["actors"], json!(["table/3"]));
}

#[tokio::test]
async fn what_is_done_is_written_down_before_and_its_outcome_after() {
    let world = World::new().await;
    let _ann = world.user("gate-1", 7).await;
    world.api.send("POST", "/api/v1/users/7/kick", json!({ "reason": "rude", "code": 1007 })).await;
    world.api.send("POST", "/api/v1/users/9/kick", json!({ "reason": "nobody" })).await;
    let page = world.api.get("/api/v1/audit?verb=user.&limit=3").await.body;
    let records = page["items"].as_array().unwrap();
    let told = |r: &Value| (r["resource"].clone(), r["reason"].clone(), r["outcome"].clone(), r["actor_name"].clone());
    assert_eq!(told(&records[0]), (json!("user/9"), json!("nobody"), json!("offline"), json!("first")));
    assert_eq!(told(&records[1]), (json!("user/9"), json!("nobody"), Value::Null, json!("first")));
    assert_eq!(told(&records[2]), (json!("user/7"), json!("rude"), json!("done"), json!("first")));
    assert_eq!(records[0]["of"], records[1]["seq"]);
    let before = page["next"].as_u64().unwrap();
    let rest = world.api.get(&format!("/api/v1/audit?verb=user.&cursor={before}")).await.body;
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["items"][0]["detail"]["code"]), (1, &json!(1007)));
    let all = world.api.get("/api/v1/audit").await.body;
    let all = all["items"].as_array().unwrap();
    assert!(all.windows(2).all(|two| two[0]["prev"] == two[1]["hash"]), "each is chained to the one before");
    assert!(!all.iter().any(|r| r.to_string().contains(&world.api.token)));
}

#[tokio::test]
async fn a_change_without_a_reason_is_not_made() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    for bad in [
        json!({}),
        json!({ "reason": "" }),
        json!({ "reason": "  " }),
        json!({ "reason": "a\nb" }),
        json!({ "reason": "x".repeat(501) }),
    ] {
        let answer = world.api.send("POST", "/api/v1/users/7/kick", bad).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (422, Some("validation_failed")), "{}", answer.body);
        assert!(answer.body["fields"].is_object());
    }
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
}

#[tokio::test]
async fn a_change_that_is_sent_twice_under_one_key_is_made_once() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let (token, key) = (Some(world.api.token.as_str()), [("Idempotency-Key", "k1")]);
    let push = |text: &str| Some(json!({ "reason": "a test", "route": 101, "body": text }));
    let path = ("POST", "/api/v1/users/7/push");
    let first = world.api.call(path, token, &key, push("one")).await;
    let again = world.api.call(path, token, &key, push("one")).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), (None, Some("true")));
    let other = world.api.call(path, token, &key, push("two")).await;
    assert_eq!((other.status, other.body["code"].as_str()), (422, Some("validation_failed")));
    let second = world.api.mint(&["support"]).await;
    assert_eq!(world.api.call(path, Some(&second), &key, push("three")).await.status, 200, "keys are each token's own");
    assert_eq!((ann.next(SAID).await, ann.next(SAID).await), (Ok("one".to_owned()), Ok("three".to_owned())));
}

#[tokio::test]
async fn sessions_are_paged_over_all_gates_and_filtered() {
    let world = World::new().await;
    let mut here = Vec::new();
    for uid in 1..=30 {
        here.push(world.user(if uid % 2 == 0 { "gate-1" } else { "gate-2" }, uid).await);
    }
    for _ in 0..5 {
        here.push(world.cluster.client_at("gate-1").await);
    }
    let mut seen = Vec::new();
    let mut path = "/api/v1/sessions?limit=4".to_owned();
    loop {
        let page = world.api.get(&path).await.body;
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 4 && page["partial"] == false);
        seen.extend(items.iter().map(|s| s["session"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/sessions?limit=4&cursor={next}");
    }
    let total = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((total, seen.len()), (35, 35), "each once");
    let check = async |query: &str, expected: usize| {
        let page = world.api.get(&format!("/api/v1/sessions?limit=1000&{query}")).await.body;
        assert_eq!(page["items"].as_array().unwrap().len(), expected, "{query}");
    };
    check("bound=1", 30).await;
    check("bound=0", 5).await;
    check("gate=gate-2", 15).await;
    check("uid=7", 1).await;
    check("uid=%227%22", 0).await;
    check("uid_prefix=1", 11).await;
    check("older_than_secs=3600", 0).await;
    check("bound=1&gate=gate-1&uid_prefix=2", 6).await;
    for bad in ["limit=0", "limit=1001", "ip=moon", "ip=10.0.0.0/33", "bound=perhaps", "cursor=x", "uid=-1"] {
        assert_eq!(world.api.get(&format!("/api/v1/sessions?{bad}")).await.status, 400, "{bad}");
    }
    let page = world.api.get("/api/v1/nodes/gate-1/connections?sort=age&limit=1000").await.body;
    let ages: Vec<u64> = page["items"].as_array().unwrap().iter().map(|s| s["age_ms"].as_u64().unwrap()).collect();
    assert!(ages.len() == 20 && ages.is_sorted_by(|a, b| a >= b), "{ages:?}");
}

#[tokio::test]
async fn many_users_are_sent_away_once_they_were_counted_and_who_came_anew_stays() {
    let world = World::new().await;
    let (ann, bob) = (world.user("gate-1", 71).await, world.user("gate-2", 72).await);
    let eve = world.user("gate-1", 8).await;
    let path = "/api/v1/users/kick";
    let mut kick = json!({ "reason": "a raid", "selector": { "uid_prefix": "7" }, "code": 1007, "message": "out" });
    assert_eq!(world.api.send("POST", path, json!({ "reason": "all", "selector": {} })).await.status, 422);
    assert_eq!(world.api.send("POST", path, kick.clone()).await.status, 422, "not counted");
    let counted = world.api.send("POST", &format!("{path}?dry_run=1"), kick.clone()).await.body;
    assert_eq!((&counted["count"], &counted["kicked"]), (&json!(2), &json!(0)));
    kick["count_token"] = counted["count_token"].clone();
    let mut other = kick.clone();
    other["selector"] = json!({ "uid_prefix": "8" });
    assert_eq!(world.api.send("POST", path, other).await.body["code"], "selector_changed");
    assert_eq!(ann.call(ADD, &1).await, Ok(2), "nobody was kicked so far");
    let done = world.api.send("POST", path, kick).await;
    assert_eq!(
        (done.status, &done.body["kicked"], &done.body["partial"]),
        (200, &json!(2), &json!(false)),
        "{}",
        done.body
    );
    for gone in [ann, bob] {
        assert!(matches!(gone.closed().await, Some(Ended::Kicked(1007, _))));
    }
    assert_eq!(eve.call(ADD, &1).await, Ok(2));
}

/// The gates look at a bounded number of connections in one turn, and answer a page whatever there is.
#[tokio::test]
async fn a_hundred_thousand_sessions_are_paged_to_their_end_and_a_filter_that_finds_nobody_answers() {
    let world = World::new().await;
    let mut crowd = Vec::new();
    for n in 1..=100_000 {
        crowd.push(world.cluster.old_client_at(if n % 2 == 0 { "gate-1" } else { "gate-2" }).await);
        if n % 64 == 0 {
            // The gates accept what waits.
            world.until("/api/v1/online", |online| online["connections"] == n).await;
        }
    }
    world.until("/api/v1/online", |online| online["connections"] == 100_000).await;
    // A machine that stands still is asked again.
    let nobody = world.until("/api/v1/sessions?bound=1", |page| page["partial"] == false).await;
    assert_eq!((&nobody["items"], &nobody["next"]), (&json!([]), &Value::Null));
    let (mut path, mut seen) = ("/api/v1/sessions?limit=1000".to_owned(), 0);
    loop {
        let page = world.until(&path, |page| page["partial"] == false).await;
        seen += page["items"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/sessions?limit=1000&cursor={next}");
    }
    assert_eq!(seen, 100_000);
}
