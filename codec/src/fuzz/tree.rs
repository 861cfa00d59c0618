use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A value with every shape that bodies are made of, and room for any depth. Empty parts are left out when written, so
/// writing never nests deeper than what was read.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Tree {
    name: String,
    whole: i64,
    count: u64,
    real: f64,
    small: f32,
    flag: bool,
    letter: char,
    maybe: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pair: Option<(i8, u16)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<i32>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    table: BTreeMap<String, Tree>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    branches: Vec<Tree>,
    next: Option<Box<Tree>>,
}

#[derive(Deserialize, Serialize)]
enum Kind {
    Plain,
    Number(u32),
    Both(i16, String),
    Named { x: f32, y: f32 },
}
