//! Users: find, push to, kick.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Change, Operator, Page};
use crate::{
    api::{given, part},
    failure::{Failure, Outcome},
};

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Where a user is, and what the gate and the nodes know.
    Show {
        /// A number, or a text; the text of digits in double quotes.
        uid: String,
    },
    /// Sessions at the gates.
    List {
        /// Of users whose uid begins so.
        #[arg(long)]
        uid_prefix: Option<String>,
        /// From this address or network, such as 10.1.0.0/16.
        #[arg(long)]
        ip: Option<String>,
        /// At this gate.
        #[arg(long)]
        gate: Option<String>,
        /// There for so many seconds at least.
        #[arg(long, value_name = "SECONDS")]
        older_than: Option<u64>,
        #[command(flatten)]
        page: Page,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Kick {
    /// A number, or a text; the text of digits in double quotes.
    uid: String,
    /// The code that the client is told; 0 tells it nothing.
    #[arg(long, default_value_t = 0)]
    code: u32,
    /// The text with the code.
    #[arg(long, default_value = "")]
    message: String,
    /// Only the login of this epoch.
    #[arg(long)]
    epoch: Option<u64>,
    /// Lets the user log in no more for so long: 90s, 1h, 7d; at most 365d.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    block_for: Option<u64>,
    #[command(flatten)]
    change: Change,
}

/// A duration in whole seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let read = due_core::units::duration(text).map_err(|e| e.text().to_owned())?;
    match read.subsec_nanos() {
        0 if read.as_secs() > 0 => Ok(read.as_secs()),
        _ => Err("write whole seconds, one at least".to_owned()),
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Unblock {
    /// A number, or a text; the text of digits in double quotes.
    uid: String,
    #[command(flatten)]
    change: Change,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Push {
    /// A number, or a text; the text of digits in double quotes.
    uid: String,
    /// The number of the push.
    route: i32,
    /// The message, as JSON.
    #[arg(required_unless_present = "hex", conflicts_with = "hex")]
    body: Option<String>,
    /// The message, as pairs of hexadecimal digits.
    #[arg(long)]
    hex: Option<String>,
    #[command(flatten)]
    change: Change,
}

/// JSON that was typed.
pub(super) fn typed(body: Option<&str>) -> Outcome<Value> {
    let Some(text) = body else { return Ok(Value::Null) };
    serde_json::from_str(text).map_err(|e| Failure::new(format!("{text:?} is not JSON ({e}); text has quotes")))
}

impl Operator<'_> {
    pub(crate) async fn user(&self, what: User) -> Outcome {
        match what {
            User::Show { uid } => self.show(&format!("/users/{}", part(&uid))).await,
            User::List { uid_prefix, ip, gate, older_than, page } => {
                let mut query = Vec::new();
                for (key, value) in [("uid_prefix", &uid_prefix), ("ip", &ip), ("gate", &gate)] {
                    given(&mut query, key, value);
                }
                given(&mut query, "older_than_secs", &older_than);
                let columns = [
                    ("UID", "/uid"),
                    ("GATE", "/gate"),
                    ("PEER", "/peer"),
                    ("AGE_MS", "/age_ms"),
                    ("QUEUED", "/queued"),
                    ("NODES", "/nodes"),
                    ("CHANNELS", "/channels"),
                ];
                self.show_list("/sessions", &page.query(query), &columns).await
            }
        }
    }

    pub(crate) async fn kick(&self, kick: Kick) -> Outcome {
        let Kick { uid, code, message, epoch, block_for, change } = kick;
        let body = change.body([
            ("code", json!(code)),
            ("message", json!(message)),
            ("epoch", json!(epoch)),
            ("block_for", json!(block_for)),
        ]);
        self.change(Method::POST, &format!("/users/{}/kick", part(&uid)), &change.query(), Some(&body)).await
    }

    pub(crate) async fn unblock(&self, Unblock { uid, change }: Unblock) -> Outcome {
        self.change(Method::DELETE, &format!("/users/{}/block", part(&uid)), &change.ending(), None).await
    }

    pub(crate) async fn push(&self, push: Push) -> Outcome {
        let Push { uid, route, body, hex, change } = push;
        let body = change.body([("route", json!(route)), ("body", typed(body.as_deref())?), ("hex", json!(hex))]);
        self.change(Method::POST, &format!("/users/{}/push", part(&uid)), &change.query(), Some(&body)).await
    }
}
