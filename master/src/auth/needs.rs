//! What each endpoint needs, and how far it reaches: one table, which the guard obeys and the contract shows.

use super::Permission;

use Need::May;
use Reach::{Any, Asked, Key, Keys, Node, Nodes, Whole};

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

/// How an endpoint keeps to the scopes of the token that asks. Each line of the table says one: nobody adds an endpoint
/// without having thought of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It tells nothing of instances and settings, and is the same for all.
    Any,
    /// It is about one instance, `{id}` in the path: one out of scope is refused before the handler.
    Node,
    /// It is about several instances, or about users at them: `Api::members` has those in scope and no others. What it
    /// finds by other ways its handler holds against the scopes.
    Nodes,
    /// It is about one setting, `{key}` in the path: one out of scope is refused before the handler.
    Key,
    /// It is about several settings: its handler leaves those out that are out of scope.
    Keys,
    /// It is about requests that wait for a second person: its handler keeps to those that this token has asked for, or
    /// whose reach its scopes cover.
    Asked,
    /// It is about the whole fleet, or hands out what scopes limit: for tokens without scopes.
    Whole,
}

impl Reach {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Node => "node",
            Self::Nodes => "nodes",
            Self::Key => "key",
            Self::Keys => "keys",
            Self::Asked => "asked",
            Self::Whole => "whole",
        }
    }
}

/// Method, path, need, reach.
pub(crate) const NEEDS: &[(&str, &str, Need, Reach)] = &[
    ("GET", "/api/v1/openapi.json", Need::Nothing, Any),
    ("GET", "/api/v1/info", May("master:read"), Any),
    ("GET", "/api/v1/auth/me", Need::Token, Any),
    ("GET", "/api/v1/auth/tokens", May("tokens:read"), Whole),
    ("POST", "/api/v1/auth/tokens", May("tokens:write"), Whole),
    ("DELETE", "/api/v1/auth/tokens/{id}", May("tokens:write"), Whole),
    ("GET", "/api/v1/roles", May("roles:read"), Any),
    ("GET", "/api/v1/roles/{name}", May("roles:read"), Any),
    ("PUT", "/api/v1/roles/{name}", May("roles:write"), Whole),
    ("GET", "/api/v1/cluster", May("cluster:read"), Nodes),
    ("GET", "/api/v1/nodes", May("nodes:read"), Nodes),
    ("GET", "/api/v1/nodes/{id}", May("nodes:read"), Node),
    ("GET", "/api/v1/online", May("cluster:read"), Nodes),
    ("GET", "/api/v1/sessions", May("sessions:read"), Nodes),
    ("GET", "/api/v1/users/{uid}", May("users:read"), Nodes),
    ("POST", "/api/v1/users/{uid}/kick", May("users:kick"), Nodes),
    ("DELETE", "/api/v1/users/{uid}/block", May("users:kick"), Whole),
    ("POST", "/api/v1/users/{uid}/push", May("users:push"), Nodes),
    ("GET", "/api/v1/audit", May("audit:read"), Whole),
    ("PATCH", "/api/v1/nodes/{id}", May("nodes:write"), Node),
    ("POST", "/api/v1/nodes/{id}/drain", May("nodes:drain"), Node),
    ("GET", "/api/v1/nodes/{id}/drain", May("nodes:read"), Node),
    ("DELETE", "/api/v1/nodes/{id}/drain", May("nodes:drain"), Node),
    ("GET", "/api/v1/nodes/{id}/links", May("nodes:read"), Node),
    ("GET", "/api/v1/nodes/{id}/routes", May("nodes:read"), Node),
    ("GET", "/api/v1/nodes/{id}/metrics", May("nodes:read"), Node),
    ("GET", "/api/v1/nodes/{id}/connections", May("connections:read"), Node),
    ("GET", "/api/v1/routes", May("routes:read"), Nodes),
    ("GET", "/api/v1/services", May("services:read"), Nodes),
    ("GET", "/api/v1/channels", May("channels:read"), Nodes),
    ("GET", "/api/v1/channels/{name}", May("channels:read"), Nodes),
    ("GET", "/api/v1/broadcasts", May("broadcasts:read"), Nodes),
    ("GET", "/api/v1/broadcasts/{id}", May("broadcasts:read"), Nodes),
    ("POST", "/api/v1/broadcasts", May("broadcasts:send"), Nodes),
    ("GET", "/api/v1/config", May("config:read"), Keys),
    ("GET", "/api/v1/config/{key}", May("config:read"), Key),
    ("PUT", "/api/v1/config/{key}", May("config:write"), Key),
    ("POST", "/api/v1/config/{key}/validate", May("config:write"), Key),
    ("GET", "/api/v1/config/{key}/revisions", May("config:read"), Key),
    ("GET", "/api/v1/config/{key}/revisions/{number}", May("config:read"), Key),
    ("GET", "/api/v1/config/{key}/schema", May("config:read"), Key),
    ("POST", "/api/v1/config/{key}/rollback", May("config:write"), Key),
    ("GET", "/api/v1/config/{key}/status", May("config:read"), Key),
    ("GET", "/api/v1/cluster/graph", May("cluster:read"), Nodes),
    ("POST", "/api/v1/users/kick", May("crowds:kick"), Nodes),
    ("GET", "/api/v1/approvals", Need::Token, Asked),
    ("GET", "/api/v1/approvals/{id}", Need::Token, Asked),
    ("POST", "/api/v1/approvals/{id}/approve", Need::Token, Asked),
    ("POST", "/api/v1/approvals/{id}/reject", Need::Token, Asked),
    ("GET", "/api/v1/events", May("events:read"), Nodes),
    ("GET", "/api/v1/events/stream", May("events:read"), Nodes),
];

/// What an endpoint needs; one that is not in the table is for nobody. Whoever may read it may ask for its head.
pub(crate) fn need(method: &str, path: &str) -> Option<(Need, Reach)> {
    let method = if method == "HEAD" { "GET" } else { method };
    NEEDS.iter().find(|(m, p, ..)| *m == method && *p == path).map(|(_, _, need, reach)| (*need, *reach))
}

/// The methods that a path has, as the header `Allow` lists them.
pub(crate) fn methods(path: &str) -> String {
    let all: Vec<&str> = NEEDS.iter().filter(|(_, p, ..)| *p == path).map(|(method, ..)| *method).collect();
    all.join(", ")
}
