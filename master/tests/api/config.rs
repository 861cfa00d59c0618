//! Live settings.

use serde_json::{Value, json};

use crate::world::World;

const PATH: &str = "/api/v1/config/game%2Frules.json";

fn value(text: &str) -> Value {
    json!({ "reason": "a test", "value": text })
}

impl World {
    async fn put(&self, seen: (&str, &str), text: &str) -> crate::world::Answer {
        self.api.call(("PUT", PATH), Some(&self.api.token), &[seen], Some(value(text))).await
    }

    /// Waits until the nodes use a version.
    async fn used(&self, version: &Value) -> Value {
        let holds = |status: &Value| status["items"].as_array().unwrap().iter().all(|i| i["version"] == *version);
        self.until(&format!("{PATH}/status"), holds).await
    }
}

#[tokio::test]
async fn a_setting_is_edited_refused_when_bad_or_stale_and_rolled_back() {
    let world = World::new().await;
    assert_eq!(world.api.get(PATH).await.status, 404);
    let blind = world.api.send("PUT", PATH, value(r#"{"rooms":1}"#)).await;
    assert_eq!(blind.status, 428);
    let made = world.put(("If-None-Match", "*"), r#"{"rooms":1}"#).await;
    assert_eq!((made.status, made.body["checked_by"].as_array().unwrap().len()), (200, 1), "{}", made.body);
    let status = world.used(&made.body["version"]).await;
    assert_eq!(status["items"].as_array().unwrap().len(), 2, "both nodes use it, the gates do not: {status}");
    let runs = async |id: &str| world.api.get(&format!("/api/v1/nodes/{id}")).await.body["config_revision"].clone();
    let expected = json!({ "game/rules.json": made.body["version"], "game/shop.json": null });
    assert_eq!((runs("game-1").await, runs("master-1").await), (expected, Value::Null));
    assert_eq!(world.put(("If-None-Match", "*"), r#"{"rooms":2}"#).await.status, 412);

    let tag = made.header("etag").unwrap().to_owned();
    for bad in [r#"{"rooms":101}"#, "{", r#"{"rooms":"many"}"#] {
        let refused = world.put(("If-Match", &tag), bad).await;
        assert_eq!((refused.status, refused.body["code"].as_str()), (422, Some("validation_failed")), "{bad}");
        assert!(refused.body["fields"]["value"].is_string() && refused.body["node"].is_string(), "{}", refused.body);
        let looked = world.api.send("POST", &format!("{PATH}/validate"), json!({ "value": bad })).await;
        assert_eq!(looked.status, 422);
    }
    let status = world.used(&made.body["version"]).await;
    assert!(status["items"].as_array().unwrap().iter().all(|i| i["rejected"] == 0), "no node has seen them: {status}");

    let dry = format!("{PATH}?dry_run=1");
    let tried = world
        .api
        .call(("PUT", &dry), Some(&world.api.token), &[("If-Match", &tag)], Some(value(r#"{"rooms":2}"#)))
        .await;
    assert_eq!((tried.status, &tried.body["version"]), (200, &made.body["version"]));
    let second = world.put(("If-Match", &tag), r#"{"rooms":2}"#).await;
    assert_eq!(second.status, 200);
    assert_eq!(world.put(("If-Match", &tag), r#"{"rooms":3}"#).await.status, 412);
    world.used(&second.body["version"]).await;

    let back = format!("{PATH}/rollback");
    let rolled = world.api.send("POST", &back, json!({ "reason": "too many", "to": 1 })).await;
    assert_eq!(rolled.status, 200, "{}", rolled.body);
    assert_eq!(world.api.get(PATH).await.body["value"], r#"{"rooms":1}"#);
    world.used(&rolled.body["version"]).await;
    let again = world.api.send("POST", &back, json!({ "reason": "too many", "to": 1 })).await;
    assert_eq!((again.status, again.body["code"].as_str()), (409, Some("same_value")));
    assert_eq!(world.api.send("POST", &back, json!({ "reason": "x", "to": 99 })).await.status, 404);
    let revisions = world.api.get(&format!("{PATH}/revisions")).await.body;
    let applied: Vec<&Value> =
        revisions["items"].as_array().unwrap().iter().filter(|r| !r["version"].is_null()).collect();
    assert_eq!(applied.len(), 3);
    let author = applied[0]["author"].as_str().unwrap();
    assert!(author.starts_with("first (") && author.ends_with(": too many"), "{author}");
}

#[tokio::test]
async fn secrets_are_for_those_who_may_change_them_and_the_fleets_own_keys_for_nobody() {
    let world = World::new().await;
    world.put(("If-None-Match", "*"), r#"{"rooms":1,"password":"hunter2"}"#).await;
    let (viewer, editor) = (world.api.mint(&["viewer"]).await, world.api.mint(&["config"]).await);
    for path in [PATH.to_owned(), format!("{PATH}/revisions")] {
        let seen = world.api.call(("GET", &path), Some(&viewer), &[], None).await;
        assert!(!seen.body.to_string().contains("hunter2") && seen.body.to_string().contains("rooms"), "{}", seen.body);
        let seen = world.api.call(("GET", &path), Some(&editor), &[], None).await;
        assert!(seen.body.to_string().contains("hunter2"));
    }
    let keys = world.api.get("/api/v1/config").await.body;
    assert_eq!(keys["items"].as_array().unwrap().len(), 1, "{keys}");
    assert_eq!(world.api.get("/api/v1/config?prefix=.master").await.body["items"], json!([]));
    assert_eq!(world.api.get("/api/v1/config/.master%2Ftokens").await.status, 400);
}

#[tokio::test] // B109
async fn names_that_are_no_keys_are_refused_and_nothing_is_read() {
    let world = World::new().await;
    let names = [
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e%2fetc",
        "%2Fetc%2Fpasswd",
        "a%00b",
        "C%3A%5Cwindows",
        "a%2F%2Fb",
        "a%2F..%2Fb",
    ];
    for name in names {
        let path = format!("/api/v1/config/{name}");
        assert_eq!(world.api.get(&path).await.status, 400, "{name}");
        let headers = [("If-None-Match", "*")];
        let put = world.api.call(("PUT", &path), Some(&world.api.token), &headers, Some(value("x"))).await;
        assert_eq!(put.status, 400, "{name}");
    }
    assert_eq!(world.api.get("/api/v1/config?prefix=..%2F").await.status, 400);
}

#[tokio::test]
async fn a_value_is_held_against_its_schema_before_anybody_is_asked_and_the_schema_can_be_read() {
    let world = World::new().await;
    let path = "/api/v1/config/game%2Fshop.json";
    let put = async |text: &str| {
        world.api.call(("PUT", path), Some(&world.api.token), &[("If-None-Match", "*")], Some(value(text))).await
    };
    let schema = world.api.get(&format!("{path}/schema")).await.body;
    assert_eq!(schema["items"][0]["schema"]["required"], json!(["prices"]), "{schema}");
    assert_eq!(schema["items"][0]["nodes"], json!(["game-1", "game-2"]));
    assert_eq!(world.api.get(&format!("{PATH}/schema")).await.body["items"], json!([]), "that one has none");
    let refused = put(r#"{"prices":[1,0,"x"]}"#).await;
    let fields: Vec<&String> = refused.body["fields"].as_object().unwrap().keys().collect();
    assert_eq!((refused.status, fields), (422, vec![&"value/prices/1".to_owned(), &"value/prices/2".to_owned()]));
    assert_eq!(refused.body["node"], "game-1");
    let late = put(r#"{"prices":[1,2,3,4,5,6,7]}"#).await;
    assert_eq!(
        (late.status, late.body["fields"]["value"].is_string()),
        (422, true),
        "it fits, and is refused all the same"
    );
    let looked = world.api.send("POST", &format!("{path}/validate"), json!({ "value": r#"{"prices":[1]}"# })).await;
    assert_eq!((&looked.body["fits"], &looked.body["checked_by"]), (&json!(["game-1"]), &json!(["game-1"])));
    assert_eq!(put("prices = 1").await.status, 422);
    assert_eq!(world.api.get(path).await.status, 404, "nothing was stored so far");
    assert_eq!(put(r#"{"prices":[1]}"#).await.status, 200);
}

#[tokio::test]
async fn writes_of_a_setting_are_compared() {
    let world = World::new().await;
    let first = world.put(("If-None-Match", "*"), r#"{"rooms":1,"password":"hunter2"}"#).await;
    let tag = first.header("etag").unwrap().to_owned();
    world.put(("If-Match", &tag), r#"{"rooms": 2, "password": "hunter3"}"#).await;
    let newest = world.api.get(&format!("{PATH}/revisions")).await.body["items"][0]["number"].as_u64().unwrap();
    let path = |number: u64, diff: &str| format!("{PATH}/revisions/{number}{diff}");
    let seen = world.api.get(&path(newest, "?diff=previous")).await.body;
    let diff = &seen["diff"];
    assert_eq!((&diff["from"], &diff["added"], &diff["removed"]), (&json!(newest - 1), &json!(2), &json!(2)), "{seen}");
    assert!(diff["text"].as_str().unwrap().contains("+  \"rooms\": 2"), "{diff}");
    assert!(seen["author"].as_str().unwrap().starts_with("first (") && seen["value"].is_string());
    assert_eq!(world.api.get(&path(newest, &format!("?diff={newest}"))).await.body["diff"]["text"], "");
    assert_eq!(world.api.get(&path(newest - 1, "?diff=previous")).await.body["diff"]["from"], 0, "the first one");
    assert_eq!(world.api.get(&path(newest, "")).await.body["diff"], Value::Null);
    let viewer = world.api.mint(&["viewer"]).await;
    let masked = world.api.call(("GET", &path(newest, "?diff=previous")), Some(&viewer), &[], None).await.body;
    assert!(!masked.to_string().contains("hunter") && masked["diff"]["added"] == 1, "{masked}");
    for (wrong, status) in [(path(99, ""), 404), (path(newest, "?diff=99"), 404), (path(newest, "?diff=x"), 400)] {
        assert_eq!(world.api.get(&wrong).await.status, status, "{wrong}");
    }
}
