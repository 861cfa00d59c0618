//! Requests that are none.

use due_codec::Json;
use due_core::{Call, Kind};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::world::{ADD, World};

#[tokio::test] // B094, B095, B096
async fn heads_that_are_too_large_or_say_two_lengths_are_refused() {
    let world = World::new().await;
    let check = async |text: String, status: u16| {
        let answer = world.api.raw(text.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some("application/problem+json")),
            "{text:.60}"
        );
    };
    check(format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(10_000)), 431).await;
    check(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(64 * 1024)), 414).await;
    check(
        "POST /api/v1/auth/tokens HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        400,
    )
    .await;
    assert_eq!(world.api.get("/api/v1/info").await.status, 200);
}

#[tokio::test] // B093
async fn a_head_that_does_not_come_is_not_waited_for_and_holds_nobody_up() {
    let world = World::new().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut socket = world.api.socket().await;
        socket.write_all(b"GET /api/v1/info HTTP/1.1\r\nHos").await.unwrap();
        slow.push(socket);
    }
    assert_eq!(world.api.get("/api/v1/info").await.status, 200);
    for mut socket in slow {
        let mut read = String::new();
        socket.read_to_string(&mut read).await.unwrap();
        assert!(read.starts_with("HTTP/1.1 408 "), "{read}");
    }
}

#[tokio::test] // B106
async fn without_a_token_nothing_is_said_and_nothing_is_done() {
    let world = World::new().await;
    for token in [None, Some("admin"), Some("due_000000000000_00"), Some(&*"x".repeat(5000))] {
        let answer = world.api.call(("GET", "/api/v1/nodes"), token, &[], None).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    }
    let basic = [("Authorization", "Basic YWRtaW46cGFzc3dvcmQ=")];
    assert_eq!(world.api.call(("GET", "/api/v1/nodes"), None, &basic, None).await.status, 401);
}

#[tokio::test]
async fn bodies_that_are_no_json_or_another_are_told_so() {
    let world = World::new().await;
    let send = async |form: &str, body: &str| {
        let (token, length) = (&world.api.token, body.len());
        let text = format!(
            "POST /api/v1/users/7/kick HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: {form}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        world.api.raw(text.as_bytes()).await.status
    };
    assert_eq!(send("text/plain", "{}").await, 415);
    assert_eq!(send("application/json", "{").await, 400);
    assert_eq!(send("application/json", "[]").await, 422);
    assert_eq!(send("application/json", r#"{"reason":"x","moon":1}"#).await, 422);
    assert_eq!(send("application/json", &format!("\"{}\"", "x".repeat(3 * 1024 * 1024))).await, 413);
    let push = json!({ "reason": "x", "route": 101, "hex": "zz" });
    assert_eq!(world.api.send("POST", "/api/v1/users/7/push", push).await.status, 422);
    assert_eq!(world.api.get("/api/v1/users/0").await.status, 400);
    assert_eq!(world.api.get("/api/v1/nodes/%00").await.status, 400);
}

/// What people ask of instances is an order between processes: no number that a client writes is one.
#[tokio::test]
async fn a_client_of_a_gate_cannot_ask_what_the_master_asks() {
    let world = World::new().await;
    let ann = world.user("gate-1", 7).await;
    // 1 to 3 are routes.
    for number in 0..=120 {
        if (1..=3).contains(&number) {
            continue;
        }
        let order: Call<serde_json::Value, serde_json::Value, Json> = Call::new(number, "order");
        let refused = ann.call(order, &json!("about")).await.unwrap_err();
        assert_eq!(refused.code(), Some(Kind::NoRoute.code()), "{number}");
    }
    let view = world.api.get("/api/v1/nodes/gate-1/metrics").await.body;
    assert_eq!(view["gate"]["refusals"], 118);
    assert_eq!(ann.call(ADD, &1).await, Ok(2));
}

#[tokio::test]
async fn a_master_listens_on_its_own_machine_only() {
    let app = due_cluster::App::new(due_core::Drivers::memory());
    let refused = app.with(due_master::Master::new().listen("0.0.0.0:0").announce(|_| {})).start().await.unwrap_err();
    assert!(refused.to_string().contains("0.0.0.0") && refused.to_string().contains("127.0.0.1"), "{refused}");
}
