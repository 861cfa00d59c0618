//! What instances say of a value before it is stored: what it must look like, and whether they would put it in use.

use std::collections::{BTreeMap, BTreeSet};

use axum::{Extension, Json, http::StatusCode};
use due_cluster::admin::{Ask as Question, Checked};
use due_core::registry::{Instance, InstanceKind};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{config::plain, extract::Name};
use crate::{
    api::Api,
    fanout::{Failed, Fan},
    problem::{Denials, Problem},
    schema,
};

/// What processes say of a value.
#[derive(Serialize, ToSchema)]
pub(super) struct Verdict {
    /// The instances whose schema it fits; nobody if none has one.
    fits: Vec<String>,
    /// The instances that would put it in use; nobody if none uses the setting.
    pub(super) checked_by: Vec<String>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Looks whether a value fits what one instance of each name says of its looks, and then asks these whether they would put it
/// in use. A bad one is a problem.
pub(super) async fn canary(api: &Api, key: &str, value: &str) -> Result<Verdict, Problem> {
    let mut names = BTreeSet::new();
    let mut asked = users(api);
    asked.retain(|m| names.insert((m.kind, m.name.clone())));
    let many = !asked.is_empty();
    let fits = fits(api, key, value, asked.clone()).await?;
    let fan =
        api.ask_all::<Checked>(asked, &Question::CheckSetting { key: key.to_owned(), value: value.to_owned() }).await;
    let mut checked_by = Vec::new();
    for (member, checked) in &fan.items {
        match checked {
            Checked::Bad(why) => return Err(Problem::field("value", why.clone()).with("node", &member.id)),
            Checked::Good => checked_by.push(member.id.to_string()),
            Checked::Unused => {}
        }
    }
    if many && fan.items.is_empty() {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "no_canary",
            "no instance answers to look at the value",
        ));
    }
    Ok(Verdict { fits, checked_by, partial: !fan.failed.is_empty(), failed: fan.failed })
}

/// Who may use settings: a setting is the whole fleet's, whoever asks.
fn users(api: &Api) -> Vec<Instance> {
    let mut all = api.fleet.all();
    all.retain(|m| matches!(m.kind, InstanceKind::Gate | InstanceKind::Node));
    all
}

/// The schemas of a setting, each with those who have it.
async fn schemas(api: &Api, key: &str, asked: Vec<Instance>) -> (BTreeMap<String, Vec<String>>, Vec<Failed>) {
    let fan: Fan<Option<String>> = api.ask_all(asked, &Question::Schema(key.to_owned())).await;
    let mut all = BTreeMap::<String, Vec<String>>::new();
    for (member, schema) in fan.items {
        if let Some(schema) = schema {
            all.entry(schema).or_default().push(member.id.to_string());
        }
    }
    (all, fan.failed)
}

/// The instances whose schema a value fits: it must fit all there are.
async fn fits(api: &Api, key: &str, value: &str, asked: Vec<Instance>) -> Result<Vec<String>, Problem> {
    // Who does not answer now does not answer the question behind this one either.
    let (schemas, _) = schemas(api, key, asked).await;
    let mut fits = Vec::new();
    for (schema, nodes) in schemas {
        let value = value.to_owned();
        let checked = tokio::task::spawn_blocking(move || schema::check(&schema, &value)).await;
        let failed =
            |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the schema check ended in a panic");
        let told = |problem: Problem| match nodes.first() {
            Some(node) => problem.with("node", node),
            None => problem,
        };
        checked.map_err(failed)?.map_err(told)?;
        fits.extend(nodes);
    }
    Ok(fits)
}

/// A schema of a setting.
#[derive(Serialize, ToSchema)]
pub(super) struct SchemaView {
    /// The JSON schema.
    #[schema(value_type = Object)]
    schema: Value,
    /// The instances that say so.
    nodes: Vec<String>,
}

/// What values of a setting must look like.
#[derive(Serialize, ToSchema)]
pub(super) struct Schemas {
    /// The schemas: a value must fit each. Several while versions of a program differ, none if no program says one.
    items: Vec<SchemaView>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// What the programs that use a setting say that its values look like.
#[utoipa::path(get, path = "/config/{key}/schema", tag = "config",
    params(("key" = String, Path, description = "with %2F for /")), responses((status = 200, body = Schemas), Denials))]
pub(super) async fn schema_of(Extension(api): Extension<Api>, Name(key): Name) -> Result<Json<Schemas>, Problem> {
    plain(&key)?;
    let (schemas, failed) = schemas(&api, &key, users(&api)).await;
    let view = |(schema, nodes): (String, Vec<String>)| SchemaView {
        schema: serde_json::from_str(&schema).unwrap_or(Value::Null),
        nodes,
    };
    Ok(Json(Schemas { items: schemas.into_iter().map(view).collect(), partial: !failed.is_empty(), failed }))
}
