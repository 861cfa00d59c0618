//! Queries that several endpoints take.

use due_core::registry::InstanceKind;
use serde::{Deserialize, Deserializer, de::Error};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// Which of several instances with one id.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfKind {
    /// Of this kind; needed only if several kinds have the id.
    #[param(inline)]
    pub(crate) kind: Option<Kind>,
}

/// A kind of instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Gate,
    Node,
    Mesh,
    Master,
}

impl From<Kind> for InstanceKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Gate => Self::Gate,
            Kind::Node => Self::Node,
            Kind::Mesh => Self::Mesh,
            Kind::Master => Self::Master,
        }
    }
}

/// Only look what would happen.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRun {
    /// `1`: nothing is changed, the answer says what would be.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = Option<String>)]
    pub(crate) dry_run: bool,
}

/// Why something ends that has no body to say so.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Ending {
    /// Why; it stands in the audit log.
    #[serde(default)]
    #[param(min_length = 1, max_length = 500, required = true)]
    pub(crate) reason: String,
    /// Of this kind; needed only if several kinds have the id.
    #[param(inline)]
    pub(crate) kind: Option<Kind>,
    /// `1`: nothing is changed.
    #[serde(default, deserialize_with = "flag")]
    #[param(value_type = Option<String>)]
    pub(crate) dry_run: bool,
}

/// Reads `1`, `true`, `0` or `false`.
pub(crate) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match String::deserialize(from)?.as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(D::Error::custom(format!("{other:?}: write 1 or 0"))),
    }
}

/// How many items a page has: 100 if nothing is said.
pub(crate) fn limit(wanted: Option<usize>) -> Result<usize, Problem> {
    match wanted.unwrap_or(100) {
        n @ 1..=1000 => Ok(n),
        n => Err(Problem::invalid(format!("limit {n}: write 1 to 1000"))),
    }
}
