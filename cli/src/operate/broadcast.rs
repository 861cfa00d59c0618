//! A word to many.

use std::io::{self, BufRead, IsTerminal};

use reqwest::Method;
use serde_json::{Value, json};

use super::{Change, Operator, users::typed};
use crate::{
    failure::{Failure, Outcome},
    print::complain,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Broadcast {
    /// The number of the push.
    route: i32,
    /// The message, as JSON.
    #[arg(required_unless_present = "hex", conflicts_with = "hex")]
    body: Option<String>,
    /// The message, as pairs of hexadecimal digits.
    #[arg(long)]
    hex: Option<String>,
    /// To the subscribers of this channel; without it, to everybody with a user.
    #[arg(long, conflicts_with = "everyone")]
    channel: Option<String>,
    /// Also to connections without a user.
    #[arg(long)]
    everyone: bool,
    /// Sends without asking whether so many are meant.
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    change: Change,
}

impl Operator<'_> {
    /// Counts first; sends to those who were counted.
    pub(super) async fn broadcast(&self, what: Broadcast) -> Outcome {
        let Broadcast { route, body, hex, channel, everyone, yes, change } = what;
        let to = match (&channel, everyone) {
            (Some(_), _) => "channel",
            (None, true) => "everyone",
            (None, false) => "bound",
        };
        let values = |token: Value| -> Outcome<Value> {
            Ok(change.body([
                ("to", json!(to)),
                ("channel", json!(channel)),
                ("route", json!(route)),
                ("body", typed(body.as_deref())?),
                ("hex", json!(hex)),
                ("count_token", token),
            ]))
        };
        let dry = vec![("dry_run", "1".to_owned())];
        let counted = self.api.send(Method::POST, "/broadcasts", &dry, Some(&values(Value::Null)?)).await?.body;
        if change.dry_run {
            self.say(counted);
            return Ok(());
        }
        let count = counted.get("count").and_then(Value::as_u64).unwrap_or_default();
        if !yes && !is_meant(count)? {
            return Err(Failure::new("nothing was sent"));
        }
        let token = counted.get("count_token").cloned().unwrap_or_default();
        self.change(Method::POST, "/broadcasts", &Vec::new(), Some(&values(token)?)).await
    }
}

/// Asks whoever sits at the terminal.
fn is_meant(count: u64) -> Outcome<bool> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(format!("it reaches {count} connections: say --yes if that is meant")));
    }
    complain(&format!("it reaches {count} connections; send it? [y/N]"));
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|e| Failure::new(format!("standard input: {e}")))?;
    Ok(matches!(line.trim(), "y" | "yes"))
}
