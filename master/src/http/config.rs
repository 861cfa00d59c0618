//! Live settings: looked at, changed if they are as they were seen, and taken back.

use axum::{
    Extension, Json,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use due_cluster::admin::{Ask as Question, SettingView};
use due_core::{
    Kind,
    config::{Entry, Expect, History, LARGEST, check_key},
    registry::{Instance, InstanceKind},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::{
    canary::{Verdict, canary},
    extract::{Ask, Body, Name, if_match},
    mask::masked,
    query::{DryRun, limit},
};
use crate::{
    act::Deed,
    api::Api,
    auth::Caller,
    fanout::Failed,
    problem::{Denials, Problem, ProblemView, Refusals, backend},
};

/// Which settings.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ConfigQuery {
    /// Keys that begin so.
    #[serde(default)]
    prefix: String,
    /// At most so many: 1 to 1000, 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// A setting without its value.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingKey {
    /// Its key.
    key: String,
    /// Its version.
    version: String,
    /// Bytes of its value.
    bytes: u64,
}

/// A page of settings.
#[derive(Serialize, ToSchema)]
pub(super) struct ConfigPage {
    /// The settings, by key.
    items: Vec<SettingKey>,
    /// Where the next page begins; nothing at the end.
    next: Option<String>,
}

/// The keys of live settings, those in scope.
#[utoipa::path(get, path = "/config", tag = "config", params(ConfigQuery), responses((status = 200, body = ConfigPage), Denials))]
pub(super) async fn list(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Ask(query): Ask<ConfigQuery>,
) -> Result<Json<ConfigPage>, Problem> {
    let limit = limit(query.limit)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if query.prefix.len() > 256 || !query.prefix.chars().all(plain) || query.prefix.split('/').any(|p| p == "..") {
        return Err(Problem::invalid("prefix: the beginning of a key, of letters, digits, `.`, `_`, `-` and `/`"));
    }
    let all = api.admin.cluster().config().list(&query.prefix).await.map_err(backend)?;
    let after = |key: &str| query.cursor.as_ref().is_none_or(|cursor| key > cursor.as_str());
    let shown = |key: &str| !key.starts_with('.') && caller.scopes.key(key).is_ok();
    let view = |(key, entry): (&std::sync::Arc<str>, &Entry)| SettingKey {
        key: key.to_string(),
        version: entry.version.to_string(),
        bytes: entry.value.len() as u64,
    };
    let mut items: Vec<SettingKey> =
        all.iter().filter(|(key, _)| shown(key) && after(key)).map(view).take(limit + 1).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = more.then(|| items.last().map(|s| s.key.clone())).flatten();
    Ok(Json(ConfigPage { items, next }))
}

/// A setting.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingDetail {
    /// Its key.
    key: String,
    /// Its version: the ETag.
    version: String,
    /// Its value as text.
    value: String,
    /// Are secrets in it hidden? They are for those who may not change it.
    masked: bool,
}

/// A setting and its value.
#[utoipa::path(get, path = "/config/{key}", tag = "config", params(("key" = String, Path, description = "with %2F for /")),
    responses((status = 200, body = SettingDetail, headers(("ETag" = String, description = "for a change"))),
        (status = 404, body = ProblemView, content_type = "application/problem+json"), Denials))]
pub(super) async fn one(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(key): Name,
) -> Result<Response, Problem> {
    let entry = load(&api, &key).await?.ok_or_else(|| none(&key))?;
    let hide = !caller.may("config:write");
    let text = String::from_utf8_lossy(&entry.value).into_owned();
    let value = if hide { masked(&text) } else { text };
    let detail = SettingDetail { key, version: entry.version.to_string(), value, masked: hide };
    Ok(([(header::ETAG, format!("\"{}\"", detail.version))], Json(detail)).into_response())
}

/// Refuses what is no key, or not for people.
pub(super) fn plain(key: &str) -> Result<(), Problem> {
    check_key(key).map_err(|e| Problem::invalid(e.text()))?;
    match key.starts_with('.') {
        true => Err(Problem::invalid("keys that begin with a point are the fleet's own")),
        false => Ok(()),
    }
}

pub(super) async fn load(api: &Api, key: &str) -> Result<Option<Entry>, Problem> {
    plain(key)?;
    api.admin.cluster().config().load(key).await.map_err(backend)
}

fn none(key: &str) -> Problem {
    Problem::not_found(format!("there is no setting {key}"))
}

/// A new value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewValue {
    /// Why; it stands in the audit log and in the history.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// The value as text, at most 1 MiB less a little.
    value: String,
}

/// A value to be looked at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MaybeValue {
    /// The value as text.
    value: String,
}

/// What came of a write.
#[derive(Serialize, ToSchema)]
pub(super) struct Written {
    /// Its version: the ETag. The one that stands now after a dry run.
    pub(super) version: String,
    /// The instances that have said that they would put it in use.
    pub(super) checked_by: Vec<String>,
    /// Was it done, or would it only be?
    pub(super) dry_run: bool,
}

