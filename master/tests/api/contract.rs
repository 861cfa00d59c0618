//! The contract itself.

use serde_json::json;

use crate::world::World;

fn operations(contract: &serde_json::Value) -> Vec<(String, String)> {
    let paths = contract["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|m| ["get", "post", "put", "patch", "delete"].contains(&m.as_str()));
        methods.map(|m| (m.to_uppercase(), path.clone())).collect::<Vec<_>>()
    });
    all.collect()
}

/// Fills the parameters of a path in.
pub(crate) fn filled(path: &str) -> String {
    path.replace("{uid}", "7")
        .replace("{id}", "gate-1")
        .replace("{key}", "game")
        .replace("{name}", "room")
        .replace("{number}", "1")
}

#[tokio::test]
async fn it_is_openapi_3_1_and_every_operation_says_who_may_use_it_and_what_it_answers() {
    let world = World::new().await;
    let contract = &world.api.contract;
    assert!(contract["openapi"].as_str().unwrap().starts_with("3.1"), "{}", contract["openapi"]);
    let all = operations(contract);
    assert!(all.len() >= 20, "{all:?}");
    for (method, path) in all {
        let operation = world.api.operation(&method, &path).unwrap();
        assert!(operation["summary"].is_string() || operation["description"].is_string(), "{method} {path}");
        if path.ends_with("openapi.json") {
            continue;
        }
        assert!(operation["x-role"].is_string() && operation["security"].is_array(), "{method} {path}: {operation}");
        for status in ["400", "401", "403", "429", "503"] {
            assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
        }
        let changes = method != "GET";
        assert_eq!(
            changes,
            operation["responses"]["409"].is_object() && operation["responses"]["422"].is_object(),
            "{method} {path}"
        );
    }
}

/// Every reference in the contract leads somewhere.
#[tokio::test]
async fn its_references_lead_to_schemas() {
    let world = World::new().await;
    let text = world.api.contract.to_string();
    let schemas = world.api.contract["components"]["schemas"].as_object().unwrap();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert!(schemas.contains_key("Problem") && schemas.contains_key("SessionView"));
}

#[tokio::test]
async fn what_is_documented_is_routed_and_what_is_not_is_404_or_405() {
    let world = World::new().await;
    for (method, path) in operations(&world.api.contract) {
        let body = (method != "GET").then(|| json!({}));
        let answer = world.api.call((&method, &filled(&path)), Some(&world.api.token), &[], body).await;
        let nothing = answer.body["detail"].as_str().unwrap_or_default().contains("nothing under this path");
        assert!(!nothing && answer.status != 405, "{method} {path}: {}", answer.body);
    }
    let answer = world.api.get("/api/v1/nothing").await;
    assert_eq!((answer.status, answer.body["code"].as_str()), (404, Some("not_found")));
    let answer = world.api.send("DELETE", "/api/v1/info", json!({})).await;
    assert!(matches!(answer.status, 404 | 405), "{}", answer.status);
}
