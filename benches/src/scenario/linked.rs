//! S3: gate, node and back. Handlers on a node in the same process, over links in memory, and between two processes over
//! each transport; a gate and a node of epoll alone; due's gate and node.

use super::series::SeriesArgs;
use crate::{Fallible, load::Shape, peers::Against, report::Target, stage::Stage, subject::Subject};

/// S3.
pub(crate) fn run(args: &SeriesArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s3", &args.common, Some(args.pace.pace()))?;
    let mut subjects = Vec::new();
    if args.common.has(Against::Epoll) {
        subjects.push(Subject::gateway()?);
    }
    subjects.push(Subject::memory()?);
    for scheme in ["link", "grpc", "tarpc"] {
        subjects.push(Subject::split(scheme, scheme, "")?);
    }
    subjects.extend(args.common.due()?.map(|program| Subject::due(&program, "")));
    if args.common.has(Against::Pitaya) {
        crate::say("pitaya is left out of s3: its forwarded requests need etcd and NATS beside it")?;
    }
    subjects.extend(args.common.others());
    subjects.extend(args.common.nano()?.map(|program| Subject::nano(&program, true)));
    let mut all = stage.start(subjects)?;
    let pipelined = args.shapes(32).into_iter().filter(|shape| shape.coalescing);
    for shape in args.shapes(1).into_iter().chain(pipelined) {
        // More in flight than fits nano's queue of 16 is dropped there.
        if shape.window > 1 {
            all.retain(|one| one.subject.name != "nano");
        }
        let mut title = shape.title("gate and node, ");
        title.targets = targets(shape);
        stage.closed_loop(&all, shape, title)?;
    }
    stage.close()
}

fn targets(shape: Shape) -> Vec<Target> {
    let (epoll, due) = (Target::of("link", "epoll"), Target::of("link", "due"));
    match shape {
        Shape { window: 1, connections: 1000.., .. } => vec![epoll.throughput(0.85), due.throughput(3.0).cpu(0.22)],
        Shape { window: 1, .. } => vec![Target::of("link", "nano").cpu(1.0 / 15.0)],
        Shape { body: ..=256, .. } => vec![epoll.throughput(0.80), due.throughput(35.0)],
        _ => vec![epoll.throughput(0.80), due.throughput(18.0)],
    }
}
