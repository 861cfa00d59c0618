//! Live settings.

use std::{fs, io::Read, path::PathBuf};

use clap::Subcommand;
use reqwest::{Method, header};
use serde_json::{Value, json};

use super::{Change, Operator, Page, tell_failed};
use crate::{
    api::{If, part},
    failure::{Failure, Outcome},
};

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// The keys of live settings.
    List {
        /// Keys that begin so.
        #[arg(long, default_value = "")]
        prefix: String,
        #[command(flatten)]
        page: Page,
    },
    /// A setting's value, as it is stored.
    Get { key: String },
    /// Stores a value, if instances that use the setting would put it in use.
    Set {
        key: String,
        #[command(flatten)]
        value: Given,
        /// Only if this version is stored; without it, the one that is when the command begins.
        #[arg(long, value_name = "VERSION", conflicts_with = "create")]
        if_version: Option<String>,
        /// Makes a new setting.
        #[arg(long)]
        create: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Would instances put a value in use?
    Validate {
        key: String,
        #[command(flatten)]
        value: Given,
    },
    /// What was written, by whom, when and why.
    History { key: String },
    /// What a write has changed.
    Diff {
        key: String,
        /// The number of the write, from the history.
        number: u64,
        /// The number of another write to compare with; without it, the one that took effect before.
        #[arg(long, value_name = "NUMBER")]
        from: Option<u64>,
    },
    /// What the programs that use a setting say that its values look like.
    Schema { key: String },
    /// Writes an earlier value anew.
    Rollback {
        key: String,
        /// The number of the write whose value comes back, from the history.
        #[arg(long)]
        to: u64,
        #[command(flatten)]
        change: Change,
    },
    /// Which instance uses which version, and what was wrong with the last one.
    Status { key: String },
}

/// A value, from one of two places.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Given {
    /// The value.
    value: Option<String>,
    /// A file with the value; - is standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Given {
    fn read(self) -> Outcome<String> {
        let Some(file) = self.file else { return Ok(self.value.unwrap_or_default()) };
        let mut text = String::new();
        let read = match file.as_os_str() == "-" {
            true => std::io::stdin().read_to_string(&mut text).map(drop),
            false => fs::read_to_string(&file).map(|read| text = read),
        };
        read.map_err(|e| Failure::new(format!("--file {}: {e}", file.display())))?;
        Ok(text)
    }
}

impl Operator<'_> {
    pub(super) async fn config(&self, what: Config) -> Outcome {
        let path = |key: &str| format!("/config/{}", part(key));
        match what {
            Config::List { prefix, page } => {
                let columns = [("KEY", "/key"), ("VERSION", "/version"), ("BYTES", "/bytes")];
                self.show_list("/config", &page.query(vec![("prefix", prefix)]), &columns).await
            }
            Config::Get { key } => {
                let body = self.api.get(&path(&key), &Vec::new()).await?.body;
                let value = body.get("value").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.printer.say(|| value, || body.clone());
                Ok(())
            }
            Config::Set { key, value, if_version, create, change } => {
                let seen = if create { Seen::None } else { if_version.map_or(Seen::Now, Seen::Version) };
                self.set_value(&path(&key), value.read()?, seen, &change).await
            }
            Config::Validate { key, value } => {
                let body = json!({ "value": value.read()? });
                self.change(Method::POST, &format!("{}/validate", path(&key)), &Vec::new(), Some(&body)).await
            }
            Config::History { key } => {
                let columns = [
                    ("NUMBER", "/number"),
                    ("TIME", "/time"),
                    ("VERSION", "/version"),
                    ("AUTHOR", "/author"),
                    ("VALUE", "/value"),
                ];
                self.show_list(&format!("{}/revisions", path(&key)), &Vec::new(), &columns).await
            }
            Config::Diff { key, number, from } => {
                let from = from.map_or_else(|| "previous".to_owned(), |number| number.to_string());
                let path = format!("{}/revisions/{number}", path(&key));
                let body = self.api.get(&path, &vec![("diff", from)]).await?.body;
                let text = body.pointer("/diff/text").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.printer.say(|| text, || body.clone());
                Ok(())
            }
            Config::Schema { key } => {
                let body = self.api.get(&format!("{}/schema", path(&key)), &Vec::new()).await?.body;
                tell_failed(&body);
                let schemas = body.get("items").and_then(Value::as_array).into_iter().flatten();
                let text = schemas.filter_map(|s| serde_json::to_string_pretty(s.get("schema")?).ok());
                let text = text.collect::<Vec<_>>().join("\n");
                self.printer.say(|| text, || body.clone());
                Ok(())
            }
            Config::Rollback { key, to, change } => {
                let body = change.body([("to", json!(to))]);
                self.change(Method::POST, &format!("{}/rollback", path(&key)), &change.query(), Some(&body)).await
            }
            Config::Status { key } => self.show(&format!("{}/status", path(&key))).await,
        }
    }

    async fn set_value(&self, path: &str, value: String, seen: Seen, change: &Change) -> Outcome {
        let condition: If = match seen {
            Seen::None => (header::IF_NONE_MATCH, "*".to_owned()),
            Seen::Version(version) => (header::IF_MATCH, format!("\"{version}\"")),
            Seen::Now => {
                let now = self.api.get(path, &Vec::new()).await;
                let etag = now.map_err(|e| e.at("to make a new setting, say --create"))?.etag;
                (header::IF_MATCH, etag.ok_or_else(|| Failure::new("the setting has no version"))?)
            }
        };
        let body = change.body([("value", json!(value))]);
        self.change_if(Method::PUT, path, (&change.query(), condition), &body).await
    }
}

/// What is there before a write.
enum Seen {
    None,
    Version(String),
    Now,
}
