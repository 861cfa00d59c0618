//! What was done, by whom, why.

use super::{Operator, Page};
use crate::{api::given, failure::Outcome};

#[derive(Debug, clap::Args)]
pub(crate) struct Audit {
    /// By this token: its id or name.
    #[arg(long)]
    actor: Option<String>,
    /// To resources that begin so: user/ann, gate/.
    #[arg(long)]
    resource: Option<String>,
    /// Verbs that begin so: user.
    #[arg(long)]
    verb: Option<String>,
    #[command(flatten)]
    page: Page,
}

impl Operator<'_> {
    pub(crate) async fn audit(&self, what: Audit) -> Outcome {
        let mut query = Vec::new();
        for (key, value) in [("actor", &what.actor), ("resource", &what.resource), ("verb", &what.verb)] {
            given(&mut query, key, value);
        }
        let columns = [
            ("SEQ", "/seq"),
            ("TIME_MS", "/time_ms"),
            ("ACTOR", "/actor_name"),
            ("VERB", "/verb"),
            ("RESOURCE", "/resource"),
            ("OUTCOME", "/outcome"),
            ("DRY", "/dry_run"),
            ("REASON", "/reason"),
        ];
        self.show_list("/audit", &what.page.query(query), &columns).await
    }
}
