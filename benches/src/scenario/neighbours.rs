//! S7, the other half: what clients notice of one that calls a blocking handler, of one that does not read, and of one that
//! floods.

use crate::{
    Fallible,
    contest::{Begin, Title},
    disturb::{Beside, Manner},
    load::Shape,
    open::OpenLoad,
    report::Target,
    stage::{Common, PaceArgs, Stage},
    subject::Subject,
};

/// Frames in flight on one connection before it is late.
const WINDOW: usize = 64;
/// Most that the others' 99th percentile may grow.
const MOST: f64 = 1.2;

/// Of `neighbours`.
#[derive(clap::Args)]
pub(crate) struct NeighbourArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Connections of those who behave.
    #[arg(long, default_value_t = 1000)]
    connections: usize,
    /// Messages a second of all of them together, by the clock.
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// Bytes of a body.
    #[arg(long, default_value_t = 128)]
    body: usize,
    /// Connections that call a blocking handler, and as many that do not read.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=500))]
    disturbers: u16,
    /// Requests of 16 KiB a second of each of those that do not read; 0: as fast as the server takes them. Until all that lies
    /// between is full they are a flood too then, and the load generator needs a core of its own to be fair.
    #[arg(long, default_value_t = 200.0)]
    slow: f64,
    /// Frames a second of the one that floods; 0: as many as the server takes, and then the load generator needs a core of
    /// its own to be fair.
    #[arg(long, default_value_t = 500_000.0)]
    flood: f64,
}

/// Runs all four in turns.
pub(crate) fn run(args: &NeighbourArgs) -> Fallible<bool> {
    let mut stage = Stage::open("neighbours", &args.common, Some(args.pace.pace()))?;
    let flood = Manner::Flooding(Some(args.flood).filter(|rate| *rate > 0.0));
    let slow = Manner::Slow(Some(args.slow).filter(|rate| *rate > 0.0));
    let many = usize::from(args.disturbers);
    let all: [(&str, Option<(Manner, usize)>); 4] = [
        ("alone", None),
        ("blocking handler", Some((Manner::Blocking, many))),
        ("slow client", Some((slow, many))),
        ("flooding client", Some((flood, 1))),
    ];
    let servers = stage.start(all.iter().map(|(name, _)| Subject::ours(name)).collect::<Fallible<Vec<_>>>()?)?;
    let (shape, rate) = (Shape::plain(args.connections, WINDOW, args.body), args.rate);
    let begin = |beside: Option<(Manner, usize)>| -> Begin<'_> {
        Box::new(move |server| {
            let load = OpenLoad::connect(server.address, shape, rate)?;
            Ok(match beside {
                None => Box::new(load),
                Some((manner, count)) => Box::new(Beside::new(load, server.address, manner, count)?),
            })
        })
    };
    let entries: Vec<_> = servers.iter().zip(all).map(|(server, (_, beside))| server.entry(begin(beside))).collect();
    stage.case(&entries, title(args))?;
    stage.close()
}

fn title(args: &NeighbourArgs) -> Title {
    let NeighbourArgs { connections, rate, body, disturbers, slow, flood, .. } = args;
    let others = ["blocking handler", "slow client", "flooding client"];
    Title {
        text: format!(
            "{connections} connections, {rate:.0} msg/s by the clock, {body} B, and beside them nobody, {disturbers} that \
                       call a handler that blocks, {disturbers} that ask {slow:.0} times a second and do not read, one that sends {flood:.0} frames/s"
        ),
        load: serde_json::json!({ "connections": connections, "rate": rate, "body": body, "disturbers": disturbers, "slow": slow, "flood": flood }),
        unit: "msg",
        targets: others.into_iter().map(|name| Target::of(name, "alone").p99(MOST)).collect(),
    }
}
