//! What each endpoint needs: one table, which the guard obeys and the contract shows.

use super::Permission;

/// Who may use an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Anybody, without a token.
    Nothing,
    /// Any token.
    Token,
    /// A token that may this.
    May(Permission),
}

use Need::May;

/// Method, path, need.
pub(crate) const NEEDS: &[(&str, &str, Need)] = &[
    ("GET", "/api/v1/openapi.json", Need::Nothing),
    ("GET", "/api/v1/info", May("master:read")),
    ("GET", "/api/v1/auth/me", Need::Token),
    ("GET", "/api/v1/auth/tokens", May("tokens:read")),
    ("POST", "/api/v1/auth/tokens", May("tokens:write")),
    ("DELETE", "/api/v1/auth/tokens/{id}", May("tokens:write")),
    ("GET", "/api/v1/roles", May("roles:read")),
    ("GET", "/api/v1/roles/{name}", May("roles:read")),
    ("PUT", "/api/v1/roles/{name}", May("roles:write")),
    ("GET", "/api/v1/cluster", May("cluster:read")),
    ("GET", "/api/v1/nodes", May("nodes:read")),
    ("GET", "/api/v1/nodes/{id}", May("nodes:read")),
    ("GET", "/api/v1/online", May("cluster:read")),
    ("GET", "/api/v1/sessions", May("sessions:read")),
    ("GET", "/api/v1/users/{uid}", May("users:read")),
    ("POST", "/api/v1/users/{uid}/kick", May("users:kick")),
    ("POST", "/api/v1/users/{uid}/push", May("users:push")),
    ("GET", "/api/v1/audit", May("audit:read")),
    ("PATCH", "/api/v1/nodes/{id}", May("nodes:write")),
    ("POST", "/api/v1/nodes/{id}/drain", May("nodes:drain")),
    ("GET", "/api/v1/nodes/{id}/drain", May("nodes:read")),
    ("DELETE", "/api/v1/nodes/{id}/drain", May("nodes:drain")),
    ("GET", "/api/v1/nodes/{id}/links", May("nodes:read")),
    ("GET", "/api/v1/nodes/{id}/routes", May("nodes:read")),
    ("GET", "/api/v1/nodes/{id}/metrics", May("nodes:read")),
    ("GET", "/api/v1/nodes/{id}/connections", May("connections:read")),
    ("GET", "/api/v1/routes", May("routes:read")),
    ("GET", "/api/v1/services", May("services:read")),
    ("GET", "/api/v1/channels", May("channels:read")),
    ("GET", "/api/v1/channels/{name}", May("channels:read")),
    ("GET", "/api/v1/broadcasts", May("broadcasts:read")),
    ("GET", "/api/v1/broadcasts/{id}", May("broadcasts:read")),
    ("POST", "/api/v1/broadcasts", May("broadcasts:send")),
    ("GET", "/api/v1/config", May("config:read")),
    ("GET", "/api/v1/config/{key}", May("config:read")),
    ("PUT", "/api/v1/config/{key}", May("config:write")),
    ("POST", "/api/v1/config/{key}/validate", May("config:write")),
    ("GET", "/api/v1/config/{key}/revisions", May("config:read")),
    ("GET", "/api/v1/config/{key}/revisions/{number}", May("config:read")),
    ("GET", "/api/v1/config/{key}/schema", May("config:read")),
    ("POST", "/api/v1/config/{key}/rollback", May("config:write")),
    ("GET", "/api/v1/config/{key}/status", May("config:read")),
    ("GET", "/api/v1/cluster/graph", May("cluster:read")),
    ("POST", "/api/v1/users/kick", May("crowds:kick")),
    ("GET", "/api/v1/events", May("events:read")),
    ("GET", "/api/v1/events/stream", May("events:read")),
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
