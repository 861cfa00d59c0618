//! S10: calls between two servers over one link, many at once, against a pool of connections with one request on each.

use crate::{
    Fallible,
    calls::Calls,
    contest::{Entry, Title},
    load::Shape,
    report::Target,
    server::Role,
    stage::{Common, PaceArgs, Stage},
    subject::Subject,
};

/// Connections of the pool: what due gives a link.
const POOL: usize = 5;

/// Of `s10`.
#[derive(clap::Args)]
pub(crate) struct LinkArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Callers at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1000])]
    callers: Vec<usize>,
    /// Bytes of a body.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1024])]
    bodies: Vec<usize>,
}

/// S10.
pub(crate) fn run(args: &LinkArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s10", &args.common, Some(args.pace.pace()))?;
    let pool = stage.start_one(Subject::reference()?.named("pool of 5"))?;
    let mut linked = Vec::new();
    for scheme in ["link", "grpc", "tarpc"] {
        linked.push((scheme, stage.start_one(Subject::callee(scheme)?)?));
    }
    for &body in &args.bodies {
        for &callers in &args.callers {
            let shape = Shape::plain(POOL.min(callers), 1, body);
            let mut entries = vec![pool.entry(pool.closed_loop(shape))];
            entries.extend(linked.iter().map(|(scheme, one)| Entry {
                name: scheme,
                role: Role::Ours,
                server: &one.server,
                begin: Box::new(move |server| {
                    Ok(Box::new(Calls::join(scheme, &server.home.to_string(), callers, body)?))
                }),
            }));
            stage.case(&entries, title(callers, body))?;
        }
    }
    stage.close()
}

fn title(callers: usize, body: usize) -> Title {
    let wanted = callers >= 1000 && body <= 128;
    Title {
        text: format!("{callers} callers of {body} B; the pool: one request on each of {POOL} connections at most"),
        load: serde_json::json!({ "callers": callers, "body": body }),
        unit: "call",
        targets: wanted.then(|| Target::of("link", "pool of 5").throughput(12.0)).into_iter().collect(),
    }
}
