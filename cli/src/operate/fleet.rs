//! Instances and routes.

use clap::{Subcommand, ValueEnum};
use reqwest::{Method, header};
use serde_json::{Map, Value, json};

use super::{Change, Operator, Page};
use crate::{
    api::{given, part},
    failure::{Failure, Outcome},
    table::Column,
};

pub(super) const NODES: [Column; 6] = [
    ("KIND", "/kind"),
    ("NAME", "/name"),
    ("ID", "/id"),
    ("STATE", "/state"),
    ("WEIGHT", "/weight"),
    ("LABELS", "/labels"),
];

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Settable {
    /// Takes all work.
    Work,
    /// Takes work if nobody else can.
    Busy,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Node {
    /// Instances that the registry lists.
    List {
        /// Of this kind: gate, node, mesh or master.
        #[arg(long)]
        kind: Option<String>,
        /// Of this name.
        #[arg(long)]
        name: Option<String>,
        /// In this state: work, busy, hang or shut.
        #[arg(long)]
        state: Option<String>,
        /// With this label.
        #[arg(long, value_name = "NAME=VALUE")]
        label: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// One instance, as it is listed and as it sees itself.
    Show { id: String },
    /// Sets state, weight or labels, until the process ends.
    Set {
        id: String,
        #[arg(long)]
        state: Option<Settable>,
        #[arg(long)]
        weight: Option<u32>,
        /// Sets a label; NAME= removes it.
        #[arg(long, value_name = "NAME=VALUE")]
        label: Vec<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Who it is linked to.
    Links { id: String },
    /// What it serves.
    Routes { id: String },
    /// What it has counted.
    Metrics { id: String },
    /// The connections of a gate.
    Connections {
        id: String,
        /// Orders the page: bytes, queued, age or silent, the largest first.
        #[arg(long)]
        sort: Option<String>,
        #[command(flatten)]
        page: Page,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Route {
    /// The routes of all nodes, who serves them, and what they have counted.
    List,
    /// User-made services and who serves them.
    Services,
}

impl Operator<'_> {
    pub(crate) async fn node(&self, what: Node) -> Outcome {
        match what {
            Node::List { kind, name, state, label, page } => {
                let mut query = Vec::new();
                for (key, value) in [("kind", &kind), ("name", &name), ("state", &state), ("label", &label)] {
                    given(&mut query, key, value);
                }
                self.show_list("/nodes", &page.query(query), &NODES).await
            }
            Node::Show { id } => self.show(&format!("/nodes/{}", part(&id))).await,
            Node::Set { id, state, weight, label, change } => {
                self.set_node(&id, (state, weight, &label), &change).await
            }
            Node::Links { id } => self.show(&format!("/nodes/{}/links", part(&id))).await,
            Node::Routes { id } => self.show(&format!("/nodes/{}/routes", part(&id))).await,
            Node::Metrics { id } => self.show(&format!("/nodes/{}/metrics", part(&id))).await,
            Node::Connections { id, sort, page } => {
                let mut query = Vec::new();
                given(&mut query, "sort", &sort);
                let columns = [
                    ("UID", "/uid"),
                    ("PEER", "/peer"),
                    ("STAGE", "/stage"),
                    ("AGE_MS", "/age_ms"),
                    ("SILENT_MS", "/silent_ms"),
                    ("BYTES_IN", "/bytes_in"),
                    ("BYTES_OUT", "/bytes_out"),
                    ("QUEUED", "/queued"),
                    ("IN_FLIGHT", "/in_flight"),
                    ("SESSION", "/session"),
                ];
                self.show_list(&format!("/nodes/{}/connections", part(&id)), &page.query(query), &columns).await
            }
        }
    }

    async fn set_node(
        &self,
        id: &str,
        (state, weight, labels): (Option<Settable>, Option<u32>, &[String]),
        change: &Change,
    ) -> Outcome {
        let path = format!("/nodes/{}", part(id));
        let labels = labels.iter().map(|text| label(text)).collect::<Outcome<Map<_, _>>>()?;
        let state = state.map(|s| if matches!(s, Settable::Work) { "work" } else { "busy" });
        let labels = if labels.is_empty() { Value::Null } else { Value::Object(labels) };
        let body = change.body([("state", json!(state)), ("weight", json!(weight)), ("labels", labels)]);
        let seen = self.api.get(&path, &Vec::new()).await?.etag;
        let seen = seen.ok_or_else(|| Failure::new(format!("{id} has nothing that can be set")))?;
        let done = self.api.send_if(Method::PATCH, &path, (&change.query(), (header::IF_MATCH, seen)), &body).await?;
        self.say(done.body);
        Ok(())
    }

    pub(crate) async fn route(&self, what: Route) -> Outcome {
        match what {
            Route::List => {
                let columns = [
                    ("ID", "/id"),
                    ("NAME", "/name"),
                    ("NODE", "/node"),
                    ("STATEFUL", "/stateful"),
                    ("HANDLED", "/handled"),
                    ("FAILED", "/failed"),
                    ("P99_US", "/p99_us"),
                    ("OWNERS", "/owners"),
                ];
                self.show_list("/routes", &Vec::new(), &columns).await
            }
            Route::Services => self.show("/services").await,
        }
    }
}

fn label(text: &str) -> Outcome<(String, Value)> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or_else(|| Failure::new(format!("--label {text:?} is not NAME=VALUE")))?;
    Ok((name.to_owned(), if value.is_empty() { Value::Null } else { json!(value) }))
}
