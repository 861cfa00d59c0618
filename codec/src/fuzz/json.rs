use super::{promise::keeps, tree::Tree};
use crate::Json;

/// Any bytes as a JSON body.
pub fn json(bytes: &[u8]) {
    keeps::<Tree, _>(Json, bytes);
    keeps::<serde_json::Value, _>(Json, bytes);
}
