use std::process::Command;

use super::{Recipe, Site, missing};
use crate::{Result, wire::http};

pub(super) const RECIPE: Recipe = Recipe {
    ports: 4,
    missing: || missing("consul"),
    prepare,
    command,
    ready: |site| {
        let leader = http(site.port, "/v1/status/leader")?;
        let nodes = http(site.port, "/v1/catalog/nodes")?;
        Ok(leader.contains("\"127.") && nodes.contains("\"n1\""))
    },
};

/// Not `-dev`, which keeps its data in memory. Without `disable_update_check` it calls out.
fn prepare(site: &Site<'_>) -> Result {
    let [http, server, lan, wan] = [0, 1, 2, 3].map(|n| site.port + n);
    let text = format!(
        r#"node_name = "n1"
data_dir = "{data}"
server = true
bootstrap_expect = 1
bind_addr = "127.0.0.1"
client_addr = "127.0.0.1"
ports {{ http = {http} server = {server} serf_lan = {lan} serf_wan = {wan} grpc = -1 grpc_tls = -1 dns = -1 }}
performance {{ raft_multiplier = 1 }}
disable_update_check = true
log_level = "warn"
"#,
        data = site.file("data"),
    );
    site.write("consul.hcl", &text)
}

fn command(site: &Site<'_>) -> Command {
    let mut consul = site.command("consul");
    consul.args(["agent", "-config-file", &site.file("consul.hcl")]).args(site.args);
    consul
}
