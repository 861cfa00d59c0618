//! Figures of runs, what they add up to, and how they are shown.

use std::{
    fmt::{self, Display},
    fs::File,
    io::BufWriter,
    path::Path,
    time::Duration,
};

use serde::Serialize;

use crate::{
    Fallible,
    load::{Outcome, Shape},
    measure::Machine,
    scenario::{Pace, Spent},
};

/// One run of one server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) messages_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    /// Time of the server on a core for each message, in nanoseconds.
    pub(crate) server_ns: f64,
    /// The same for each of its processes.
    pub(crate) each_ns: Vec<f64>,
    /// Cores that others used meanwhile.
    pub(crate) foreign: f64,
}

impl Run {
    /// The figures of a stretch of load.
    pub(crate) fn new(outcome: &Outcome, spent: Spent) -> Self {
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
            foreign: spent.foreign,
        }
    }
}

/// What the first subject after the reference should reach, as ratios to the reference.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Target {
    /// Messages a second, at least.
    pub(crate) throughput: f64,
    /// Server time for each message, at most; `None`: not asked.
    pub(crate) cpu: Option<f64>,
    /// 99th percentile of the latency, at most.
    pub(crate) p99: Option<f64>,
}

/// Lowest, middle and highest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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

/// The runs of one server in one case.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) runs: Vec<Run>,
    /// Messages a second, in each repetition divided by the reference's in the same one.
    pub(crate) throughput_ratio: Option<Spread>,
    /// Server time for each message, likewise.
    pub(crate) cpu_ratio: Option<Spread>,
    /// 99th percentile, likewise.
    pub(crate) p99_ratio: Option<Spread>,
    /// System calls of the server for each message, when they were counted.
    pub(crate) calls_per_message: Option<f64>,
}

impl Series {
    /// Without runs yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            runs: Vec::new(),
            throughput_ratio: None,
            cpu_ratio: None,
            p99_ratio: None,
            calls_per_message: None,
        }
    }

    fn middle(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        Spread::of(self.runs.iter().map(figure)).median
    }

    fn ratio(&self, reference: &Self, figure: impl Fn(&Run) -> f64) -> Spread {
        Spread::of(self.runs.iter().zip(&reference.runs).map(|(own, base)| figure(own) / figure(base)))
    }

    fn compare(&mut self, reference: &Self) {
        self.throughput_ratio = Some(self.ratio(reference, |run| run.messages_per_second));
        self.cpu_ratio = Some(self.ratio(reference, |run| run.server_ns));
        self.p99_ratio = Some(self.ratio(reference, |run| run.p99_us));
    }
}

/// One shape of load and what each server made of it; the first series is the reference.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Case {
    pub(crate) shape: Shape,
    pub(crate) target: Option<Target>,
    pub(crate) series: Vec<Series>,
}

impl Case {
    /// Works the ratios out.
    pub(crate) fn new(shape: Shape, target: Option<Target>, mut series: Vec<Series>) -> Self {
        if let Some((reference, others)) = series.split_first_mut() {
            others.iter_mut().for_each(|other| other.compare(reference));
        }
        Self { shape, target, series }
    }

    /// Does the first server after the reference reach the target?
    pub(crate) fn is_met(&self) -> bool {
        let (Some(first), Some(target)) = (self.series.get(1), self.target) else { return true };
        let within = |ratio: Option<Spread>, most| ratio.zip(most).is_none_or(|(ratio, most)| ratio.median <= most);
        first.throughput_ratio.is_none_or(|ratio| ratio.median >= target.throughput)
            && within(first.cpu_ratio, target.cpu)
            && within(first.p99_ratio, target.p99)
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { connections, window, body, coalescing } = self.shape;
        let client = if coalescing { "coalescing" } else { "one write per frame" };
        writeln!(f, "\n{connections} connections, window {window}, {body} B, client: {client}")?;
        write!(f, "{:<14}{:>11}{:>9}{:>9}{:>9}{:>9}", "server", "msg/s", "p50 us", "p99 us", "p99.9", "ns/msg")?;
        write!(f, "{:>22}{:>22}{:>9}", "msg/s ratio", "ns/msg ratio", "foreign")?;
        writeln!(f, "{:>11}", "calls/msg")?;
        self.series.iter().try_for_each(|series| series.line(f))?;
        let Some(Target { throughput, cpu, p99 }) = self.target else { return Ok(()) };
        let most = |name, most: Option<f64>| most.map_or_else(String::new, |most| format!(", {name} ratio <= {most}"));
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        writeln!(f, "target: msg/s ratio >= {throughput}{}{}: {verdict}", most("ns/msg", cpu), most("p99", p99))
    }
}

