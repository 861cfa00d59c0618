//! Tokens of the API.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Change, Operator};
use crate::{api::part, failure::Outcome};

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
                ];
                self.show_list("/auth/tokens", &Vec::new(), &columns).await
            }
            Token::Create { name, roles, ttl, reason } => {
                let change = Change { reason, dry_run: false };
                let body: Value =
                    change.body([("name", json!(name)), ("roles", json!(roles)), ("ttl_secs", json!(ttl))]);
                self.change(Method::POST, "/auth/tokens", &Vec::new(), Some(&body)).await
            }
            Token::Revoke { id, change } => {
                self.change(Method::DELETE, &format!("/auth/tokens/{}", part(&id)), &change.ending(), None).await
            }
        }
    }
}
