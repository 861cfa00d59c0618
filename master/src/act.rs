//! Changing something: why, who, and what came of it is written down.

use serde_json::Value;

use crate::{
    api::Api,
    audit::Record,
    auth::Caller,
    events::Event,
    problem::{Problem, backend},
};

/// Longest reason in bytes.
const LONGEST: usize = 500;

/// What is about to be done.
pub(crate) struct Deed<'a> {
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
    pub(crate) reason: &'a str,
    pub(crate) dry_run: bool,
    pub(crate) detail: Value,
}

impl Api {
    /// Writes the deed down, does it, and writes down what came of it. What cannot be written down is not done.
    pub(crate) async fn act<T>(
        &self,
        caller: &Caller,
        deed: Deed<'_>,
        doing: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let reason = deed.reason.trim();
        if !(1..=LONGEST).contains(&reason.len()) || reason.chars().any(char::is_control) {
            return Err(Problem::field("reason", "say why, in 1 to 500 bytes of plain text"));
        }
        let record = Record {
            actor: caller.id.clone(),
            actor_name: caller.name.clone(),
            approved_by: caller.approved_by.clone(),
            verb: deed.verb.to_owned(),
            resource: deed.resource,
            reason: reason.to_owned(),
            dry_run: deed.dry_run,
            detail: deed.detail,
            ..Record::default()
        };
        let seq = self.audit.write(record.clone()).await.map_err(backend)?;
        let done = doing.await;
        let outcome = done.as_ref().map_or_else(|problem| problem.code.to_owned(), |_| "done".to_owned());
        let record = Record { of: Some(seq), outcome: Some(outcome), detail: Value::Null, ..record };
        if !deed.dry_run {
            self.events.add(acted(&record));
        }
        if let Err(e) = self.audit.write(record).await {
            tracing::error!(error = %e, record = seq, "the audit log does not take an outcome");
        }
        done
    }
}

/// What is in the audit log, as far as it is for those who may see what it is about.
pub(crate) fn acted(record: &Record) -> Event {
    let secret = ["approval/tokens/", "approval/roles/"].iter().any(|begin| record.resource.starts_with(begin));
    let need = match record.verb.split('.').next() {
        _ if secret => "audit:read",
        Some("user" | "users") => "users:read",
        Some("token" | "role" | "denied") => "audit:read",
        _ => "events:read",
    };
    let (by, outcome) = (Some(record.actor_name.clone()), record.outcome.clone());
    Event { by, outcome, need, ..Event::new(&record.verb, &record.resource, &record.reason) }
}
