//! A node's route table as gates see it.

use std::{collections::HashMap, sync::Arc};

use due_core::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// One route of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct TableRoute {
    pub(crate) id: i32,
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) stateful: bool,
    #[serde(default)]
    pub(crate) authorized: bool,
    #[serde(default)]
    pub(crate) internal: bool,
    /// Does the client expect an answer?
    #[serde(default)]
    pub(crate) answers: bool,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "half_a_minute")]
    pub(crate) limit_ms: u32,
    /// The kind of actors whose slot (`node/kind`) a stateful route follows; empty: the node's own.
    #[serde(default)]
    pub(crate) kind: String,
}

fn half_a_minute() -> u32 {
    30_000
}

/// All routes of a node, and what else a gate must know of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct NodeTable {
    pub(crate) routes: Vec<TableRoute>,
    /// Takes routes that nobody names.
    pub(crate) fallback: bool,
    /// Has event handlers, so every session opens a lane to it at connect.
    pub(crate) events: bool,
    /// The kinds of actors that it opens.
    #[serde(default)]
    pub(crate) kinds: Vec<String>,
}

impl NodeTable {
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The slots that stateful routes follow, by route.
    pub(crate) fn slots(&self, node: &str) -> HashMap<i32, Arc<str>> {
        let slot = |route: &TableRoute| match route.kind.is_empty() {
            true => node.into(),
            false => format!("{node}/{}", route.kind).into(),
        };
        self.routes.iter().filter(|r| r.stateful).map(|r| (r.id, slot(r))).collect()
    }

    /// A number for the table: the same for the same one in every process and build.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        self.encode().iter().fold(0xcbf2_9ce4_8422_2325, mix)
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body).map_err(|e| Error::new(Kind::Malformed, "a route table").because(e))
    }
}
