//! From the command line to the end of the program.

use std::time::Duration;

use clap::Parser;
use due::{
    Error, Kind, Result, Url,
    log::Setup,
    prelude::{App, Running},
};

use super::{
    options::{Addresses, Command, Options},
    terminal,
};

/// Clients have this long to take what is queued for them when the program stops.
const STOP: Duration = Duration::from_secs(5);

/// Opens the room that `app` describes, or joins one from this terminal: as the command line says.
#[tokio::main]
pub(crate) async fn run(app: fn(&Addresses) -> App) -> Result<()> {
    let options = Options::parse();
    match options.command {
        Some(Command::Client(client)) => terminal::run(&client).await,
        None => serve(app, &options.addresses).await,
    }
}

async fn serve(app: fn(&Addresses) -> App, at: &Addresses) -> Result<()> {
    let _log = Setup::new().levels("warn".parse()?).url("stderr://")?.start()?;
    let running = open(app, at).await?;
    let keys = at.keys.as_ref().map_or_else(String::new, |keys| format!(" --keys {}", keys.folder));
    show(address(&running, "http")?, address(&running, "gate:tcp")?, &keys);
    show_master(address(&running, "master")?, at.token.get());
    due::app::signal().await?;
    running.stop(STOP).await
}

/// Starts the room; when this returns it can be reached.
pub(super) async fn open(app: fn(&Addresses) -> App, at: &Addresses) -> Result<Running> {
    at.check()?;
    let running = app(at).start().await?;
    let keys = at.keys.as_ref().map_or("", |keys| keys.page.as_str());
    at.page.fill(address(&running, "gate:ws")?, address(&running, "gate:tcp")?, keys);
    Ok(running)
}

fn address<'a>(running: &'a Running, part: &str) -> Result<&'a Url> {
    running.url(part).ok_or_else(|| Error::new(Kind::Internal, format!("{part} listens nowhere")))
}

#[expect(clippy::print_stdout, reason = "this is what the program has to say")]
fn show(page: &Url, tcp: &Url, keys: &str) {
    println!("The room is open. Open it in a browser, in two tabs to talk to yourself:\n");
    println!("    {page}\n");
    println!("Or join it from another terminal:\n");
    println!("    cargo run -p chat -- client {tcp} --name ann{keys}\n");
}

#[expect(clippy::print_stdout, reason = "this is what the program has to say, the token this once")]
fn show_master(api: &Url, token: Option<&String>) {
    let Some(token) = token else { return };
    println!("Look at it as an operator would:\n");
    println!("    curl -H 'Authorization: Bearer {token}' {api}/api/v1/cluster\n");
}
