use std::process::Command;

use super::{Recipe, Site, missing, nothing};
use crate::wire::ask;

pub(super) const RECIPE: Recipe = Recipe {
    ports: 1,
    missing: || missing("redis-server"),
    prepare: nothing,
    command,
    // One that wants a password is ready; one that loads its data is not.
    ready: |site| ask(site.port, b"PING\r\n").map(|a| a.starts_with(b"+PONG") || a.starts_with(b"-NOAUTH")),
};

/// Each write is in the file before its answer is sent, so a killed server has it; a power cut is not played here.
fn command(site: &Site<'_>) -> Command {
    let mut redis = site.command("redis-server");
    redis.args(["--bind", "127.0.0.1", "--port", &site.port.to_string(), "--dir", &site.file("")]);
    redis.args(["--save", "", "--appendonly", "yes", "--appendfsync", "no", "--repl-diskless-sync-delay", "0"]);
    redis.args(site.args);
    redis
}
