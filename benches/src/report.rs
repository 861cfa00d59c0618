//! Figures of runs and what they add up to.

use std::{fs::File, io::BufWriter, path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Fallible,
    contest::{Pace, Spent, Title},
    load::Outcome,
    measure::Machine,
    server::Role,
    verdict::Verdict,
};

/// One run of one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) messages_per_second: f64,
    /// 0 where latency is not measured.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// Time of the server on a core for each message, in nanoseconds.
    pub(crate) server_ns: f64,
    /// The same for each of its processes.
    pub(crate) each_ns: Vec<f64>,
    /// Memory of the server at the end, in bytes.
    pub(crate) memory: u64,
    /// Cores that others used meanwhile.
    pub(crate) foreign: f64,
}

impl Run {
    /// The figures of a stretch of load.
    pub(crate) fn new(outcome: &Outcome, spent: &Spent, memory: u64) -> Self {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let each = |spent: &Duration| spent.as_nanos() as f64 / outcome.latency.total().max(1) as f64;
        let each_ns: Vec<f64> = spent.servers.iter().map(each).collect();
        Self {
            messages_per_second: outcome.latency.total() as f64 / outcome.elapsed.as_secs_f64(),
            p50_us: micros(outcome.latency.quantile(0.5)),
            p99_us: micros(outcome.latency.quantile(0.99)),
            p999_us: micros(outcome.latency.quantile(0.999)),
            max_us: micros(outcome.latency.max()),
            server_ns: each_ns.iter().sum(),
            each_ns,
            memory,
            foreign: spent.foreign,
        }
    }
}

/// What one server should reach against another, as medians of ratios.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) to: String,
    /// Messages a second, at least; `None`: not asked.
    pub(crate) throughput: Option<f64>,
    /// Server time for each message, at most.
    pub(crate) cpu: Option<f64>,
    /// 99th percentile of the latency, at most.
    pub(crate) p99: Option<f64>,
    /// System calls of `name` for each message, at most; no ratio. Asked where they were counted.
    pub(crate) calls: Option<f64>,
    /// The same for instructions outside the kernel.
    pub(crate) instructions: Option<f64>,
}

impl Target {
    /// Of `name` against `to`; nothing is asked yet.
    pub(crate) fn of(name: &str, to: &str) -> Self {
        Self {
            name: name.into(),
            to: to.into(),
            throughput: None,
            cpu: None,
            p99: None,
            calls: None,
            instructions: None,
        }
    }

    pub(crate) fn throughput(self, least: f64) -> Self {
        Self { throughput: Some(least), ..self }
    }

    pub(crate) fn cpu(self, most: f64) -> Self {
        Self { cpu: Some(most), ..self }
    }

    pub(crate) fn p99(self, most: f64) -> Self {
        Self { p99: Some(most), ..self }
    }

    pub(crate) fn calls(self, most: f64) -> Self {
        Self { calls: Some(most), ..self }
    }

    pub(crate) fn instructions(self, most: f64) -> Self {
        Self { instructions: Some(most), ..self }
    }

    /// Do `ratio` and the counts of the server itself reach it?
    fn is_met(&self, ratio: &Ratio, own: &Series) -> bool {
        let within =
            |counted: Option<f64>, most: Option<f64>| counted.zip(most).is_none_or(|(count, most)| count <= most);
        within(own.calls_per_message, self.calls)
            && within(own.instructions_per_message, self.instructions)
            && self.throughput.is_none_or(|least| ratio.throughput.median >= least)
            && self.cpu.is_none_or(|most| ratio.cpu.median <= most)
            && self.p99.is_none_or(|most| ratio.p99.median <= most)
    }
}

/// Lowest, middle and highest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of some values; all zero when there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |i: usize| values.get(i).copied().unwrap_or_default();
        let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
        Self { min: at(0), median: (at(low) + at(high.max(low))) / 2.0, max: at(values.len().saturating_sub(1)) }
    }
}

/// One server against another, worked out inside each repetition.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    pub(crate) to: String,
    /// Messages a second.
    pub(crate) throughput: Spread,
    /// Server time for each message.
    pub(crate) cpu: Spread,
    /// 99th percentile of the latency.
    pub(crate) p99: Spread,
}

