//! What was done, by whom, why.

use serde_json::Value;

use super::{Operator, Page};
use crate::{
    api::{Query, given},
    failure::Outcome,
    table::{Column, table},
};

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
    /// All of them, page by page: with --json a line each, to be kept elsewhere.
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    all: bool,
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
        match what.all {
            true => self.export(query, &columns).await,
            false => self.show_list("/audit", &what.page.query(query), &columns).await,
        }
    }

    /// Shows all records, the newest first.
    async fn export(&self, query: Query, columns: &[Column]) -> Outcome {
        let mut cursor = None::<String>;
        loop {
            let mut query = query.clone();
            query.push(("limit", "1000".to_owned()));
            given(&mut query, "cursor", &cursor);
            let page = self.api.get("/audit", &query).await?.body;
            let items = page.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            self.printer.say_each(items, || table(items, columns));
            cursor = page.get("next").filter(|next| !next.is_null()).map(Value::to_string);
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}
