//! Messages to many.

use serde_json::{Value, json};

use crate::world::{SAID, World};

const PATH: &str = "/api/v1/broadcasts";

impl World {
    /// A broadcast to everyone that was counted.
    async fn counted(&self, text: &str) -> Value {
        let mut word = json!({ "reason": "a test", "to": "everyone", "route": 101, "body": text });
        let counted = self.api.send("POST", &format!("{PATH}?dry_run=1"), word.clone()).await.body;
        word["count_token"] = counted["count_token"].clone();
        word
    }
}

#[tokio::test]
async fn a_broadcast_reaches_those_who_were_counted() {
    let world = World::new().await;
    let (ann, bob) = (world.user("gate-1", 7).await, world.user("gate-2", 8).await);
    let nobody = world.cluster.client_at("gate-2").await;
    let channel = world.api.get("/api/v1/channels/room").await.body;
    assert_eq!(
        (&channel["items"][0]["subscribers"], &channel["items"][0]["gates"]),
        (&json!(2), &json!({ "gate-1": 1, "gate-2": 1 }))
    );
    assert_eq!(world.api.get("/api/v1/channels").await.body["items"].as_array().unwrap().len(), 1);
    let path = PATH;
    let mut word = json!({ "reason": "a test", "to": "channel", "channel": "room", "route": 101, "body": "all" });
    let hasty = world.api.send("POST", path, word.clone()).await;
    assert_eq!((hasty.status, hasty.body["fields"]["count_token"].is_string()), (422, true));
    let counted = world.api.send("POST", &format!("{path}?dry_run=1"), word.clone()).await.body;
    assert_eq!((&counted["count"], &counted["items"]), (&json!(2), &json!([])));
    word["count_token"] = counted["count_token"].clone();
    let sent = world.api.send("POST", path, word.clone()).await;
    let queued: u64 = sent.body["items"].as_array().unwrap().iter().map(|i| i["queued"].as_u64().unwrap()).sum();
    assert_eq!((sent.status, queued, &sent.body["partial"]), (200, 2, &json!(false)));
    assert_eq!((ann.next(SAID).await, bob.next(SAID).await), (Ok("all".to_owned()), Ok("all".to_owned())));
    word["channel"] = json!("other");
    let changed = world.api.send("POST", path, word.clone()).await;
    assert_eq!((changed.status, changed.body["code"].as_str()), (412, Some("selector_changed")));
    let everyone = json!({ "reason": "a test", "to": "everyone", "route": 101, "body": "x" });
    assert_eq!(world.api.send("POST", &format!("{path}?dry_run=1"), everyone).await.body["count"], 3);
    assert_eq!(nobody.arrived(SAID).unwrap(), [""; 0]);
}

#[tokio::test]
async fn what_came_of_a_broadcast_is_there_to_look_at_and_one_that_is_not_waited_for_ends_all_the_same() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let sent = world.api.send("POST", PATH, world.counted("one").await).await;
    let id = sent.body["id"].as_str().unwrap().to_owned();
    let seen = world.api.get(&format!("{PATH}/{id}")).await.body;
    assert_eq!(
        (&seen["stage"], &seen["items"], &seen["by"]),
        (&json!("finished"), &sent.body["items"], &json!("first"))
    );
    assert_eq!(ann.next(SAID).await, Ok("one".to_owned()));
    let mut word = world.counted("two").await;
    word["wait"] = json!(false);
    let begun = world.api.send("POST", PATH, word.clone()).await;
    assert_eq!((begun.status, &begun.body["stage"], &begun.body["items"]), (202, &json!("running"), &json!([])));
    let second = begun.body["id"].as_str().unwrap();
    assert_eq!(ann.next(SAID).await, Ok("two".to_owned()));
    let done = world.until(&format!("{PATH}/{second}"), |b| b["stage"] == "finished").await;
    assert_eq!(
        (&done["count"], &done["partial"], done["items"].as_array().unwrap().len()),
        (&json!(1), &json!(false), 2)
    );
    let audit = format!("/api/v1/audit?resource=broadcast/{second}");
    let written = world.until(&audit, |page| page["items"].as_array().unwrap().len() == 2).await;
    assert_eq!(written["items"][0]["outcome"], "done");
    let page = world.api.get(&format!("{PATH}?limit=1")).await.body;
    assert_eq!((&page["items"][0]["id"], &page["next"]), (&json!(second), &json!(second)), "newest first");
    let rest = world.api.get(&format!("{PATH}?limit=1&cursor={second}")).await.body;
    assert_eq!((&rest["items"][0]["id"], &rest["next"]), (&json!(id), &Value::Null));
    assert_eq!(world.api.get(&format!("{PATH}/nothing")).await.status, 404);
    word["count_token"] = json!("9-x");
    let refused = world.api.send("POST", PATH, word).await;
    assert_eq!((refused.status, refused.body["code"].as_str()), (412, Some("selector_changed")), "also unwaited for");
}
