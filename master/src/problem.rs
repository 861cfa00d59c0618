//! Errors as RFC 9457 says.

use std::collections::BTreeMap;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use due_core::{Error, Kind};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{Content, RefOr, ResponseBuilder, response, schema::Ref},
};

/// Where a problem has the methods of its path.
const ALLOWED: &str = "allowed";

/// What went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) status: u16,
    pub(crate) detail: String,
    fields: BTreeMap<String, String>,
    more: BTreeMap<String, String>,
}

/// What went wrong, as `application/problem+json`.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemView {
    /// `urn:due:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// A word for programs.
    code: String,
    /// The status of the answer.
    status: u16,
    /// The status in words.
    title: String,
    /// What to do about it, for people.
    detail: String,
    /// Wrong fields of the body, each with what is wrong.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, String>,
    /// What else there is to know.
    #[serde(flatten)]
    more: BTreeMap<String, String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let (fields, more) = (BTreeMap::new(), BTreeMap::new());
        Self { code, status: status.as_u16(), detail: detail.into(), fields, more }
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// The path has these methods, and not the one that was asked.
    pub(crate) fn not_allowed(allowed: &str) -> Self {
        let text = format!("this path takes {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text).with(ALLOWED, allowed)
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// One field of the body is wrong.
    pub(crate) fn field(name: &str, wrong: impl Into<String>) -> Self {
        let (status, wrong) = (StatusCode::UNPROCESSABLE_ENTITY, wrong.into());
        let mut problem = Self::new(status, "validation_failed", format!("{name}: {wrong}"));
        problem.fields.insert(name.to_owned(), wrong);
        problem
    }

    /// One more field is wrong.
    pub(crate) fn and_field(mut self, name: String, wrong: String) -> Self {
        self.fields.entry(name).or_insert(wrong);
        self
    }

    #[cfg(test)]
    pub(crate) fn fields(&self) -> Vec<&str> {
        self.fields.keys().map(String::as_str).collect()
    }

    pub(crate) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.more.insert(key.to_owned(), value.to_string());
        self
    }
}

/// An error of a backend or an instance, where the endpoint says nothing special.
impl From<Error> for Problem {
    fn from(e: Error) -> Self {
        let (status, code) = match e.kind() {
            Kind::BadRequest | Kind::Malformed => (StatusCode::BAD_REQUEST, "invalid_argument"),
            Kind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "node_timeout"),
            Kind::Stale => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Kind::Duplicate | Kind::Forbidden | Kind::Unsupported => (StatusCode::CONFLICT, "conflict"),
            Kind::Gone | Kind::Offline => (StatusCode::NOT_FOUND, "not_found"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Kind::Unavailable => (StatusCode::BAD_GATEWAY, "node_unreachable"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        Self::new(status, code, e.to_string())
    }
}

/// A backend that the master itself needs does not answer.
pub(crate) fn backend(e: Error) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", e.to_string())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let allowed = self.more.get(ALLOWED).and_then(|methods| HeaderValue::from_str(methods).ok());
        let view = ProblemView {
            kind: format!("urn:due:{}", self.code),
            code: self.code.to_owned(),
            status: self.status,
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            detail: self.detail,
            fields: self.fields,
            more: self.more,
        };
        let body = serde_json::to_vec(&view).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                drop(headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
            }
            StatusCode::TOO_MANY_REQUESTS => drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"))),
            _ => {}
        }
        allowed.map(|methods| headers.insert(header::ALLOW, methods));
        response
    }
}

/// What every endpoint with a token may answer.
pub(crate) struct Denials;

/// What every endpoint that changes something may answer beside that.
pub(crate) struct Refusals;

/// What endpoints may answer that need one instance.
pub(crate) struct OfOneNode;

impl IntoResponses for Denials {
    fn responses() -> Documented {
        documented(&[
            (400, "invalid_argument: the query, the path or the body cannot be read"),
            (401, "unauthenticated: there is no valid token"),
            (
                403,
                "permission_denied: the token has not the role that `need` names, or the master is read-only; out_of_scope: it is not for that instance or setting",
            ),
            (429, "rate_limited: too many requests with this token"),
            (503, "unavailable: a backend that the master needs does not answer"),
        ])
    }
}

impl IntoResponses for Refusals {
    fn responses() -> Documented {
        let mut all = Denials::responses();
        all.extend(documented(&[
            (409, "conflict: it cannot be done as things are, or a request with this Idempotency-Key still runs"),
            (413, "too_large: the body is too large"),
            (415, "unsupported_media_type: the body is not application/json"),
            (422, "validation_failed: `fields` names the wrong ones"),
        ]));
        all
    }
}

impl IntoResponses for OfOneNode {
    fn responses() -> Documented {
        documented(&[
            (404, "not_found: nobody knows it"),
            (409, "conflict: this kind of instance does not answer that, or several kinds have the id: add `kind`"),
            (410, "gone: it was listed, and is not any more; `last_seen` says when"),
            (413, "too_large: the answer of the instance is too large"),
            (502, "node_unreachable: there is no way to the instance"),
            (504, "node_timeout: it has not answered in time; a change may have been made"),
        ])
    }
}

type Documented = BTreeMap<String, RefOr<response::Response>>;

fn documented(list: &[(u16, &str)]) -> Documented {
    let content = || Content::new(Some(Ref::from_schema_name("Problem")));
    let response = |text: &str| {
        ResponseBuilder::new().description(text).content("application/problem+json", content()).build().into()
    };
    list.iter().map(|(status, text)| (status.to_string(), response(text))).collect()
}
