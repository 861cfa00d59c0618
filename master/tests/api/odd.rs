//! Requests that nobody in his senses would send: none breaks the server, and none is answered off the contract.

use serde_json::{Value, json};

use crate::world::World;

const NAMES: [&str; 9] =
    ["gate-1", "7", "%22%22", "a%00b", "%FF", "-1", "99999999999999999999", "a%2Fb", "%F0%9F%8E%B2"];
const QUERIES: [&str; 10] = [
    "",
    "limit=-1",
    "limit=99999999999999999999",
    "cursor=%FF",
    "cursor=1/2/3/4",
    "dry_run=1&reason=x",
    "dry_run=maybe",
    "kind=moon",
    "uid=&ip=&by=&label=&prefix=%2F",
    "older_than_secs=1e9",
];

fn bodies() -> Vec<Value> {
    let long = "x".repeat(70_000);
    let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!([]),
        json!({ "reason": 1 }),
        json!({ "reason": "x", "to": "everyone", "route": 2_147_483_648_u64, "body": deep }),
        json!({ "reason": "x", "route": -1, "body": long }),
        json!({ "reason": "x", "route": 101, "hex": "0" }),
        json!({ "reason": "x", "value": "", "to": 0 }),
        json!({ "reason": "x", "value": "x" }),
        json!({ "reason": "x", "deadline_secs": 0 }),
        json!({ "reason": "x", "deadline_secs": u64::MAX }),
        json!({ "reason": "x", "name": "", "roles": [] }),
        json!({ "reason": "x", "name": "n", "roles": ["king"], "ttl_secs": u64::MAX }),
        json!({ "reason": "x", "name": "n", "roles": ["viewer"], "ttl_secs": u64::MAX }),
        json!({ "reason": "x", "code": 4_294_967_296_u64 }),
        json!({ "reason": "x", "selector": { "ip": "1.2.3.4/99" } }),
        json!({ "reason": "x", "selector": { "uid_prefix": "" }, "count_token": "18446744073709551616-" }),
        json!({ "reason": "x", "weight": 4_294_967_296_u64, "labels": { "a": 1 } }),
    ]
}

#[tokio::test]
async fn no_odd_request_is_answered_with_500_or_off_the_contract() {
    let world = World::new().await;
    let paths = world.api.contract["paths"].as_object().unwrap().clone();
    let (mut asked, bodies) = (0, bodies());
    for (template, item) in &paths {
        for method in item.as_object().unwrap().keys().map(|m| m.to_uppercase()) {
            let names: &[&str] = if template.contains('{') { &NAMES } else { &NAMES[..1] };
            for (i, name) in names.iter().enumerate() {
                let start = template.split('{').next().unwrap();
                let end = template.split('}').nth(1).unwrap_or_default();
                let path = if template.contains('{') { format!("{start}{name}{end}") } else { template.clone() };
                // Each name with some of the queries and bodies; all of them meet over the endpoints.
                for (j, query) in QUERIES.iter().enumerate().filter(|(j, _)| names.len() == 1 || (i + j) % 3 == 0) {
                    let bodies: Vec<Option<Value>> = match method.as_str() {
                        "GET" | "DELETE" => vec![None],
                        _ => bodies.iter().skip((i + j) % 2).step_by(2).cloned().map(Some).collect(),
                    };
                    for body in bodies {
                        let path = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
                        let headers = [("If-Match", "\"0\"")];
                        let answer = world.api.call((&method, &path), Some(&world.api.token), &headers, body).await;
                        assert_ne!(answer.status, 500, "{method} {path}");
                        assert!(answer.status < 500, "{method} {path}: {}", answer.body);
                        asked += 1;
                    }
                }
            }
        }
    }
    assert!(asked > 1000, "{asked}");
    assert_eq!(world.api.get("/api/v1/cluster").await.body["partial"], false);
}
