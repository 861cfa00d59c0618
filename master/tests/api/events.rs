//! What has happened: looked at, followed, resumed, lost.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::World;

const PATH: &str = "/api/v1/events";

/// A follower of events.
struct Follower {
    socket: TcpStream,
    read: String,
}

impl Follower {
    async fn new(world: &World, token: &str, more: &str) -> Self {
        let mut socket = world.api.socket().await;
        let head = format!("GET {PATH}/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{more}\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut this = Self { socket, read: String::new() };
        this.until("\n\n").await;
        assert!(this.read.contains("text/event-stream"), "{}", this.read);
        this
    }

    /// Reads on until there is this text; `false` at the end of the stream.
    async fn until(&mut self, text: &str) -> bool {
        let mut bytes = [0; 4096];
        while !self.read.split_once("\r\n\r\n").is_some_and(|(_, body)| body.contains(text)) {
            match self.socket.read(&mut bytes).await {
                Ok(0) | Err(_) => return false,
                Ok(n) => self.read += std::str::from_utf8(&bytes[..n]).unwrap(),
            }
        }
        true
    }

    /// The events so far.
    fn events(&self) -> Vec<Value> {
        let data = self.read.split("data: ").skip(1).filter_map(|rest| rest.split("\n\n").next());
        data.filter_map(|data| serde_json::from_str(data).ok()).collect()
    }

    fn last_id(&self) -> &str {
        self.read.split("id: ").last().unwrap().split(['\n', '\r']).next().unwrap()
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|e| e["kind"].as_str().unwrap()).collect()
}

impl World {
    async fn kick(&self, uid: i64) {
        let path = format!("/api/v1/users/{uid}/kick");
        self.api.send("POST", &path, json!({ "reason": "rude" })).await;
    }

