use std::process::Command;

use super::{Recipe, Site, missing, nothing};
use crate::wire::http;

pub(super) const RECIPE: Recipe = Recipe {
    ports: 2,
    missing: || missing("nats-server"),
    prepare: nothing,
    command,
    ready: |site| http(site.port + 1, "/healthz").map(|_| true),
};

fn command(site: &Site<'_>) -> Command {
    let mut nats = site.command("nats-server");
    nats.args(["-a", "127.0.0.1", "-p", &site.port.to_string(), "-m", &(site.port + 1).to_string()]);
    nats.args(["-js", "-sd", &site.file("data")]).args(site.args);
    nats
}
