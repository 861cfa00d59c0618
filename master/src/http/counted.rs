//! Changes to many: a dry run counts them and answers a token, and the request with that token reaches those who were
//! counted.

use axum::http::StatusCode;
use sha2::{Digest, Sha256};

use crate::{auth::hex, problem::Problem};

/// A change to many.
pub(super) struct Many<'a> {
    /// Whom it is for, in a text that is another one for others.
    pub(super) whom: String,
    /// What it does with them, for people: it `reaches` them.
    pub(super) verb: &'a str,
    /// What they are, with a space before it, or nothing.
    pub(super) unit: &'a str,
}

impl Many<'_> {
    /// The token of a dry run that found so many.
    pub(super) fn token(&self, count: u64) -> String {
        let digest = hex(&Sha256::digest(format!("{}/{count}", self.whom).as_bytes()));
        format!("{count}-{}", digest.get(..16).unwrap_or_default())
    }

    /// Are those there are now those who were counted? A tenth and ten more may have come since.
    pub(super) fn admit(&self, given: Option<&str>, count: u64) -> Result<(), Problem> {
        let Self { verb, unit, .. } = self;
        let given = given.ok_or_else(|| {
            let text = format!("ask with ?dry_run=1 first: it answers how many it {verb}, and this token");
            Problem::field("count_token", text)
        })?;
        let counted = given.split('-').next().and_then(|n| n.parse::<u64>().ok());
        match counted.filter(|n| self.token(*n) == given) {
            Some(counted) if count <= counted.saturating_add(counted / 10).saturating_add(10) => Ok(()),
            _ => {
                let text =
                    format!("it {verb} {count}{unit} now, not those who were counted: look again with ?dry_run=1");
                Err(Problem::new(StatusCode::PRECONDITION_FAILED, "selector_changed", text))
            }
        }
    }
}
