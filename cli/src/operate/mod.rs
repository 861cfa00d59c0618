//! What operators do: each command is one or two requests to a master.

mod approvals;
mod audit;
mod broadcast;
mod config;
mod drain;
mod events;
mod fleet;
mod roles;
mod tokens;
mod users;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    api::{Api, If, Query},
    failure::{Failure, Outcome},
    print::{Printer, complain},
    table::{Column, list, table},
};

use approvals::Approvals;
use audit::Audit;
use broadcast::Broadcast;
use config::Config;
use drain::Drain;
use events::Events;
use fleet::{Node, Route};
use roles::Role;
use tokens::Token;
use users::{Kick, Push, Unblock, User};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// All instances, and sums over the fleet.
    Ps,
    /// Instances: gates, nodes, meshes, masters.
    #[command(subcommand)]
    Node(Node),
    /// Users and their sessions.
    #[command(subcommand)]
    User(User),
    /// Routes and services.
    #[command(subcommand)]
    Route(Route),
    /// Ends the session of a user, and with --block-for keeps him out for a while.
    Kick(Kick),
    /// Lets a user log in again who is blocked.
    Unblock(Unblock),
    /// Sends a message to a user.
    Push(Push),
    /// Sends a message to many.
    Broadcast(Broadcast),
    /// Live settings.
    #[command(subcommand)]
    Config(Config),
    /// Empties an instance before it stops.
    #[command(subcommand)]
    Drain(Drain),
    /// Tokens of the master's API.
    #[command(subcommand)]
    Token(Token),
    /// What roles may.
    #[command(subcommand)]
    Role(Role),
    /// What waits for a second person: shown, approved, rejected.
    Approvals(Approvals),
    /// What was done, by whom, why.
    Audit(Audit),
    /// What has happened in the fleet; with --follow what happens.
    Events(Events),
}

/// What every change is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Change {
    /// Why; it stands in the audit log.
    #[arg(long, short)]
    reason: String,
    /// Changes nothing, and says what would happen.
    #[arg(long)]
    dry_run: bool,
}

impl Change {
    fn query(&self) -> Query {
        if self.dry_run { vec![("dry_run", "1".to_owned())] } else { Vec::new() }
    }

    /// The body of a change: the reason, and those of the values that are there.
    fn body<const N: usize>(&self, values: [(&str, Value); N]) -> Value {
        let given = values.into_iter().filter(|(_, value)| !value.is_null());
        let all = given.map(|(name, value)| (name.to_owned(), value));
        Value::Object(all.chain([("reason".to_owned(), json!(self.reason))]).collect::<Map<_, _>>())
    }

    /// The query of an end, which has no body.
    fn ending(&self) -> Query {
        let mut query = self.query();
        query.push(("reason", self.reason.clone()));
        query
    }
}

/// How long a list may be.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Page {
    /// At most so many: 1 to 1000.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Where the page before ended.
    #[arg(long)]
    cursor: Option<String>,
}

impl Page {
    fn query(&self, mut query: Query) -> Query {
        query.push(("limit", self.limit.to_string()));
        crate::api::given(&mut query, "cursor", &self.cursor);
        query
    }
}

/// A master, and where its answers are shown.
pub(crate) struct Operator<'a> {
    pub(crate) api: Api,
    pub(crate) printer: &'a Printer,
}

impl Operator<'_> {
    pub(crate) async fn run(&self, command: Command) -> Outcome {
        match command {
            Command::Ps => self.ps().await,
            Command::Node(what) => self.node(what).await,
            Command::User(what) => self.user(what).await,
            Command::Route(what) => self.route(what).await,
            Command::Kick(kick) => self.kick(kick).await,
            Command::Unblock(unblock) => self.unblock(unblock).await,
            Command::Push(push) => self.push(push).await,
            Command::Broadcast(what) => self.broadcast(what).await,
            Command::Config(what) => self.config(what).await,
            Command::Drain(what) => self.drain(what).await,
            Command::Token(what) => self.token(what).await,
            Command::Role(what) => self.role(what).await,
            Command::Approvals(what) => self.approvals(what).await,
            Command::Audit(what) => self.audit(what).await,
            Command::Events(what) => self.events(what).await,
        }
    }

    /// Shows the items of an answer.
    async fn show_list(&self, path: &str, query: &Query, columns: &[Column]) -> Outcome {
        let body = self.api.get(path, query).await?.body;
        let items = body.get("items").or(Some(&body)).and_then(Value::as_array);
        let items = items.ok_or_else(|| Failure::new(format!("{path}: the master answered no list")))?;
        self.printer.say(|| table(items, columns), || body.clone());
        if let Some(next) = body.get("next").filter(|next| !next.is_null()) {
            let next = next.as_str().map_or_else(|| next.to_string(), str::to_owned);
            complain(&format!("there are more: --cursor {next}"));
        }
        tell_failed(&body);
        Ok(())
    }

    /// Shows all of an answer.
    async fn show(&self, path: &str) -> Outcome {
        let body = self.api.get(path, &Vec::new()).await?.body;
        self.say(body);
        Ok(())
    }

    /// Makes a change and shows what came of it.
    async fn change(&self, method: Method, path: &str, query: &Query, body: Option<&Value>) -> Outcome {
        let body = self.api.send(method, path, query, body).await?.body;
        tell_pending(&body);
        self.say(body);
        Ok(())
    }

    /// The same, unless what is changed is not as it was seen any more.
    async fn change_if(&self, method: Method, path: &str, how: (&Query, If), body: &Value) -> Outcome {
        let body = self.api.send_if(method, path, how, body).await?.body;
        tell_pending(&body);
        self.say(body);
        Ok(())
    }

    fn say(&self, body: Value) {
        tell_failed(&body);
        self.printer.say(|| if body.is_null() { "done".to_owned() } else { list(&body) }, || body.clone());
    }
}

/// Nothing is done yet where a master wants two persons.
fn tell_pending(body: &Value) {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if let (Some("pending"), Some(id), Some(_)) = (text("state"), text("id"), body.get("expires_at")) {
        complain(&format!("nothing is done yet: a second person has to say `due approvals approve {id} --reason ..`"));
    }
}

/// Who has not answered: the rest is shown all the same.
fn tell_failed(body: &Value) {
    for failed in body.get("failed").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| failed.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
        complain(&format!("{} has not answered: {}", text("node"), text("error")));
    }
}

impl Operator<'_> {
    /// Instances and sums over the fleet.
    pub(crate) async fn ps(&self) -> Outcome {
        let nodes = self.api.get("/nodes", &vec![("limit", "1000".to_owned())]).await?.body;
        let cluster = self.api.get("/cluster", &Vec::new()).await?.body;
        tell_failed(&cluster);
        for warning in cluster.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            complain(&warning.as_str().unwrap_or_default());
        }
        let number = |name: &str| cluster.get(name).and_then(Value::as_u64).unwrap_or_default();
        let items = nodes.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        self.printer.say(
            || {
                let sums = [
                    ("connections", number("connections")),
                    ("users", number("users")),
                    ("messages", number("messages")),
                ];
                let sums = sums.map(|(name, n)| format!("{n} {name}")).join(", ");
                format!("{}\n{sums}", table(&items, &fleet::NODES))
            },
            || json!({ "nodes": items, "cluster": cluster }),
        );
        Ok(())
    }
}
