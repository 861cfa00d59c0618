//! S6: pushes to the members of rooms. S7: the same while some members do not read.

use crate::{
    Fallible,
    contest::{Entry, Title},
    fan::{Crowd, Fan},
    peers::Against,
    report::Target,
    stage::{Common, Contestant, PaceArgs, Stage},
    subject::Subject,
};

/// Of `s6` and `s7`.
#[derive(clap::Args)]
pub(crate) struct RoomArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Members of all rooms together.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    members: Vec<usize>,
    /// Rooms; members are dealt to them in turns. S7 has one.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    rooms: Vec<u32>,
    /// Messages of a tick to each member.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16])]
    messages: Vec<u32>,
    /// Bytes of a body.
    #[arg(long, value_delimiter = ',', default_values_t = [128, 1024])]
    bodies: Vec<u32>,
    /// Ticks a second; 0: as many as the members take. S7 has 20 unless told.
    #[arg(long)]
    rate: Option<f64>,
}

/// S6.
pub(crate) fn run(args: &RoomArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s6", &args.common, Some(args.pace.pace()))?;
    let mut subjects = Vec::new();
    if args.common.has(Against::Epoll) {
        subjects.push(Subject::reference()?);
    }
    subjects.push(Subject::ours("ours")?);
    subjects.extend(args.common.due()?.map(|program| Subject::due(&program, "")));
    let all = stage.start(subjects)?;
    let rate = args.rate.filter(|rate| *rate > 0.0);
    for &members in &args.members {
        for &rooms in &args.rooms {
            for &size in &args.bodies {
                for &count in &args.messages {
                    let crowd = Crowd { members, stalled: 0, rooms, count, size, rate };
                    let entries: Vec<_> = all.iter().map(|one| entry(one, crowd)).collect();
                    stage.case(&entries, title(crowd, "ours", "epoll"))?;
                }
            }
        }
    }
    stage.close()
}

/// S7.
pub(crate) fn run_slow(args: &RoomArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s7", &args.common, Some(args.pace.pace()))?;
    let healthy = stage.start_one(Subject::ours("all read")?)?;
    let slow = stage.start_one(Subject::ours("1 % stalled")?)?;
    let due = args
        .common
        .due()?
        .map(|program| ["due, all read", "due, 1 % stalled"].map(|name| Subject::due(&program, "").named(name)));
    let due = stage.start(due.into_iter().flatten())?;
    let rate = Some(args.rate.unwrap_or(20.0)).filter(|rate| *rate > 0.0);
    for &members in &args.members {
        for &size in &args.bodies {
            for &count in &args.messages {
                let crowd = Crowd { members, stalled: 0, rooms: 1, count, size, rate };
                let stalled = Crowd { stalled: members.div_ceil(100), ..crowd };
                let mut title = title(crowd, "", "");
                title.targets = vec![Target::of("1 % stalled", "all read").p99(1.2)];
                let mut entries = vec![entry(&healthy, crowd), entry(&slow, stalled)];
                entries.extend(due.iter().zip([crowd, stalled]).map(|(one, crowd)| entry(one, crowd)));
                stage.case(&entries, title)?;
            }
        }
    }
    stage.close()
}

fn entry(one: &Contestant, crowd: Crowd) -> Entry<'_> {
    let dialect = one.subject.dialect;
    one.entry(Box::new(move |server| Ok(Box::new(Fan::connect(server.address, dialect, crowd)?))))
}

fn title(crowd: Crowd, name: &str, to: &str) -> Title {
    let Crowd { members, rooms, count, size, rate, .. } = crowd;
    let pace = rate.map_or_else(|| "two ticks in flight".into(), |rate| format!("{rate} ticks a second"));
    let target = Target::of(name, to);
    let target = match count {
        16.. => target.throughput(0.90).cpu(1.0 / 0.90),
        _ => target.throughput(0.95),
    };
    Title {
        text: format!("{members} members of {rooms} rooms, {count} messages of {size} B a tick, {pace}"),
        load: serde_json::to_value(crowd).unwrap_or_default(),
        unit: "push",
        // A clock, not the server, says how many there are.
        targets: if rate.is_none() { vec![target] } else { Vec::new() },
    }
}
