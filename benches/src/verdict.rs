//! What was asked of a figure and what became of it, one line each: for the summary of all scenarios.

use serde::{Deserialize, Serialize};

use crate::report::{Case, Figure, Idle, Spread, Target};

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Under which load.
    pub(crate) load: String,
    /// Of what: `link / epoll`.
    pub(crate) of: String,
    /// `throughput`, `time`, `p99`, or a unit.
    pub(crate) figure: String,
    /// Which way: at least, or at most.
    pub(crate) least: bool,
    pub(crate) target: f64,
    pub(crate) value: Spread,
}

impl Verdict {
    /// Is the median where it should be?
    pub(crate) fn is_met(&self) -> bool {
        match self.least {
            true => self.value.median >= self.target,
            false => self.value.median <= self.target,
        }
    }

    /// One for each figure that a target of the case asks for.
    pub(crate) fn of_case(case: &Case) -> Vec<Self> {
        let mut all = Vec::new();
        for target in &case.targets {
            let of = |ratio: &&crate::report::Ratio| ratio.name == target.name && ratio.to == target.to;
            let Some(ratio) = case.ratios.iter().find(of) else { continue };
            let asked = [
                ("throughput", true, target.throughput, ratio.throughput),
                ("time", false, target.cpu, ratio.cpu),
                ("p99", false, target.p99, ratio.p99),
            ];
            all.extend(asked.into_iter().filter_map(|(figure, least, target, value)| {
                let (load, of) = (case.title.clone(), format!("{} / {}", ratio.name, ratio.to));
                Some(Self { load, of, figure: figure.into(), least, target: target?, value })
            }));
            all.extend(Self::of_counts(case, target));
        }
        all
    }

    /// Of what was counted of the server itself.
    fn of_counts(case: &Case, target: &Target) -> Vec<Self> {
        let Some(own) = case.series.iter().find(|series| series.name == target.name) else { return Vec::new() };
        let counts = [
            ("system calls", own.calls_per_message, target.calls),
            ("instructions", own.instructions_per_message, target.instructions),
        ];
        let asked = counts.into_iter().filter_map(|(figure, count, target)| {
            let (load, of) = (case.title.clone(), own.name.clone());
            let (value, target) = (Spread::of([count?]), target?);
            Some(Self { load, of, figure: figure.into(), least: false, target, value })
        });
        asked.collect()
    }

    /// Silent connections, and those that have spoken.
    pub(crate) fn of_idle(idle: &Idle) -> Vec<Self> {
        let Some(target) = idle.most else { return Vec::new() };
        let load = format!("{} connections that do nothing", idle.connections);
        let one = |what: &str, bytes: f64| Self {
            load: format!("{load}, {what}"),
            of: idle.name.clone(),
            figure: "B a connection".into(),
            least: false,
            target,
            value: Spread::of([bytes]),
        };
        vec![one("never spoke", idle.silent), one("after one echo", idle.spoken)]
    }

    /// Where a target is set.
    pub(crate) fn of_figure(figure: &Figure) -> Option<Self> {
        let (load, of) = (figure.name.clone(), String::new());
        Some(Self { load, of, figure: figure.unit.into(), least: false, target: figure.most?, value: figure.value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::case;

    #[test]
    fn a_case_has_a_verdict_for_each_figure_that_is_asked() {
        let all = Verdict::of_case(&case(0.97, 1.1));
        let told: Vec<_> = all.iter().map(|v| (v.figure.as_str(), v.of.as_str(), v.is_met())).collect();
        assert_eq!(told, [("throughput", "ours / epoll", false), ("time", "ours / epoll", true)]);
    }

    #[test]
    fn counts_have_verdicts_where_they_were_taken() {
        let mut case = case(0.9, 2.0);
        case.targets[0] = case.targets[0].clone().calls(2.05).instructions(1700.0);
        case.series[1].calls_per_message = Some(2.06);
        let told: Vec<_> = Verdict::of_case(&case).into_iter().map(|v| (v.figure.clone(), v.is_met())).collect();
        assert_eq!(told[2..], [("system calls".to_owned(), false)]);
    }

    #[test]
    fn memory_and_figures_have_verdicts_where_targets_are_set() {
        let figure = Figure::new("a message", "ns", Spread::of([3.0]));
        assert_eq!(Verdict::of_figure(&figure), None);
        assert!(Verdict::of_figure(&figure.clone().at_most(3.0)).is_some_and(|v| v.is_met()));
        assert!(Verdict::of_figure(&figure.at_most(2.9)).is_some_and(|v| !v.is_met()));
    }
}
