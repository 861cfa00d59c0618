use std::process::Command;

use super::{Recipe, Site, missing, nothing};
use crate::wire::http;

pub(super) const RECIPE: Recipe = Recipe {
    ports: 2,
    missing: || missing("etcd"),
    prepare: nothing,
    command,
    ready: |site| http(site.port, "/health").map(|answer| answer.contains("true")),
};

fn command(site: &Site<'_>) -> Command {
    let (clients, peers) = (url(site.port), url(site.port + 1));
    let mut etcd = site.command("etcd");
    etcd.args(["--name", "n1", "--data-dir", &site.file("data"), "--log-level", "warn"]);
    // What was written survives the death of the process; that of the machine is no test's matter, and a busy disk
    // would hold every write for as long as a lease lives.
    etcd.arg("--unsafe-no-fsync");
    etcd.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    etcd.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    etcd.args(["--initial-cluster", &format!("n1={peers}")]).args(site.args);
    etcd
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
