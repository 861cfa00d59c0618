//! `due client`: a client of any server, by hand or by script.

mod body;
mod input;
mod line;
mod routes;
mod talk;

use std::{path::PathBuf, time::Duration};

use due_core::units;
use due_sdk::Client;
use serde_json::Value;

use crate::{
    failure::{Failure, Outcome},
    print::Printer,
};
use body::Form;
use routes::Routes;
use talk::Talk;

/// What `due client` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = concat!("Lines of a script, or of the terminal:\n", "  call ROUTE [BODY] | notify ROUTE [BODY] | wait ROUTE [10s] | expect BODY | sleep 500ms | routes | help | quit\n\n",
    "A script, and input that is no terminal, ends at the first line that fails, with 1."))]
pub(crate) struct Args {
    /// Where the server listens: tcp://, ws:// or kcp://host:port, with the keys of the listener's format, such as
    /// tcp://127.0.0.1:3553?route-bytes=4.
    url: String,
    /// Runs the lines of this file, then leaves.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// What a route is called; as often as there are routes.
    #[arg(long = "route", value_name = "NAME=NUMBER")]
    routes: Vec<String>,
    /// Names of routes: {"echo": 1}, or what the master's /api/v1/routes answers.
    #[arg(long = "routes", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What bodies are.
    #[arg(long, value_enum, default_value_t)]
    bodies: Form,
    /// What the hello carries for the application, such as a login token, as JSON.
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
    /// Speaks the old format of due v2, in which servers report no errors.
    #[arg(long)]
    old: bool,
    /// How long a call waits for its answer.
    #[arg(long, default_value = "5s", value_parser = duration)]
    timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    units::duration(text).map_err(|e| e.to_string())
}

/// Connects, and does what the lines say until they end, the connection ends, or Ctrl-C.
pub(crate) async fn run(args: Args, printer: &Printer) -> Outcome {
    let mut routes = Routes::default();
    args.files.iter().try_for_each(|file| routes.add_file(file))?;
    args.routes.iter().try_for_each(|text| routes.add_text(text))?;
    let lines = input::lines(args.script.as_deref())?;
    let client = Client::builder(&args.url).timeout(args.timeout).payload(payload(args.payload.as_deref())?);
    let client = if args.old { client.hello(false) } else { client };
    let client = client.build()?;
    let talk = Talk::new(&client, (&routes, args.bodies), printer);
    client.open().await?;
    let done = talk.run(lines).await;
    client.close().await;
    done
}

fn payload(text: Option<&str>) -> Outcome<Value> {
    let Some(text) = text else { return Ok(Value::Null) };
    serde_json::from_str(text).map_err(|e| Failure::new(format!("--payload {text:?} is not JSON: {e}")))
}
