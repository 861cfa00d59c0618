//! S4: due's published benchmark, literally: its frames, its JSON, its client; and our generator in the style of that
//! client, one write for each frame. Nothing is pinned unless asked for.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use super::series::MANY;
use crate::{
    Fallible,
    contest::{Begin, Title},
    histogram::Histogram,
    load::{Drive, Outcome, Shape},
    peers,
    report::Target,
    server::Server,
    stage::{Common, Contestant, PaceArgs, Stage},
    subject::Subject,
};

/// Frames in flight on each connection of our generator; fewer with many connections, so that as much is in flight.
const WINDOW: usize = 32;

/// Of `s4`.
#[derive(clap::Args)]
pub(crate) struct PublishedArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 1000])]
    connections: Vec<usize>,
    /// Letters in a message.
    #[arg(long, value_delimiter = ',', default_values_t = [1024])]
    bodies: Vec<usize>,
    /// Messages of a run of due's client; published figures have 1,000,000. A tenth of it comes before, as warm-up.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    messages: u64,
    /// Leave due's client, which is built with go, out.
    #[arg(long)]
    no_go: bool,
}

/// S4.
pub(crate) fn run(args: &PublishedArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s4", &args.common, Some(args.pace.pace()))?.unpinned();
    let due = args.common.due()?;
    let client = if args.no_go { None } else { Some(due.clone().map_or_else(|| peers::build("due"), Ok)?) };
    let literal = "--json --wide";
    let mut subjects =
        vec![Subject::memory()?.with(literal).literal(), Subject::split("link", "link", literal)?.literal()];
    subjects.extend(due.map(|program| Subject::due(&program, literal).literal()));
    let all = stage.start(subjects)?;
    for &body in &args.bodies {
        for &connections in &args.connections {
            let window = if connections > MANY { WINDOW / 2 } else { WINDOW };
            let shape = Shape { coalescing: false, ..Shape::plain(connections, window, body) };
            let mut title = shape.title("gate and node, JSON decoded and encoded, ");
            title.targets = targets(connections);
            stage.closed_loop(&all, shape, title)?;
            let Some(client) = &client else { continue };
            with_go(&mut stage, &all, client, shape, args.messages)?;
        }
    }
    stage.close()
}

fn targets(connections: usize) -> Vec<Target> {
    let due = Target::of("link", "due");
    vec![if connections >= 1000 { due.throughput(3.0).cpu(0.20) } else { due.throughput(3.5).cpu(0.20) }]
}

/// due's own client.
fn with_go(stage: &mut Stage<'_>, all: &[Contestant], client: &Path, shape: Shape, messages: u64) -> Fallible<()> {
    let Shape { connections, body, .. } = shape;
    let begin =
        || -> Begin<'_> { Box::new(move |server| Ok(Box::new(GoClient::start(client, server, shape, messages)?))) };
    let entries: Vec<_> = all.iter().map(|one| one.entry(begin())).collect();
    let title = Title {
        text: format!(
            "gate and node, due's client, {connections} connections, {body} letters of JSON, {messages} messages"
        ),
        load: serde_json::json!({ "client": "due", "connections": connections, "body": body, "messages": messages }),
        unit: "msg",
        targets: Vec::new(),
    };
    stage.case(&entries, title)
}

/// due's client as a process that does what it is told: a number of messages on its standard input.
struct GoClient {
    child: Child,
    said: BufReader<ChildStdout>,
    messages: u64,
    warm: bool,
}

impl GoClient {
    fn start(program: &Path, server: &Server, shape: Shape, messages: u64) -> Fallible<Self> {
        let mut child = Command::new(program)
            .args(["client", "--json", "--wide", "--tcp", &server.address.to_string()])
            .args(["--connections", &shape.connections.to_string(), "--size", &shape.body.to_string()])
            .env("DUE_ETC", program.with_file_name(peers::SETTINGS))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        server.helped_by(child.id());
        let said = BufReader::new(child.stdout.take().ok_or("standard output is not a pipe")?);
        let mut client = Self { child, said, messages, warm: false };
        client.hear("ready")?;
        Ok(client)
    }

    /// The rest of the line that begins with `word`.
    fn hear(&mut self, word: &str) -> Fallible<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.said.read_line(&mut line)? == 0 {
                return Err("due's client ended: a reply was lost or the server refused it".into());
            }
            if let Some(rest) = line.trim().strip_prefix(word) {
                return Ok(rest.trim().into());
            }
        }
    }
}

impl Drive for GoClient {
    /// Messages, not time, bound its runs.
    fn drive(&mut self, _: Duration) -> Fallible<Outcome> {
        let messages = if std::mem::replace(&mut self.warm, true) { self.messages } else { self.messages / 10 };
        writeln!(self.child.stdin.as_mut().ok_or("standard input is not a pipe")?, "{messages}")?;
        let answer = self.hear("done")?;
        let nanos = answer.split_whitespace().nth(1).and_then(|nanos| nanos.parse().ok());
        let elapsed = Duration::from_nanos(nanos.ok_or_else(|| format!("due's client said `{answer}`"))?);
        Ok(Outcome { elapsed, latency: Histogram::unmeasured(messages) })
    }
}

impl Drop for GoClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