/// The errors of a write, which must not be mistaken for those of an instance.
pub(super) fn unwritten(e: due_core::Error) -> Problem {
    match e.kind() {
        Kind::Stale | Kind::Duplicate => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "the setting has changed: look again")
        }
        Kind::TooLarge | Kind::BadRequest => Problem::field("value", e.to_string()),
        Kind::Forbidden => Problem::conflict("not_writable", "the source of settings cannot be written from here"),
        _ => backend(e),
    }
}

/// The version that a write expects: `If-Match`, or `If-None-Match: *` for a new key.
fn expected(headers: &HeaderMap, now: Option<&Entry>) -> Result<Expect, Problem> {
    let fresh = headers.get(header::IF_NONE_MATCH).is_some_and(|v| v == "*");
    let stale =
        || Problem::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", "the setting has changed: look again");
    match (fresh, now) {
        (true, None) => Ok(Expect::Absent),
        (true, Some(_)) => Err(stale()),
        (false, now) => {
            let seen = if_match(headers)?;
            now.filter(|e| e.version.to_string() == seen).map(|e| Expect::Version(e.version.clone())).ok_or_else(stale)
        }
    }
}

/// Stores a value, if the setting is as it was seen and one instance of each name that uses it would put it in use.
#[utoipa::path(put, path = "/config/{key}", tag = "config", request_body = NewValue,
    params(("key" = String, Path, description = "with %2F for /"), DryRun,
        ("If-Match" = Option<String>, Header, description = "the ETag that was seen"),
        ("If-None-Match" = Option<String>, Header, description = "`*` for a new key")),
    responses((status = 200, body = Written, headers(("ETag" = String))),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "precondition_failed"),
        (status = 428, body = ProblemView, content_type = "application/problem+json", description = "precondition_required"),
        Refusals))]
pub(super) async fn put(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(key): Name,
    (Ask(DryRun { dry_run }), headers): (Ask<DryRun>, HeaderMap),
    Body(new): Body<NewValue>,
) -> Result<Response, Problem> {
    plain(&key)?;
    let detail = json!({ "bytes": new.value.len() });
    let deed = Deed { verb: "config.put", resource: format!("config/{key}"), reason: &new.reason, dry_run, detail };
    let doing = async {
        if new.value.len() > LARGEST {
            return Err(Problem::field("value", "a value is at most 1 MiB"));
        }
        let now = load(&api, &key).await?;
        let expect = expected(&headers, now.as_ref())?;
        let checked_by = canary(&api, &key, &new.value).await?.checked_by;
        if dry_run {
            let version = now.map(|e| e.version.to_string()).unwrap_or_default();
            return Ok(Written { version, checked_by, dry_run });
        }
        let history = History::new(api.admin.cluster().config().clone());
        let author = author(&caller, &new.reason);
        let stored = history.store(&key, new.value.clone().into(), expect, &author).await;
        Ok(Written { version: stored.map_err(unwritten)?.to_string(), checked_by, dry_run })
    };
    let written = api.act(&caller, deed, doing).await?;
    Ok(([(header::ETAG, format!("\"{}\"", written.version))], Json(written)).into_response())
}

pub(super) fn author(caller: &Caller, reason: &str) -> String {
    let approved = caller.approved_by.as_ref().map(|by| format!(", approved by {by}")).unwrap_or_default();
    format!("{} ({}){approved}: {}", caller.name, caller.id, reason.trim())
}

/// Looks at a value: would instances put it in use? Changes nothing.
#[utoipa::path(post, path = "/config/{key}/validate", tag = "config", request_body = MaybeValue,
    params(("key" = String, Path)), responses((status = 200, body = Verdict), Refusals))]
pub(super) async fn validate(
    Extension(api): Extension<Api>,
    Name(key): Name,
    Body(maybe): Body<MaybeValue>,
) -> Result<Json<Verdict>, Problem> {
    plain(&key)?;
    canary(&api, &key, &maybe.value).await.map(Json)
}

/// An instance that uses a setting.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingUser {
    /// Its id.
    node: String,
    /// Where it stands.
    #[serde(flatten)]
    status: SettingView,
}

/// Who uses a setting, and which version.
#[derive(Serialize, ToSchema)]
pub(super) struct ConfigStatus {
    /// The version that is stored.
    version: Option<String>,
    /// The instances that use the setting.
    items: Vec<SettingUser>,
    /// Has somebody not answered?
    partial: bool,
    /// Who has not.
    failed: Vec<Failed>,
}

/// Which instance uses which version, and what was wrong with the last one.
#[utoipa::path(get, path = "/config/{key}/status", tag = "config", params(("key" = String, Path)),
    responses((status = 200, body = ConfigStatus), Denials))]
pub(super) async fn status(Extension(api): Extension<Api>, Name(key): Name) -> Result<Json<ConfigStatus>, Problem> {
    let version = load(&api, &key).await?.map(|e| e.version.to_string());
    let mut asked = api.members.all();
    asked.retain(|m| matches!(m.kind, InstanceKind::Gate | InstanceKind::Node));
    let fan = api.ask_all::<Option<SettingView>>(asked, &Question::Setting(key)).await;
    let user =
        |(m, status): (Instance, Option<SettingView>)| Some(SettingUser { node: m.id.to_string(), status: status? });
    let items = fan.items.into_iter().filter_map(user).collect();
    Ok(Json(ConfigStatus { version, items, partial: !fan.failed.is_empty(), failed: fan.failed }))
}