/// The runs of one server in one case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) runs: Vec<Run>,
    /// System calls of the server for each message, when they were counted.
    pub(crate) calls_per_message: Option<f64>,
    /// Its instructions outside the kernel, in the same run, where the machine counts them.
    pub(crate) instructions_per_message: Option<f64>,
}

impl Series {
    /// Without runs yet.
    pub(crate) fn new(name: &str, role: Role) -> Self {
        Self { name: name.into(), role, runs: Vec::new(), calls_per_message: None, instructions_per_message: None }
    }

    /// The median of a figure.
    pub(crate) fn middle(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        Spread::of(self.runs.iter().map(figure)).median
    }

    fn ratio(&self, to: &Self) -> Ratio {
        let spread = |figure: fn(&Run) -> f64| {
            Spread::of(self.runs.iter().zip(&to.runs).map(|(own, base)| quotient(figure(own), figure(base))))
        };
        Ratio {
            name: self.name.clone(),
            to: to.name.clone(),
            throughput: spread(|run| run.messages_per_second),
            cpu: spread(|run| run.server_ns),
            p99: spread(|run| run.p99_us),
        }
    }
}

/// 0 where nothing was measured.
fn quotient(own: f64, base: f64) -> f64 {
    if base > 0.0 { own / base } else { 0.0 }
}

/// One load and what each server made of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) load: serde_json::Value,
    pub(crate) unit: &'static str,
    pub(crate) series: Vec<Series>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) targets: Vec<Target>,
}

impl Case {
    /// Works the ratios out: everything to the references (else to the first of ours), and ours to each peer.
    pub(crate) fn new(title: Title, series: Vec<Series>) -> Self {
        let referred = series.iter().any(|s| s.role == Role::Reference);
        let base = |i: usize, s: &Series| match s.role {
            Role::Reference => true,
            Role::Ours => !referred && i == 0,
            Role::Peer => false,
        };
        let mut ratios = Vec::new();
        for (i, to) in series.iter().enumerate() {
            for (j, own) in series.iter().enumerate() {
                if i != j && (base(i, to) || (to.role == Role::Peer && own.role == Role::Ours)) {
                    ratios.push(own.ratio(to));
                }
            }
        }
        let Title { text, load, unit, targets } = title;
        let here = |target: &Target| [&target.name, &target.to].iter().all(|n| series.iter().any(|s| s.name == **n));
        let targets = targets.into_iter().filter(here).collect();
        Self { title: text, load, unit, series, ratios, targets }
    }

    /// The targets, and whether each is reached.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (&Target, bool)> {
        self.targets.iter().map(|target| {
            let of = |ratio: &&Ratio| ratio.name == target.name && ratio.to == target.to;
            let own = self.series.iter().find(|series| series.name == target.name);
            (target, self.ratios.iter().find(of).zip(own).is_some_and(|(ratio, own)| target.is_met(ratio, own)))
        })
    }

    /// Are all targets reached?
    pub(crate) fn is_met(&self) -> bool {
        self.verdicts().all(|(_, met)| met)
    }
}

/// Memory of idle connections.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) name: String,
    pub(crate) connections: usize,
    /// Memory of the server without connections, in bytes.
    pub(crate) empty: u64,
    /// Bytes for each connection that never spoke.
    pub(crate) silent: f64,
    /// Bytes for each connection after one echo of 1 KiB.
    pub(crate) spoken: f64,
    /// Bytes for each connection after 64 KiB were echoed to each.
    pub(crate) busy: f64,
    /// Bytes of the kernel for each connection that never spoke, both ends together; others use it too.
    pub(crate) kernel: f64,
    /// Most bytes for each connection that is allowed, where a target is set.
    pub(crate) most: Option<f64>,
}

impl Idle {
    /// Is the target reached?
    pub(crate) fn is_met(&self) -> bool {
        self.most.is_none_or(|most| self.silent <= most && self.spoken <= most)
    }
}

/// A figure that stands for itself.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) value: Spread,
    /// Most that is allowed for its median, where a target is set.
    pub(crate) most: Option<f64>,
}

impl Figure {
    /// Without a target.
    pub(crate) fn new(name: impl Into<String>, unit: &'static str, value: Spread) -> Self {
        Self { name: name.into(), unit, value, most: None }
    }

