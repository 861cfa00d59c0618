//! What was written to settings: looked at, compared, taken back.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    Extension, Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use due_core::config::{History, Outcome, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use similar::{Algorithm, ChangeTag, TextDiff};
use utoipa::{IntoParams, ToSchema};

use super::{
    canary::canary,
    config::{Written, author, load, plain, unwritten},
    extract::{Ask, Body, Name, Numbered},
    mask::masked,
    query::DryRun,
};
use crate::{
    act::Deed,
    api::Api,
    auth::Caller,
    problem::{Denials, Problem, ProblemView, Refusals, backend},
};

/// How long a comparison may look for the shortest way; a longer way is as true.
const LOOK: Duration = Duration::from_millis(500);

/// A write of a setting.
#[derive(Serialize, ToSchema)]
pub(super) struct RevisionView {
    /// Its number.
    number: u64,
    /// Who wrote it, and why.
    author: String,
    /// When, in seconds since 1970, by the writer's clock.
    time: u64,
    /// The version that it got; nothing if it did not take effect, or nobody knows.
    version: Option<String>,
    /// What was written, with secrets hidden from those who may not change it; nothing for a deletion.
    value: Option<String>,
}

/// The writes of a setting that are kept.
#[derive(Serialize, ToSchema)]
pub(super) struct Revisions {
    /// The writes, newest first: the last 10 that took effect, and the last 10 that did not.
    items: Vec<RevisionView>,
}

/// Shows a write, with its secrets hidden or not.
fn view(r: Record, hide: bool) -> RevisionView {
    RevisionView {
        number: r.number,
        time: r.time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        version: match &r.outcome {
            Outcome::Applied(version) => Some(version.to_string()),
            Outcome::Attempt => None,
        },
        value: shown(&r, hide),
        author: r.author,
    }
}

fn shown(r: &Record, hide: bool) -> Option<String> {
    let text = String::from_utf8_lossy(r.value.as_deref()?).into_owned();
    Some(if hide { masked(&text) } else { text })
}

async fn records(api: &Api, key: &str) -> Result<Vec<Record>, Problem> {
    plain(key)?;
    History::new(api.admin.cluster().config().clone()).records(key).await.map_err(backend)
}

/// What was written to a setting, by whom, when and why.
#[utoipa::path(get, path = "/config/{key}/revisions", tag = "config", params(("key" = String, Path)),
    responses((status = 200, body = Revisions), Denials))]
pub(super) async fn list(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(key): Name,
) -> Result<Json<Revisions>, Problem> {
    let hide = !caller.may("config:write");
    let items = records(&api, &key).await?.into_iter().map(|r| view(r, hide)).collect();
    Ok(Json(Revisions { items }))
}

/// With which write one is compared.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Against {
    /// The number of another write, or `previous` for the one that took effect before.
    diff: Option<String>,
}

/// What is another between two writes.
#[derive(Serialize, ToSchema)]
pub(super) struct Diff {
    /// The number of the write that it is compared with; 0 if nothing was there before.
    from: u64,
    /// Lines that came.
    added: u64,
    /// Lines that went.
    removed: u64,
    /// Both as a unified diff. JSON is laid out in lines before; a deletion is empty.
    text: String,
}

/// A write, and what is another in it.
#[derive(Serialize, ToSchema)]
pub(super) struct RevisionDetail {
    /// The write.
    #[serde(flatten)]
    revision: RevisionView,
    /// The comparison, if one was asked for.
    diff: Option<Diff>,
}

/// One write of a setting, and with `diff` what it changed. Secrets are hidden before they are compared from those who may
/// not change the setting.
#[utoipa::path(get, path = "/config/{key}/revisions/{number}", tag = "config",
    params(("key" = String, Path, description = "with %2F for /"), ("number" = u64, Path), Against),
    responses((status = 200, body = RevisionDetail),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "no such write is kept"),
        Denials))]
pub(super) async fn one(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Numbered(key, number): Numbered,
    Ask(against): Ask<Against>,
) -> Result<Json<RevisionDetail>, Problem> {
    let (records, hide) = (records(&api, &key).await?, !caller.may("config:write"));
    let record = find(&records, &key, number)?.clone();
    let other = match against.diff.as_deref() {
        None => None,
        Some("previous") => Some(previous(&records, number)),
        Some(text) => {
            let number =
                text.parse().map_err(|_| Problem::invalid("diff: write the number of a write, or previous"))?;
            Some(Some(find(&records, &key, number)?))
        }
    };
    let diff = match other {
        Some(other) => {
            let from = other.map_or(0, |r| r.number);
            let (old, new) = (other.and_then(|r| shown(r, hide)), shown(&record, hide));
            let made = tokio::task::spawn_blocking(move || diff(from, old, new)).await;
            let failed =
                |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the comparison ended in a panic");
            Some(made.map_err(failed)?)
        }
        None => None,
    };
    Ok(Json(RevisionDetail { revision: view(record, hide), diff }))
}

fn find<'a>(records: &'a [Record], key: &str, number: u64) -> Result<&'a Record, Problem> {
    let gone = || Problem::not_found(format!("no write {number} of {key} is kept"));
    records.iter().find(|r| r.number == number).ok_or_else(gone)
}

