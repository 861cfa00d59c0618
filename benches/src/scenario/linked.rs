//! S3: gate, node and back. Handlers on a node in the same process, over links in memory, and between two processes over
//! each transport; a gate and a node of epoll alone; due's gate and node.

use super::series::SeriesArgs;
use due_servers::{Program, Running, Start};

use crate::{
    Fallible,
    load::Shape,
    peers::Against,
    report::Target,
    stage::{Common, Stage},
    subject::Subject,
};

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
    subjects.extend(args.common.others());
    subjects.extend(args.common.nano()?.map(|program| Subject::nano(&program, true)));
    let mut all = stage.start(subjects)?;
    let beside = Beside::start(&args.common)?;
    if let Some((program, beside)) = args.common.pitaya()?.zip(beside.as_ref()) {
        let subject = Subject::pitaya_split(&program, &beside.etcd.address(), &beside.nats.address());
        let one = stage.start_one(subject)?;
        // Its messages go through NATS: that is no foreign load, and none of pitaya's time either.
        beside.nats.process().into_iter().for_each(|nats| one.server.helped_by(nats.pid));
        all.push(one);
    }
    let pipelined = args.shapes(32).into_iter().filter(|shape| shape.coalescing);
    for shape in args.shapes(1).into_iter().chain(pipelined) {
        // More in flight than fits nano's queue of 16 is dropped there, and the clients of both wait for each answer.
        if shape.window > 1 {
            all.retain(|one| !["nano", "pitaya"].contains(&one.subject.name.as_str()));
        }
        let mut title = shape.title("gate and node, ");
        title.targets = targets(shape);
        stage.closed_loop(&all, shape, title)?;
    }
    stage.close()
}

/// What pitaya's servers need beside them.
struct Beside {
    etcd: Running,
    nats: Running,
}

impl Beside {
    /// `None`, and a line, where they are not installed; nothing where pitaya is not wanted.
    fn start(common: &Common) -> Fallible<Option<Self>> {
        if !common.has(Against::Pitaya) {
            return Ok(None);
        }
        for program in [Program::Etcd, Program::Nats] {
            if let Err(why) = program.installed() {
                crate::say(&format!("pitaya is left out of s3, its forwarded requests need {program}: {why}"))?;
                return Ok(None);
            }
        }
        let [etcd, nats] = [Program::Etcd, Program::Nats].map(|program| Start::new(program).run());
        Ok(Some(Self { etcd: etcd?, nats: nats? }))
    }
}

fn targets(shape: Shape) -> Vec<Target> {
    let (epoll, due) = (Target::of("link", "epoll"), Target::of("link", "due"));
    match shape {
        Shape { window: 1, connections: 1000.., .. } => vec![epoll.throughput(0.85), due.throughput(3.0).cpu(0.22)],
        Shape { window: 1, .. } => {
            vec![Target::of("link", "nano").cpu(1.0 / 15.0), Target::of("link", "pitaya").cpu(1.0 / 15.0)]
        }
        Shape { body: ..=256, .. } => vec![epoll.throughput(0.80), due.throughput(35.0)],
        _ => vec![epoll.throughput(0.80), due.throughput(18.0)],
    }
}