    /// With one.
    pub(crate) fn at_most(self, most: f64) -> Self {
        Self { most: Some(most), ..self }
    }

    /// Is the target reached?
    pub(crate) fn is_met(&self) -> bool {
        self.most.is_none_or(|most| self.value.median <= most)
    }
}

/// All of one call of the program, for other programs.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) version: &'a str,
    pub(crate) machine: Machine,
    pub(crate) pace: Option<Pace>,
    pub(crate) pinned: bool,
    pub(crate) cases: Vec<Case>,
    pub(crate) idle: Vec<Idle>,
    pub(crate) figures: Vec<Figure>,
    pub(crate) verdicts: Vec<Verdict>,
}

impl Report<'_> {
    /// Works the verdicts out.
    pub(crate) fn judge(&mut self) {
        self.verdicts = self.cases.iter().flat_map(Verdict::of_case).collect();
        self.verdicts.extend(self.idle.iter().flat_map(Verdict::of_idle));
        self.verdicts.extend(self.figures.iter().filter_map(Verdict::of_figure));
    }

    /// Writes it to `path` as one JSON document.
    pub(crate) fn save(&self, path: &Path) -> Fallible<()> {
        let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(serde_json::to_writer_pretty(BufWriter::new(file), self)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn series(name: &str, role: Role, figures: &[(f64, f64)]) -> Series {
        let run = |&(messages_per_second, server_ns): &(f64, f64)| Run {
            messages_per_second,
            p50_us: 1.0,
            p99_us: 2.0,
            p999_us: 3.0,
            max_us: 4.0,
            server_ns,
            each_ns: vec![server_ns / 4.0, server_ns / 4.0 * 3.0],
            memory: 1 << 20,
            foreign: 0.0,
        };
        Series { runs: figures.iter().map(run).collect(), ..Series::new(name, role) }
    }

    /// A reference, ours and a peer; ours should have `least` of the reference's throughput at `most` of its time.
    pub(crate) fn case(least: f64, most: f64) -> Case {
        let epoll = series("epoll", Role::Reference, &[(100.0, 10.0), (200.0, 20.0), (50.0, 5.0)]);
        let ours = series("ours", Role::Ours, &[(90.0, 11.0), (200.0, 21.0), (48.0, 6.0)]);
        let due = series("due", Role::Peer, &[(30.0, 40.0), (50.0, 80.0), (12.0, 24.0)]);
        let targets =
            vec![Target::of("ours", "epoll").throughput(least).cpu(most), Target::of("ours", "absent").cpu(1.0)];
        let title = Title { text: "a case".into(), load: serde_json::Value::Null, unit: "msg", targets };
        Case::new(title, vec![epoll, ours, due])
    }

    #[test]
    fn ratios_are_taken_inside_each_repetition() {
        let case = case(0.9, 2.0);
        let pairs: Vec<_> = case.ratios.iter().map(|r| (r.name.as_str(), r.to.as_str())).collect();
        assert_eq!(pairs, [("ours", "epoll"), ("due", "epoll"), ("ours", "due")]);
        assert_eq!(case.ratios[0].throughput, Spread { min: 0.9, median: 0.96, max: 1.0 });
        assert_eq!(case.ratios[2].throughput, Spread { min: 3.0, median: 4.0, max: 4.0 });
    }

    #[test]
    fn a_target_is_met_by_the_medians_and_one_for_an_absent_server_is_not_asked() {
        assert!(case(0.96, 1.1).is_met());
        assert!(!case(0.97, 1.1).is_met());
        assert!(!case(0.96, 1.09).is_met());
        assert_eq!(case(0.96, 1.1).targets.len(), 1);
    }

    #[test]
    fn counts_are_asked_where_there_are_any() {
        let mut case = case(0.9, 2.0);
        case.targets[0] = case.targets[0].clone().calls(2.05).instructions(1700.0);
        assert!(case.is_met());
        case.series[1].calls_per_message = Some(2.05);
        assert!(case.is_met());
        case.series[1].instructions_per_message = Some(1701.0);
        assert!(!case.is_met());
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(Spread::of([]), Spread { min: 0.0, median: 0.0, max: 0.0 });
    }
}