/// The newest write before this one that took effect.
fn previous(records: &[Record], number: u64) -> Option<&Record> {
    records.iter().find(|r| r.number < number && matches!(r.outcome, Outcome::Applied(_)))
}

fn diff(from: u64, old: Option<String>, new: Option<String>) -> Diff {
    let (old, new) = in_lines(old.unwrap_or_default(), new.unwrap_or_default());
    let made = TextDiff::configure().algorithm(Algorithm::Myers).timeout(LOOK).diff_lines(&old, &new);
    let count = |tag| made.iter_all_changes().filter(|change| change.tag() == tag).count() as u64;
    let (added, removed) = (count(ChangeTag::Insert), count(ChangeTag::Delete));
    Diff { from, added, removed, text: made.unified_diff().context_radius(3).to_string() }
}

/// JSON in one line would change as a whole.
fn in_lines(old: String, new: String) -> (String, String) {
    let tree =
        |text: &str| if text.is_empty() { Some(None) } else { serde_json::from_str::<Value>(text).ok().map(Some) };
    let lines = |tree: Option<Value>| {
        tree.and_then(|t| serde_json::to_string_pretty(&t).ok()).map_or_else(String::new, |t| t + "\n")
    };
    match (tree(&old), tree(&new)) {
        (Some(old), Some(new)) => (lines(old), lines(new)),
        _ => (old, new),
    }
}

/// Where to go back to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollback {
    /// Why; it stands in the audit log and in the history.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
    /// The number of the write whose value comes back.
    to: u64,
}

/// Writes an earlier value anew, as a version of its own.
#[utoipa::path(post, path = "/config/{key}/rollback", tag = "config", request_body = Rollback,
    params(("key" = String, Path), DryRun),
    responses((status = 200, body = Written, headers(("ETag" = String))),
        (status = 404, body = ProblemView, content_type = "application/problem+json", description = "no such write is kept"),
        (status = 412, body = ProblemView, content_type = "application/problem+json", description = "precondition_failed: it has changed meanwhile"),
        Refusals))]
pub(super) async fn rollback(
    Extension(api): Extension<Api>,
    Extension(caller): Extension<Caller>,
    Name(key): Name,
    Ask(DryRun { dry_run }): Ask<DryRun>,
    Body(back): Body<Rollback>,
) -> Result<Response, Problem> {
    plain(&key)?;
    let detail = json!({ "to": back.to });
    let deed =
        Deed { verb: "config.rollback", resource: format!("config/{key}"), reason: &back.reason, dry_run, detail };
    let doing = async {
        let history = History::new(api.admin.cluster().config().clone());
        let records = history.records(&key).await.map_err(backend)?;
        let gone = || Problem::not_found(format!("no write {} of {key} is kept", back.to));
        let record = records.into_iter().find(|r| r.number == back.to).ok_or_else(gone)?;
        let text = record.value.as_deref().map(String::from_utf8_lossy);
        let checked_by = match &text {
            Some(text) => canary(&api, &key, text).await?.checked_by,
            None => Vec::new(),
        };
        let now = load(&api, &key).await?;
        if now.as_ref().map(|e| &e.value) == record.value.as_ref() {
            return Err(Problem::conflict("same_value", "the setting has this value already"));
        }
        if dry_run {
            let version = now.map(|e| e.version.to_string()).unwrap_or_default();
            return Ok(Written { version, checked_by, dry_run });
        }
        let rolled = history.roll_back(&key, back.to, &author(&caller, &back.reason)).await;
        Ok(Written { version: rolled.map_err(unwritten)?.to_string(), checked_by, dry_run })
    };
    let written = api.act(&caller, deed, doing).await?;
    Ok(([(header::ETAG, format!("\"{}\"", written.version))], Json(written)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(old: Option<&str>, new: Option<&str>, (added, removed): (u64, u64), has: &str) {
        let made = diff(1, old.map(str::to_owned), new.map(str::to_owned));
        assert_eq!((made.added, made.removed), (added, removed), "{}", made.text);
        assert!(made.text.contains(has), "{}", made.text);
    }

    #[test]
    fn json_is_compared_line_by_line_however_it_was_laid_out_and_other_text_as_it_is() {
        check(
            Some(r#"{"rooms":1,"name":"inn"}"#),
            Some("{\"name\": \"inn\",\n\"rooms\": 2}"),
            (1, 1),
            "-  \"rooms\": 1",
        );
        check(Some("a = 1\nb = 2\n"), Some("a = 1\nb = 3\n"), (1, 1), "+b = 3");
        check(Some("a = 1\n"), Some("a = 1\n"), (0, 0), "");
        check(None, Some(r#"{"rooms":1}"#), (3, 0), "+  \"rooms\": 1");
        check(Some("[1]"), None, (0, 3), "-  1");
    }

    #[test]
    fn texts_that_have_nothing_in_common_are_compared_in_bounded_time() {
        let lines = |word: &str| (0..50_000).map(|n| format!("{word}{n}\n")).collect::<String>();
        check(Some(&lines("a")), Some(&lines("b")), (50_000, 50_000), "+b0");
    }
}
