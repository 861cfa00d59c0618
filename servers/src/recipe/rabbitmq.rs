use std::process::Command;

use super::{Recipe, Site, missing};
use crate::{Result, wire::ask};

/// Not the one on `PATH`, which changes to a user and folders of its own.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Erlang starts epmd as a daemon that stays: one of our own is there before, and ends with the group.
const SCRIPT: &str = r#"epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" & exec "$@""#;

pub(super) const RECIPE: Recipe = Recipe {
    ports: 3,
    missing: || missing("epmd").or_else(|| missing(SERVER)),
    prepare,
    command,
    ready: |site| ask(site.port, b"AMQP\0\0\x09\x01").map(|answer| !answer.is_empty()),
};

fn prepare(site: &Site<'_>) -> Result {
    let port = site.port;
    let text = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}
vm_memory_high_watermark.absolute = 256MB
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
log.file = false
"
    );
    site.write("rabbitmq.conf", &text)?;
    site.write("enabled_plugins", "[].\n")
}

fn command(site: &Site<'_>) -> Command {
    let mut rabbit = site.command("sh");
    rabbit.args(["-c", SCRIPT, "rabbitmq", SERVER]).args(site.args);
    rabbit.env("HOME", site.folder).env("RABBITMQ_NODENAME", "test@localhost");
    for (variable, file) in [
        ("RABBITMQ_MNESIA_BASE", "mnesia"),
        ("RABBITMQ_LOG_BASE", "logs"),
        ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
        ("RABBITMQ_PID_FILE", "beam.pid"),
        ("RABBITMQ_CONF_ENV_FILE", "none"),
    ] {
        rabbit.env(variable, site.folder.join(file));
    }
    rabbit.env("RABBITMQ_DIST_PORT", (site.port + 1).to_string());
    rabbit.env("ERL_EPMD_PORT", (site.port + 2).to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    rabbit.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1");
    rabbit
}
