//! Tokens of the API.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Change, Operator};
use crate::{
    api::part,
    failure::{Failure, Outcome},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Whose token is used.
    Me,
    /// All tokens; none can be shown again.
    List,
    /// Makes a token, and shows it this once.
    Create {
        /// For whom.
        name: String,
        /// What it may do: viewer, support, operator, config or admin; more than one is possible.
        #[arg(long = "role", required = true)]
        roles: Vec<String>,
        /// It ends after so many seconds; never without.
        #[arg(long, value_name = "SECONDS")]
        ttl: Option<u64>,
        /// Only for instances with this label; once for each label that they must have.
        #[arg(long = "scope-label", value_name = "NAME=VALUE")]
        labels: Vec<String>,
        /// Only for settings whose keys begin so, such as game/; more than one is possible.
        #[arg(long = "scope-config", value_name = "PREFIX")]
        config: Vec<String>,
        /// Why; it stands in the audit log.
        #[arg(long, short)]
        reason: String,
    },
    /// Ends a token.
    Revoke {
        id: String,
        #[command(flatten)]
        change: Change,
    },
}

/// How far a token is to reach; nothing if nothing limits it.
fn scopes(labels: &[String], config: &[String]) -> Outcome<Value> {
    let mut scopes = Map::new();
    let mut nodes = Map::new();
    for label in labels {
        let (name, value) = label
            .split_once('=')
            .ok_or_else(|| Failure::new(format!("--scope-label {label}: write NAME=VALUE, such as region=eu")))?;
        if nodes.insert(name.to_owned(), json!(value)).is_some_and(|before| before != json!(value)) {
            return Err(Failure::new(format!("--scope-label {name}: an instance has a label once: name one value")));
        }
    }
    if !nodes.is_empty() {
        scopes.insert("nodes".to_owned(), Value::Object(nodes));
    }
    if !config.is_empty() {
        scopes.insert("config".to_owned(), json!(config));
    }
    Ok(if scopes.is_empty() { Value::Null } else { Value::Object(scopes) })
}

impl Operator<'_> {
    pub(crate) async fn token(&self, what: Token) -> Outcome {
        match what {
            Token::Me => self.show("/auth/me").await,
            Token::List => {
                let columns = [
                    ("ID", "/id"),
                    ("NAME", "/name"),
                    ("ROLES", "/roles"),
                    ("CREATED", "/created"),
                    ("EXPIRES", "/expires"),
                    ("LABELS", "/scopes/nodes"),
                    ("CONFIG", "/scopes/config"),
                ];
                self.show_list("/auth/tokens", &Vec::new(), &columns).await
            }
            Token::Create { name, roles, ttl, labels, config, reason } => {
                let change = Change { reason, dry_run: false };
                let body: Value = change.body([
                    ("name", json!(name)),
                    ("roles", json!(roles)),
                    ("ttl_secs", json!(ttl)),
                    ("scopes", scopes(&labels, &config)?),
                ]);
                self.change(Method::POST, "/auth/tokens", &Vec::new(), Some(&body)).await
            }
            Token::Revoke { id, change } => {
                self.change(Method::DELETE, &format!("/auth/tokens/{}", part(&id)), &change.ending(), None).await
            }
        }
    }
}
