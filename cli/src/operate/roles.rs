//! What roles may.

use clap::Subcommand;
use reqwest::header;
use serde_json::json;

use super::{Change, Operator};
use crate::{
    api::{If, part},
    failure::{Failure, Outcome},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// All roles, and what each may.
    List,
    /// One role: its permissions, and the endpoints that they open.
    Show { name: String },
    /// Sets all that a role may; nothing else is left to it.
    Set {
        name: String,
        /// A resource and a verb, such as users:kick; once for each. `due role show admin` has all there are.
        #[arg(long = "permission", value_name = "RESOURCE:VERB", required = true)]
        permissions: Vec<String>,
        /// Only if this revision stands there; without it, the one that does when the command begins.
        #[arg(long, value_name = "REVISION", conflicts_with = "create")]
        if_revision: Option<u64>,
        /// Makes a new role.
        #[arg(long)]
        create: bool,
        #[command(flatten)]
        change: Change,
    },
}

impl Operator<'_> {
    pub(super) async fn role(&self, what: Role) -> Outcome {
        match what {
            Role::List => {
                let columns = [("NAME", "/name"), ("REVISION", "/revision"), ("PERMISSIONS", "/permissions")];
                self.show_list("/roles", &Vec::new(), &columns).await
            }
            Role::Show { name } => self.show(&format!("/roles/{}", part(&name))).await,
            Role::Set { name, permissions, if_revision, create, change } => {
                let path = format!("/roles/{}", part(&name));
                let condition: If = match (create, if_revision) {
                    (true, _) => (header::IF_NONE_MATCH, "*".to_owned()),
                    (false, Some(revision)) => (header::IF_MATCH, format!("\"{revision}\"")),
                    (false, None) => {
                        let now = self.api.get(&path, &Vec::new()).await;
                        let etag = now.map_err(|e| e.at("to make a new role, say --create"))?.etag;
                        (header::IF_MATCH, etag.ok_or_else(|| Failure::new("the role has no revision"))?)
                    }
                };
                let body = change.body([("permissions", json!(permissions))]);
                self.change_if(reqwest::Method::PUT, &path, (&change.query(), condition), &body).await
            }
        }
    }
}
