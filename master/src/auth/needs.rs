//! Which role each endpoint needs: one table, which the guard obeys and the contract shows.

use super::Role;

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anybody, without a token.
    Nothing,
    /// Any token.
    Token,
    /// A token with this role.
    Role(Role),
}

use Role::{Admin, Config, Operator, Support, Viewer};

/// Method, path, need.
pub(crate) const NEEDS: &[(&str, &str, Need)] = &[
    ("GET", "/api/v1/openapi.json", Need::Nothing),
    ("GET", "/api/v1/info", Need::Role(Viewer)),
    ("GET", "/api/v1/auth/me", Need::Token),
    ("GET", "/api/v1/auth/tokens", Need::Role(Admin)),
    ("POST", "/api/v1/auth/tokens", Need::Role(Admin)),
    ("DELETE", "/api/v1/auth/tokens/{id}", Need::Role(Admin)),
    ("GET", "/api/v1/roles", Need::Role(Viewer)),
    ("GET", "/api/v1/cluster", Need::Role(Viewer)),
    ("GET", "/api/v1/nodes", Need::Role(Viewer)),
    ("GET", "/api/v1/nodes/{id}", Need::Role(Viewer)),
    ("GET", "/api/v1/online", Need::Role(Viewer)),
    ("GET", "/api/v1/sessions", Need::Role(Support)),
    ("GET", "/api/v1/users/{uid}", Need::Role(Support)),
    ("POST", "/api/v1/users/{uid}/kick", Need::Role(Support)),
    ("POST", "/api/v1/users/{uid}/push", Need::Role(Support)),
    ("GET", "/api/v1/audit", Need::Role(Admin)),
    ("PATCH", "/api/v1/nodes/{id}", Need::Role(Operator)),
    ("POST", "/api/v1/nodes/{id}/drain", Need::Role(Operator)),
    ("GET", "/api/v1/nodes/{id}/drain", Need::Role(Viewer)),
    ("DELETE", "/api/v1/nodes/{id}/drain", Need::Role(Operator)),
    ("GET", "/api/v1/nodes/{id}/links", Need::Role(Viewer)),
    ("GET", "/api/v1/nodes/{id}/routes", Need::Role(Viewer)),
    ("GET", "/api/v1/nodes/{id}/metrics", Need::Role(Viewer)),
    ("GET", "/api/v1/nodes/{id}/connections", Need::Role(Operator)),
    ("GET", "/api/v1/routes", Need::Role(Viewer)),
    ("GET", "/api/v1/services", Need::Role(Viewer)),
    ("GET", "/api/v1/channels", Need::Role(Viewer)),
    ("GET", "/api/v1/channels/{name}", Need::Role(Viewer)),
    ("POST", "/api/v1/broadcasts", Need::Role(Operator)),
    ("GET", "/api/v1/config", Need::Role(Viewer)),
    ("GET", "/api/v1/config/{key}", Need::Role(Viewer)),
    ("PUT", "/api/v1/config/{key}", Need::Role(Config)),
    ("POST", "/api/v1/config/{key}/validate", Need::Role(Config)),
    ("GET", "/api/v1/config/{key}/revisions", Need::Role(Viewer)),
    ("POST", "/api/v1/config/{key}/rollback", Need::Role(Config)),
    ("GET", "/api/v1/config/{key}/status", Need::Role(Viewer)),
    ("GET", "/api/v1/cluster/graph", Need::Role(Viewer)),
    ("POST", "/api/v1/users/kick", Need::Role(Operator)),
    ("GET", "/api/v1/events", Need::Role(Viewer)),
    ("GET", "/api/v1/events/stream", Need::Role(Viewer)),
];

/// What an endpoint needs; one that is not in the table is for nobody. Whoever may read it may ask for its head.
pub(crate) fn need(method: &str, path: &str) -> Option<Need> {
    let method = if method == "HEAD" { "GET" } else { method };
    NEEDS.iter().find(|(m, p, _)| *m == method && *p == path).map(|(.., need)| *need)
}

/// The methods that a path has, as the header `Allow` lists them.
pub(crate) fn methods(path: &str) -> String {
    let all: Vec<&str> = NEEDS.iter().filter(|(_, p, _)| *p == path).map(|(method, ..)| *method).collect();
    all.join(", ")
}
