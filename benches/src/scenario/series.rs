//! S1 and S2: echoes of one process, one frame in flight on each connection or 32. S13: the same on WebSocket, against tcp.

use crate::{
    Fallible,
    load::Shape,
    peers::Against,
    report::Target,
    stage::{Common, PaceArgs, Stage},
    subject::Subject,
};

/// More connections than these are many.
pub(crate) const MANY: usize = 500;

/// Of `s1`, `s2`, `s3` and `s13`.
#[derive(clap::Args)]
pub(crate) struct SeriesArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// Numbers of connections.
    #[arg(long, value_delimiter = ',', default_values_t = [50, 1000])]
    pub(crate) connections: Vec<usize>,
    /// Bytes of a body.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 1024])]
    pub(crate) bodies: Vec<usize>,
}

impl SeriesArgs {
    /// Every combination; a ping-pong has nothing to coalesce.
    pub(crate) fn shapes(&self, window: usize) -> Vec<Shape> {
        let clients: &[bool] = if window == 1 { &[true] } else { &[true, false] };
        let mut shapes = Vec::new();
        for &coalescing in clients {
            for &body in &self.bodies {
                let one = |&connections: &usize| {
                    // With many connections half as much on each is plenty in flight.
                    let window = if connections > MANY { window.div_ceil(2) } else { window };
                    Shape { coalescing, ..Shape::plain(connections, window, body) }
                };
                shapes.extend(self.connections.iter().map(one));
            }
        }
        shapes
    }
}

/// S1 and S2.
pub(crate) fn run(name: &str, args: &SeriesArgs, window: usize) -> Fallible<bool> {
    let mut stage = Stage::open(name, &args.common, Some(args.pace.pace()))?;
    let mut subjects = Vec::new();
    if args.common.has(Against::Epoll) {
        subjects.push(Subject::reference()?);
    }
    subjects.push(Subject::ours("ours")?);
    subjects.extend(args.common.due()?.map(|program| Subject::due_echo(&program)));
    // More in flight than fits nano's queue of 16 is dropped there, and the clients of both wait for each answer.
    if window == 1 {
        subjects.extend(args.common.nano()?.map(|program| Subject::nano(&program, false)));
        subjects.extend(args.common.pitaya()?.map(|program| Subject::pitaya(&program)));
    }
    subjects.extend(args.common.others());
    let all = stage.start(subjects)?;
    for shape in args.shapes(window) {
        let mut title = shape.title("");
        title.targets = targets(shape);
        stage.closed_loop(&all, shape, title)?;
    }
    stage.close()
}

/// S13.
pub(crate) fn run_ws(args: &SeriesArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s13", &args.common, Some(args.pace.pace()))?;
    let all = stage.start([Subject::ours("tcp")?, Subject::ws("ws")?])?;
    for (window, most) in [(1, 1.15), (32, 1.4)] {
        for shape in args.shapes(window).into_iter().filter(|shape| shape.coalescing) {
            let mut title = shape.title("ws and tcp, ");
            title.targets.push(Target::of("ws", "tcp").cpu(most));
            stage.closed_loop(&all, shape, title)?;
        }
    }
    stage.close()
}

/// What should be reached under this load.
fn targets(shape: Shape) -> Vec<Target> {
    let (epoll, due) = (budget(shape, Target::of("ours", "epoll")), Target::of("ours", "due"));
    match shape {
        Shape { window: 1, connections: ..=100, .. } => {
            let (nano, pitaya) = (Target::of("ours", "nano").cpu(0.4), Target::of("ours", "pitaya").cpu(0.2));
            vec![epoll.throughput(0.93).cpu(1.08), due.throughput(1.7).cpu(0.60), nano, pitaya]
        }
        Shape { window: 1, .. } => vec![epoll.throughput(0.93).p99(1.2), due.throughput(1.9).p99(0.6)],
        Shape { coalescing: true, .. } => vec![epoll.throughput(0.85), due.throughput(25.0)],
        // The generator, not the server, is the limit here; the server's time still tells.
        Shape { coalescing: false, .. } => {
            vec![epoll.throughput(0.97).cpu(1.1), due.throughput(1.5).cpu(0.6)]
        }
    }
}

/// What a message may take, whatever the machine.
fn budget(shape: Shape, target: Target) -> Target {
    match shape {
        Shape { window: 1, body: ..=128, .. } => target.calls(2.05).instructions(1700.0),
        Shape { window: 1, .. } => target.calls(2.05),
        Shape { window: 32, body: ..=128, coalescing: true, .. } => target.calls(0.08).instructions(300.0),
        Shape { window: 32, coalescing: true, .. } => target.calls(0.08),
        _ => target,
    }
}
