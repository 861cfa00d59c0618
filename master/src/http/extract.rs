//! What handlers take out of requests; what is wrong with it is a problem of ours.

use axum::{
    extract::{FromRequest, FromRequestParts, Path, Query, Request, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use due_core::Uid;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The query.
pub(crate) struct Ask<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|e| Problem::invalid(e.body_text()))
    }
}

/// One part of the path.
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|e| Problem::invalid(e.body_text()))?;
        match (1..=256).contains(&name.len()) && !name.chars().any(char::is_control) {
            true => Ok(Self(name)),
            false => Err(Problem::invalid("the name in the path has 1 to 256 bytes of plain text")),
        }
    }
}

/// A name and a number in the path.
pub(crate) struct Numbered(pub(crate) String, pub(crate) u64);

impl<S: Send + Sync> FromRequestParts<S> for Numbered {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, u64)>::from_request_parts(parts, state).await;
        path.map(|Path((name, number))| Self(name, number)).map_err(|e| Problem::invalid(e.body_text()))
    }
}

/// The user in the path: digits are a number; for the text of digits write it in double quotes.
pub(crate) struct User(pub(crate) Uid);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Name(name) = Name::from_request_parts(parts, state).await?;
        read_uid(&name).map(Self)
    }
}

/// Reads a uid as it stands in a path or a query.
pub(crate) fn read_uid(text: &str) -> Result<Uid, Problem> {
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let uid = match (quoted, text.parse::<i64>()) {
        (Some(text), _) => Uid::from(text),
        (None, Ok(number)) => Uid::Int(number),
        (None, Err(_)) => Uid::from(text),
    };
    uid.check().map_err(|e| Problem::invalid(e.text()))?;
    Ok(uid)
}

/// A body of JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::MissingJsonContentType(e)) => {
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", e.body_text()))
            }
            Err(JsonRejection::JsonDataError(e)) => Err(Problem::field("body", e.body_text())),
            Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", e.body_text()))
            }
            Err(e) => Err(Problem::invalid(e.body_text())),
        }
    }
}

/// The revision in `If-Match`, without its quotes.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<String, Problem> {
    let given = headers.get(header::IF_MATCH).and_then(|v| v.to_str().ok()).map(|v| v.trim().trim_matches('"'));
    given.filter(|v| !v.is_empty()).map(str::to_owned).ok_or_else(|| {
        let text = "send If-Match with the ETag that you have seen";
        Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_a_number_and_in_quotes_a_text() {
        let check = |text: &str, uid: Uid| assert_eq!(read_uid(text).unwrap(), uid);
        check("42", Uid::Int(42));
        check("\"42\"", Uid::from("42"));
        check("ann", Uid::from("ann"));
        for wrong in ["0", "-3", "", "\"\"", &"x".repeat(65)] {
            assert_eq!(read_uid(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
