//! S5: frames by a clock, through gate and node. Latency counts from the time a frame should have gone out, so a server
//! that stalls cannot hide it.

use crate::{
    Fallible,
    contest::Title,
    load::Shape,
    open::OpenLoad,
    peers::Against,
    report::Target,
    stage::{Common, PaceArgs, Stage},
    subject::Subject,
};

/// Frames in flight on one connection before it is late.
const WINDOW: usize = 64;

/// Of `s5`.
#[derive(clap::Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Connections and messages a second of all together.
    #[arg(long, value_delimiter = ',', value_name = "CONNECTIONS@RATE", value_parser = at,
          default_values = ["1000@20000", "4900@40000"])]
    rates: Vec<(usize, f64)>,
    /// Bytes of a body.
    #[arg(long, default_value_t = 128)]
    body: usize,
}

/// S5.
pub(crate) fn run(args: &OpenArgs) -> Fallible<bool> {
    let mut stage = Stage::open("s5", &args.common, Some(args.pace.pace()))?;
    let mut subjects = Vec::new();
    if args.common.has(Against::Epoll) {
        subjects.push(Subject::gateway()?);
    }
    subjects.push(Subject::split("link", "link", "")?);
    subjects.extend(args.common.due()?.map(|program| Subject::due(&program, "")));
    subjects.extend(args.common.others());
    let all = stage.start(subjects)?;
    for &(connections, rate) in &args.rates {
        let shape = Shape::plain(connections, WINDOW, args.body);
        let entries: Vec<_> = all
            .iter()
            .map(|one| {
                let shape = one.shape(shape);
                one.entry(Box::new(move |server| Ok(Box::new(OpenLoad::connect(server.address, shape, rate)?))))
            })
            .collect();
        stage.case(&entries, title(shape, rate))?;
    }
    stage.close()
}

fn title(shape: Shape, rate: f64) -> Title {
    let text =
        format!("gate and node, {} connections, {rate:.0} msg/s by the clock, {} B", shape.connections, shape.body);
    let load = serde_json::json!({ "connections": shape.connections, "rate": rate, "body": shape.body });
    let epoll = Target::of("link", "epoll").cpu(1.15).p99(1.5);
    Title { text, load, unit: "msg", targets: vec![epoll, Target::of("link", "due").cpu(0.65)] }
}

fn at(text: &str) -> Result<(usize, f64), String> {
    let parts = text.split_once('@').and_then(|(n, rate)| Some((n.parse().ok()?, rate.parse().ok()?)));
    parts.ok_or_else(|| "want CONNECTIONS@RATE, as in 1000@20000".into())
}
