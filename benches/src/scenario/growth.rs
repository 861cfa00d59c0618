//! What a message costs as a server grows: with connections, with shards, with nodes. A flat curve is linear growth.

use std::{fs, path::PathBuf};

use crate::{
    Fallible,
    load::{MAX_CONNECTIONS, Shape},
    peers::Against,
    plot::{Curve, Panel, svg},
    report::{Figure, Spread},
    stage::{Common, Contestant, PaceArgs, Stage},
    subject::Subject,
};

/// Connections while shards and nodes grow.
const CONNECTIONS: usize = 1000;
/// Time for a message with most connections, as a multiple of that with fewest.
const MOST: f64 = 1.3;

/// Of `growth`.
#[derive(clap::Args)]
pub(crate) struct GrowthArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Numbers of connections, at most 10,000 each.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 200, 1000, 5000, MAX_CONNECTIONS])]
    connections: Vec<usize>,
    /// Numbers of shards of one gate.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2], value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: Vec<u16>,
    /// Numbers of node processes behind one gate.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8], value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: Vec<u16>,
    /// Bytes of a body.
    #[arg(long, default_value_t = 128)]
    body: usize,
    /// Draw the curves into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs all three.
pub(crate) fn run(args: &GrowthArgs) -> Fallible<bool> {
    let mut stage = Stage::open("growth", &args.common, Some(args.pace.pace()))?;
    let panels = [with_connections(args, &mut stage)?, with_shards(args, &mut stage)?, with_nodes(args, &mut stage)?];
    if let Some(path) = &args.svg {
        let text = svg(&panels, "ns on a core for each message");
        fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    stage.close()
}

/// A ping-pong of more and more connections: all servers at each step.
fn with_connections(args: &GrowthArgs, stage: &mut Stage<'_>) -> Fallible<Panel> {
    let mut subjects = Vec::new();
    if args.common.has(Against::Epoll) {
        subjects.push(Subject::reference()?);
    }
    subjects.extend([Subject::ours("gate")?, Subject::split("gate + node", "link", "")?]);
    let all = stage.start(subjects)?;
    let named = |one: &Contestant| Curve { name: one.subject.name.clone(), values: Vec::new() };
    let mut curves: Vec<Curve> = all.iter().map(named).collect();
    for &connections in &args.connections {
        let shape = Shape::plain(connections, 1, args.body);
        let times = times(stage, &all, shape, "")?;
        curves.iter_mut().zip(times).for_each(|(curve, time)| curve.values.push(time));
    }
    for curve in &curves {
        stage.figure(grown(curve, &args.connections))?;
    }
    Ok(Panel { title: "connections, ping-pong".into(), steps: texts(&args.connections), curves })
}

/// The last step against the first; only ours has a target.
fn grown(curve: &Curve, steps: &[usize]) -> Figure {
    let (first, last) = (curve.values.first(), curve.values.last());
    let ratio = first.zip(last).map(|(first, last)| last.median / first.median.max(f64::MIN_POSITIVE));
    let ends = [steps.first(), steps.last()].map(|step| step.copied().unwrap_or_default());
    let name = format!("{}: time with {} connections / with {}", curve.name, ends[1], ends[0]);
    let figure = Figure::new(name, "", Spread::of(ratio));
    if curve.name == "gate" { figure.at_most(MOST) } else { figure }
}

/// One gate on more and more shards: all of them in each repetition.
fn with_shards(args: &GrowthArgs, stage: &mut Stage<'_>) -> Fallible<Panel> {
    let subject = |n: &u16| Ok(Subject::ours(&counted(*n, "shard"))?.with(&format!("--shards {n}")));
    let all = stage.start(args.shards.iter().map(subject).collect::<Fallible<Vec<_>>>()?)?;
    let shape = Shape::plain(CONNECTIONS, 1, args.body);
    let values = times(stage, &all, shape, "one gate, more shards; ")?;
    let curves = vec![Curve { name: "gate".into(), values }];
    Ok(Panel { title: format!("shards, {CONNECTIONS} connections"), steps: texts(&args.shards), curves })
}

/// One gate and more and more nodes, each a process: all of them in each repetition.
fn with_nodes(args: &GrowthArgs, stage: &mut Stage<'_>) -> Fallible<Panel> {
    let subject = |n: &u16| Subject::nodes(&counted(*n, "node"), usize::from(*n));
    let all = stage.start(args.nodes.iter().map(subject).collect::<Fallible<Vec<_>>>()?)?;
    let mut curves = Vec::new();
    for (window, name) in [(1, "ping-pong"), (16, "16 in flight")] {
        let shape = Shape::plain(CONNECTIONS, window, args.body);
        let values = times(stage, &all, shape, "one gate, more nodes; ")?;
        curves.push(Curve { name: name.into(), values });
    }
    Ok(Panel { title: format!("node processes, {CONNECTIONS} connections"), steps: texts(&args.nodes), curves })
}

/// Runs a case, and gives the time of each server for a message.
fn times(stage: &mut Stage<'_>, all: &[Contestant], shape: Shape, more: &str) -> Fallible<Vec<Spread>> {
    let title = shape.title(more);
    stage.closed_loop(all, shape, title)?;
    let series = stage.last_case().map(|case| case.series.as_slice()).unwrap_or_default();
    Ok(series.iter().map(|one| Spread::of(one.runs.iter().map(|run| run.server_ns))).collect())
}

fn counted(n: u16, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn texts<T: ToString>(steps: &[T]) -> Vec<String> {
    steps.iter().map(T::to_string).collect()
}