    async fn weigh(&self, node: &str, weight: u32) {
        let path = format!("/api/v1/nodes/{node}");
        let tag = self.api.get(&path).await.header("etag").unwrap().to_owned();
        let body = json!({ "reason": "a test", "weight": weight });
        let done = self.api.call(("PATCH", &path), Some(&self.api.token), &[("If-Match", &tag)], Some(body)).await;
        assert_eq!(done.status, 200, "{}", done.body);
    }
}

#[tokio::test]
async fn what_happens_to_instances_and_settings_and_what_operators_do_are_events() {
    let world = World::new().await;
    world.weigh("game-1", 7).await;
    let value = json!({ "reason": "a test", "value": r#"{"rooms":1}"# });
    let headers = [("If-None-Match", "*")];
    let put = ("PUT", "/api/v1/config/game%2Frules.json");
    assert_eq!(world.api.call(put, Some(&world.api.token), &headers, Some(value)).await.status, 200);
    let changed = |kind: &str| format!("{PATH}?kind={kind}&limit=1000");
    let one = |page: &Value| page["items"].as_array().unwrap().len() == 1;
    let weighed = world.until(&changed("instance.changed"), one).await["items"][0].clone();
    assert_eq!(weighed["subject"], "node/game-1");
    assert!(weighed["text"].as_str().unwrap().starts_with("weight 7"), "{weighed}");
    let stored = world.until(&changed("config.changed"), one).await["items"][0].clone();
    assert_eq!(stored["subject"], "config/game/rules.json");
    let act = world.until(&changed("node.change"), one).await["items"][0].clone();
    assert_eq!((&act["by"], &act["outcome"], &act["text"]), (&json!("first"), &json!("done"), &json!("a test")));
    let mine =
        world.until(&format!("{PATH}?subject=config/"), |page| page["items"].as_array().unwrap().len() == 2).await;
    assert_eq!(mine["next"], Value::Null);
    world.cluster.stop("game-2").await.unwrap();
    let left = world.until(&changed("instance.left"), one).await["items"][0].clone();
    assert_eq!(left["subject"], "node/game-2");
}

#[tokio::test]
async fn events_are_paged_behind_a_cursor_that_ends_with_its_master() {
    let world = World::new().await;
    for uid in 1..=5 {
        world.kick(uid).await;
    }
    let newest = world.api.get(&format!("{PATH}?kind=user.&limit=2")).await.body;
    let subjects: Vec<&str> =
        newest["items"].as_array().unwrap().iter().map(|e| e["subject"].as_str().unwrap()).collect();
    assert_eq!((subjects, &newest["next"]), (vec!["user/4", "user/5"], &Value::Null), "the newest, oldest first");
    let first = world.api.get(&format!("{PATH}?kind=user.&limit=5")).await.body["items"][0]["id"].clone();
    let mut path = format!("{PATH}?kind=user.&limit=3&cursor={}", first.as_str().unwrap());
    let page = world.api.get(&path).await.body;
    assert_eq!((page["items"].as_array().unwrap().len(), page["next"].is_string()), (3, true));
    path = format!("{PATH}?kind=user.&limit=3&cursor={}", page["next"].as_str().unwrap());
    let page = world.api.get(&path).await.body;
    assert_eq!((&page["items"][0]["subject"], &page["next"]), (&json!("user/5"), &Value::Null));
    for gone in ["00000000-1", "x", "", "00000000-99999999999999999999"] {
        let answer = world.api.get(&format!("{PATH}?cursor={gone}")).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (410, Some("cursor_expired")), "{gone}");
    }
    for _ in 0..4200 {
        world.kick(9).await;
    }
    let old = world.api.get(&format!("{PATH}?cursor={}", first.as_str().unwrap())).await;
    assert_eq!((old.status, old.body["code"].as_str()), (410, Some("cursor_expired")), "what stood behind it has gone");
}

#[tokio::test]
async fn a_follower_hears_of_what_happens_and_goes_on_behind_what_it_has_read() {
    let world = World::new().await;
    let token = world.api.token.clone();
    let mut first = Follower::new(&world, &token, "").await;
    world.kick(1).await;
    assert!(first.until("user/1").await);
    let seen = format!("Last-Event-ID: {}\r\n", first.last_id());
    drop(first);
    world.kick(2).await;
    world.kick(3).await;
    let mut second = Follower::new(&world, &token, &seen).await;
    assert!(second.until("user/3").await);
    assert_eq!(kinds(&second.events()), ["user.kick", "user.kick"], "once each, and none of those before");
    let wrong = ("GET", &*format!("{PATH}/stream"));
    let answer = world.api.call(wrong, Some(&token), &[("Last-Event-ID", "00000000-1")], None).await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (410, Some("cursor_expired")));
    for _ in 0..4200 {
        world.kick(4).await;
    }
    let mut late = Follower::new(&world, &token, &seen).await;
    assert!(late.until("event: lost").await);
    let lost = late.events()[0]["lost"].as_u64().unwrap();
    assert!(lost >= 4200 + 2 - 4096, "{lost}");
}

#[tokio::test]
async fn viewers_hear_nothing_of_users_and_nobody_who_has_no_token_any_more() {
    let world = World::new().await;
    let viewer = world.api.mint(&["viewer"]).await;
    let mut follower = Follower::new(&world, &viewer, "").await;
    world.kick(1).await;
    world.weigh("game-1", 3).await;
    assert!(follower.until("node.change").await);
    let events = follower.events();
    assert!(!kinds(&events).contains(&"user.kick") && !kinds(&events).contains(&"token.mint"), "{events:?}");
    let page = world.api.call(("GET", PATH), Some(&viewer), &[], None).await.body;
    assert!(page["items"].as_array().unwrap().iter().all(|e| !e["subject"].as_str().unwrap().starts_with("user/")));
    let id = viewer.split('_').nth(1).unwrap();
    let path = format!("/api/v1/auth/tokens/{id}?reason=over");
    assert_eq!(world.api.call(("DELETE", &path), Some(&world.api.token), &[], None).await.status, 204);
    assert!(!follower.until("nothing more").await, "it ends");
}

#[tokio::test]
async fn so_many_follow_and_no_more_until_one_has_gone() {
    let world = World::new().await;
    let token = world.api.token.clone();
    let mut all = Vec::new();
    for _ in 0..64 {
        all.push(Follower::new(&world, &token, "").await);
    }
    let stream = format!("{PATH}/stream");
    let refused = world.api.get(&stream).await;
    assert_eq!((refused.status, refused.body["code"].as_str()), (429, Some("too_many_streams")));
    all.pop();
    while world.api.get(&stream).await.status == 429 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn logins_are_told_to_those_who_ask_for_binds_counted_by_gate_and_to_nobody_else() {
    let world = World::new().await;
    let token = world.api.token.clone();
    let mut all = Follower::new(&world, &token, "").await;
    let path = format!("{PATH}?kind=bind&limit=1000");
    // The master has seen the gate before somebody logs in when it has told of one before.
    let mut first = Vec::new();
    while world.api.get(&path).await.body["items"] == json!([]) {
        first.push(world.user("gate-1", 1000 + first.len() as i64).await);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let sum = |page: &Value, kind: &str, gate: &str| -> u64 {
        let items = page["items"].as_array().unwrap().iter();
        items.filter(|e| e["kind"] == kind && e["subject"] == gate).map(|e| e["count"].as_u64().unwrap()).sum()
    };
    let page = world.api.get(&path).await.body;
    let cursor = page["cursor"].as_str().unwrap().to_owned();
    let users: Vec<_> = futures_util::future::join_all((1..=20).map(|uid| world.user("gate-2", uid))).await;
    let told = |page: &Value| sum(page, "bind.login", "gate/gate-2") == 20;
    let page = world.until(&format!("{path}&cursor={cursor}"), told).await;
    assert!(page["items"].as_array().unwrap().len() < 20, "counted, not told one by one: {page}");
    users.iter().for_each(|user| user.hang_up());
    world.until(&path, |page| sum(page, "bind.logout", "gate/gate-2") == 20).await;
    assert_eq!(sum(&world.api.get(&path).await.body, "bind.logout", "gate/gate-1"), 0);
    let mine = world.api.get(&format!("{path}&cursor={}", all.last_id())).await;
    assert_eq!(
        (mine.status, mine.body["code"].as_str()),
        (410, Some("cursor_expired")),
        "they have cursors of their own"
    );
    world.kick(1000).await;
    assert!(all.until("user.kick").await);
    assert!(kinds(&all.events()).iter().all(|kind| !kind.starts_with("bind")), "{:?}", all.events());
    let rest = world.api.get(&format!("{PATH}?limit=1000")).await.body;
    assert!(rest["items"].as_array().unwrap().iter().all(|e| !e["kind"].as_str().unwrap().starts_with("bind")));
}

#[tokio::test]
async fn a_burst_of_errors_is_told_with_its_count_when_it_is_over() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    let burst = format!("{PATH}?kind=errors.&subject=gate/gate-1");
    let mut sent = 0;
    // Nobody serves this route: the gate refuses it.
    while world.api.get(&burst).await.body["items"] == json!([]) {
        for _ in 0..50 {
            assert!(ann.call(crate::world::NOWHERE, &1).await.is_err());
            sent += 1;
        }
    }
    let over = world.until(&burst, |page| page["items"].as_array().unwrap().len() == 2).await["items"].clone();
    assert_eq!((&over[0]["kind"], &over[1]["kind"]), (&json!("errors.began"), &json!("errors.ended")));
    let counted = over[1]["count"].as_u64().unwrap();
    assert!(counted >= over[0]["count"].as_u64().unwrap() && (10..=sent).contains(&counted), "{over} of {sent}");
}
