//! What waits for a second person.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::Operator;
use crate::{api::part, failure::Outcome};

#[derive(Debug, clap::Args)]
pub(crate) struct Approvals {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What waits, and what was decided lately; also without a word.
    List,
    /// One request: what was asked, by whom, why.
    Show { id: String },
    /// Lets it be done, in the name of whoever has asked.
    Approve {
        id: String,
        /// Why; it stands in the audit log.
        #[arg(long, short)]
        reason: String,
    },
    /// Lets it not be done.
    Reject {
        id: String,
        /// Why; it stands in the audit log.
        #[arg(long, short)]
        reason: String,
    },
}

impl Operator<'_> {
    pub(super) async fn approvals(&self, approvals: Approvals) -> Outcome {
        let (id, verb, reason) = match approvals.what {
            None | Some(What::List) => {
                let columns = [
                    ("ID", "/id"),
                    ("STATE", "/state"),
                    ("ACTION", "/action"),
                    ("BY", "/by"),
                    ("REASON", "/reason"),
                    ("EXPIRES", "/expires_at"),
                    ("PATH", "/request/path"),
                ];
                return self.show_list("/approvals", &Vec::new(), &columns).await;
            }
            Some(What::Show { id }) => return self.show(&format!("/approvals/{}", part(&id))).await,
            Some(What::Approve { id, reason }) => (id, "approve", reason),
            Some(What::Reject { id, reason }) => (id, "reject", reason),
        };
        let path = format!("/approvals/{}/{verb}", part(&id));
        self.change(Method::POST, &path, &Vec::new(), Some(&json!({ "reason": reason }))).await
    }
}
