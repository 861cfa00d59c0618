//! The OpenAPI document, made from the handlers themselves.

use axum::{
    Extension,
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use utoipa::{
    OpenApi,
    openapi::{
        Content, OpenApi as Document, Ref, RefOr, ResponseBuilder,
        extensions::Extensions,
        path::Operation,
        schema::AnyOfBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::{
    auth::{Need, Reach, action, first_role, need},
    problem::ProblemView,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "due master", description = "Looks at a fleet of due and changes it."),
    components(schemas(ProblemView))
)]
struct Empty;

/// The document without paths.
pub(super) fn empty() -> Document {
    Empty::openapi()
}

/// The whole document, as it is served.
#[derive(Clone)]
pub(super) struct Contract(Bytes);

/// Adds who may use what.
pub(super) fn written(mut document: Document) -> Contract {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("a token, `due_..`")).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(scheme));
    for (path, item) in &mut document.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("POST", &mut item.post),
            ("PUT", &mut item.put),
            ("PATCH", &mut item.patch),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation
                && let Some((need, reach)) = need(method, path)
            {
                tell(operation, need, reach);
                if action(method, path).is_some() {
                    may_wait(operation);
                }
            }
        }
    }
    Contract(serde_json::to_vec(&document).unwrap_or_default().into())
}

fn tell(operation: &mut Operation, need: Need, reach: Reach) {
    let (role, permission) = match need {
        Need::May(permission) => (first_role(permission).as_str(), Some(permission)),
        Need::Token => ("any", None),
        Need::Nothing => return,
    };
    operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]);
    let told = Extensions::builder().add("x-role", role).add("x-permission", permission).add("x-scope", reach.as_str());
    operation.extensions = Some(told.build());
}

/// Adds what a guarded action is answered that waits for a second person.
fn may_wait(operation: &mut Operation) {
    let pending = || Ref::from_schema_name("ApprovalView");
    let text = "where the master guards this: it waits for a second person, and `Location` says where to look";
    let (json, responses) = ("application/json", &mut operation.responses.responses);
    match responses.get_mut("202") {
        Some(RefOr::T(response)) => {
            response.description = format!("{}; or, {text}", response.description);
            if let Some(RefOr::T(content)) = response.content.get_mut(json) {
                let one = content.schema.take().map(|schema| AnyOfBuilder::new().item(schema).item(pending()));
                content.schema = one.map(|any| RefOr::T(any.into()));
            }
        }
        _ => {
            let response = ResponseBuilder::new().description(text).content(json, Content::new(Some(pending())));
            responses.insert("202".to_owned(), response.build().into());
        }
    }
}

/// The contract of this API.
#[utoipa::path(get, path = "/openapi.json", tag = "master", responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn openapi(Extension(Contract(document)): Extension<Contract>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// Nothing of this is for caches.
pub(super) async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