impl Series {
    fn line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<14}{:>11.0}{:>9.1}{:>9.1}{:>9.1}{:>9.0}",
            self.name,
            self.middle(|run| run.messages_per_second),
            self.middle(|run| run.p50_us),
            self.middle(|run| run.p99_us),
            self.middle(|run| run.p999_us),
            self.middle(|run| run.server_ns),
        )?;
        let ratio = |spread: Option<Spread>| spread.map_or_else(|| "1".into(), |s| s.to_string());
        write!(f, "{:>22}{:>22}", ratio(self.throughput_ratio), ratio(self.cpu_ratio))?;
        let calls = self.calls_per_message.map_or_else(|| "-".into(), |calls| format!("{calls:.3}"));
        writeln!(f, "{:>9.2}{calls:>11}{}", self.middle(|run| run.foreign), self.parts())
    }

    /// Time of each process, when there are several.
    fn parts(&self) -> String {
        let count = self.runs.first().map_or(0, |run| run.each_ns.len());
        let part = |i: usize| format!("{:.0}", self.middle(|run| run.each_ns.get(i).copied().unwrap_or_default()));
        match count {
            0 | 1 => String::new(),
            _ => format!("  ns/msg = {}", (0..count).map(part).collect::<Vec<_>>().join(" + ")),
        }
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.2}-{:.2})", self.median, self.min, self.max)
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
}

impl Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, connections, empty, silent, spoken } = self;
        write!(f, "{name:<14}{connections:>7} connections: {silent:>7.0} B each, {spoken:>7.0} B each after one echo")?;
        writeln!(f, "; {} KiB without any", empty / 1024)
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
}

impl Report<'_> {
    /// Writes it to `path` as one JSON document.
    pub(crate) fn save(&self, path: &Path) -> Fallible<()> {
        let file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(serde_json::to_writer_pretty(BufWriter::new(file), self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, figures: &[(f64, f64)]) -> Series {
        let run = |&(messages_per_second, server_ns): &(f64, f64)| Run {
            messages_per_second,
            p50_us: 1.0,
            p99_us: 2.0,
            p999_us: 3.0,
            max_us: 4.0,
            server_ns,
            each_ns: vec![server_ns / 4.0, server_ns / 4.0 * 3.0],
            foreign: 0.0,
        };
        Series { runs: figures.iter().map(run).collect(), ..Series::new(name) }
    }

    fn case(least: f64, most: Option<f64>) -> Case {
        let shape = Shape { connections: 50, window: 1, body: 128, coalescing: true };
        let reference = series("reference", &[(100.0, 10.0), (200.0, 20.0), (50.0, 5.0)]);
        let echo = series("echo", &[(90.0, 11.0), (200.0, 21.0), (48.0, 6.0)]);
        Case::new(shape, Some(Target { throughput: least, cpu: most, p99: None }), vec![reference, echo])
    }

    #[test]
    fn ratios_are_taken_inside_each_repetition() {
        let case = case(0.9, None);
        let ratio = case.series[1].throughput_ratio.expect("a ratio");
        assert_eq!(ratio, Spread { min: 0.9, median: 0.96, max: 1.0 });
        assert!(case.series[0].throughput_ratio.is_none());
    }

    #[test]
    fn a_target_is_met_by_the_medians() {
        assert!(case(0.96, Some(1.1)).is_met());
        assert!(!case(0.97, Some(1.1)).is_met());
        assert!(!case(0.96, Some(1.09)).is_met());
        assert!(case(0.97, None).to_string().contains("MISSED"));
    }

    #[test]
    fn processes_of_one_server_are_told_apart() {
        let case = case(0.9, None).to_string();
        assert!(case.contains("ns/msg = 3 + 8"), "{case}");
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(Spread::of([]), Spread { min: 0.0, median: 0.0, max: 0.0 });
    }
}
