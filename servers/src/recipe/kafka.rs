use std::{io, process::Command};

use super::{Recipe, Site, missing};
use crate::{Result, place::home, wire::ask};

pub(super) const RECIPE: Recipe = Recipe { ports: 2, missing: lacks, prepare, command, ready };

/// The name of the cluster, 16 bytes in base64: any will do.
const CLUSTER: &str = "ZHVlLXRlc3QtY2x1c3Rlcg";

fn lacks() -> Option<String> {
    let libs = home().join("kafka");
    missing("java").or_else(|| (!libs.is_dir()).then(|| format!("the folder {}", libs.display())))
}

/// One broker needs no copies, and a test no wait for other members of its group.
fn prepare(site: &Site<'_>) -> Result {
    let (port, controller) = (site.port, site.port + 1);
    let text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.partitions=3
auto.create.topics.enable=true
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=3
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
",
        data = site.file("data"),
    );
    site.write("server.properties", &text)?;
    let mut format = java(site);
    format.args(["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", CLUSTER, "-c"]);
    let done = format.arg(site.file("server.properties")).output().map_err(|e| format!("cannot start java: {e}"))?;
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stdout).into_owned()) }
}

fn command(site: &Site<'_>) -> Command {
    let mut kafka = java(site);
    kafka.args(["kafka.Kafka", &site.file("server.properties")]).args(site.args);
    kafka
}

fn java(site: &Site<'_>) -> Command {
    let mut java = site.command("java");
    java.args(["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
    java.arg(home().join("kafka").join("*"));
    java
}

/// A question for the brokers: ready is one that names itself. An answer is length, number of the question, throttle
/// time, and the count of brokers.
fn ready(site: &Site<'_>) -> io::Result<bool> {
    const METADATA_V4: &[u8] = b"\0\0\0\x0f\0\x03\0\x04\0\0\0\x01\xff\xff\0\0\0\0\0";
    let answer = ask(site.port, METADATA_V4)?;
    Ok(answer.get(12..16).is_some_and(|brokers| brokers != [0; 4]))
}
