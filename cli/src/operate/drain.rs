//! Emptying an instance.

use clap::{Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::json;

use super::{Change, Operator};
use crate::{api::part, failure::Outcome};

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Mode {
    /// Who is there stays.
    Wait,
    /// Clients of a gate are told to leave, over half of the time; actors of a node end, and open elsewhere.
    Goaway,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Drain {
    /// Begins to empty a gate or node: it takes no new work.
    Start {
        id: String,
        #[arg(long, value_enum, default_value = "wait")]
        mode: Mode,
        /// After so many seconds clients that were told and have not left are cut off.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        deadline: u64,
        /// Also if nobody else of its name takes work.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Who is still there.
    Show { id: String },
    /// Ends it: the instance takes work again.
    Cancel {
        id: String,
        #[command(flatten)]
        change: Change,
    },
}

impl Operator<'_> {
    pub(crate) async fn drain(&self, what: Drain) -> Outcome {
        let path = |id: &str| format!("/nodes/{}/drain", part(id));
        match what {
            Drain::Start { id, mode, deadline, force, change } => {
                let mode = if matches!(mode, Mode::Wait) { "wait" } else { "goaway" };
                let body =
                    change.body([("mode", json!(mode)), ("deadline_secs", json!(deadline)), ("force", json!(force))]);
                self.change(Method::POST, &path(&id), &change.query(), Some(&body)).await
            }
            Drain::Show { id } => self.show(&path(&id)).await,
            Drain::Cancel { id, change } => self.change(Method::DELETE, &path(&id), &change.ending(), None).await,
        }
    }
}
