//! S12: kcp through a network in user space that loses datagrams.

use crate::{
    Fallible,
    contest::Title,
    load::MAX_CONNECTIONS,
    report::Target,
    sessions::Sessions,
    stage::{Common, PaceArgs, Stage},
    subject::Subject,
};

/// Of `s12`.
#[derive(clap::Args)]
pub(crate) struct LossyArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Sessions, at most 10,000.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=MAX_CONNECTIONS as i64))]
    sessions: u32,
    /// Datagrams in a hundred that are lost, each way.
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 5.0, 20.0])]
    loss: Vec<f64>,
    /// Calls a second of each session.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Bytes of a body.
    #[arg(long, default_value_t = 128)]
    body: usize,
}

/// S12.
pub(crate) fn run(args: &LossyArgs) -> Fallible<bool> {
    if !(0.1..=1000.0).contains(&args.rate) || args.body > 32 * 1024 {
        return Err(format!("--rate {} --body {}: want 0.1 to 1000, and up to 32768", args.rate, args.body).into());
    }
    let mut stage = Stage::open("s12", &args.common, Some(args.pace.pace()))?;
    let mut subjects = vec![Subject::kcp()?];
    subjects.extend(args.common.kcpgo()?.map(|program| Subject::kcpgo(&program)));
    subjects.extend(args.common.others().map(Subject::over_udp));
    let all = stage.start(subjects)?;
    for &percent in &args.loss {
        let (sessions, rate, body) = (args.sessions as usize, args.rate, args.body);
        let entries = all.iter().map(|one| {
            one.entry(Box::new(move |server| {
                // kcp has no goodbye: the sessions of the run before would go on.
                server.restart()?;
                Ok(Box::new(Sessions::connect(server.address, sessions, body, rate, percent / 100.0)?))
            }))
        });
        let title = Title {
            text: format!(
                "kcp, {sessions} sessions, {rate} calls a second each, {body} B, {percent} % of datagrams lost"
            ),
            load: serde_json::json!({ "sessions": sessions, "rate": rate, "body": body, "loss_percent": percent }),
            unit: "call",
            targets: vec![target()],
        };
        stage.case(&entries.collect::<Vec<_>>(), title)?;
    }
    stage.close()
}

/// At least as good as kcp-go. A repetition of goodput may be off by 0.02 and one of p99 by 0.05, by chance alone; there
/// is no such room in the time on a core.
fn target() -> Target {
    Target::of("ours", "kcp-go").throughput(0.98).cpu(1.0).p99(1.05)
}
