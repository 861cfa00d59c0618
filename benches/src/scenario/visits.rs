//! S9: connections that come and go, and all at once; memory afterwards.

use super::idle::settled;
use crate::{
    Fallible,
    churn::{Churn, storm},
    contest::{Title, progress},
    load::{MAX_CONNECTIONS, Shape},
    peers::Against,
    report::{Figure, Spread},
    server::Role,
    stage::{Common, PaceArgs, Stage},
    subject::Subject,
};

/// Bytes of a body.
const BODY: usize = 128;

/// Of `s9`.
#[derive(clap::Args)]
pub(crate) struct VisitArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Visitors at once.
    #[arg(long, value_delimiter = ',', default_values_t = [50])]
    visitors: Vec<usize>,
    /// Connections of a storm, at most 10,000; peers get at most 4,900.
    #[arg(long, default_value_t = MAX_CONNECTIONS)]
    storm: usize,
}

/// S9.
pub(crate) fn run(args: &VisitArgs) -> Fallible<bool> {
    let pace = args.pace.pace();
    let mut stage = Stage::open("s9", &args.common, Some(pace))?;
    let mut subjects = Vec::new();
    if args.common.has(Against::Epoll) {
        subjects.push(Subject::reference()?);
    }
    subjects.extend([Subject::ours("ours, tcp")?, Subject::ws("ours, ws")?]);
    subjects.extend(args.common.due()?.map(|program| Subject::due(&program, "")));
    subjects.extend(args.common.others());
    let all = stage.start(subjects)?;
    for &visitors in &args.visitors {
        let shape = Shape::plain(visitors, 1, BODY);
        let entries = all.iter().map(|one| {
            let shape = one.shape(shape);
            one.entry(Box::new(move |server| Ok(Box::new(Churn::new(server.address, shape)?))))
        });
        let title = Title {
            text: format!("connect, one echo of {BODY} B, leave; {visitors} visitors at once"),
            load: serde_json::json!({ "visitors": visitors, "body": BODY }),
            unit: "visit",
            targets: Vec::new(),
        };
        stage.case(&entries.collect::<Vec<_>>(), title)?;
    }
    for one in &all {
        let most = if one.subject.role == Role::Peer { 4_900 } else { MAX_CONNECTIONS };
        let shape = one.shape(Shape::plain(args.storm.min(most), 1, BODY));
        // The first one brings what stays.
        storm(one.server.address, shape)?;
        let before = settled(&one.server)?;
        let mut rates = Vec::new();
        for turn in 0..pace.repetitions {
            progress(&format!("{}: storm {}/{}", one.subject.name, turn + 1, pace.repetitions));
            rates.push(shape.connections as f64 / storm(one.server.address, shape)?.as_secs_f64());
        }
        progress("");
        let after = settled(&one.server)?;
        let what = format!("{}: storm of {} connections", one.subject.name, shape.connections);
        stage.figure(Figure::new(what.as_str(), "conn/s", Spread::of(rates)))?;
        let grown = Spread::of([100.0 * after as f64 / before as f64 - 100.0]);
        stage.figure(Figure::new(format!("{what}: memory more"), "%", grown))?;
    }
    stage.close()
}
