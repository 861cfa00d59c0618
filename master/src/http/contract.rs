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
        OpenApi as Document,
        extensions::Extensions,
        path::Operation,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::{
    auth::{Need, Reach, first_role, need},
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
