//! All targets of all scenarios in one table, for people and for `docs/performance.md`.

use std::{
    fmt::{self, Display},
    fs,
    path::Path,
};

use serde::Deserialize;

use crate::{Fallible, measure::Machine, report::Spread, verdict::Verdict};

/// Between these two a document has the summary.
const BEGIN: &str = "<!-- figures of `due-benches all --document` -->";
const END: &str = "<!-- end of figures -->";

/// What the files of the scenarios add up to.
pub(crate) struct Summary {
    machine: Machine,
    scenarios: Vec<(&'static str, Scenario)>,
    /// Files with curves, beside the text.
    pub(crate) plots: Vec<String>,
}

/// What a summary needs of a file.
#[derive(Deserialize)]
struct Scenario {
    version: String,
    pinned: bool,
    pace: Option<Pace>,
    cases: Vec<Case>,
    figures: Vec<Figure>,
    verdicts: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Pace {
    repetitions: usize,
    measure: Seconds,
}

#[derive(Deserialize)]
struct Seconds {
    secs: u64,
    nanos: u32,
}

#[derive(Deserialize)]
struct Case {
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    foreign: f64,
}

#[derive(Deserialize)]
struct Figure {
    name: String,
    unit: String,
    value: Spread,
    most: Option<f64>,
}

impl Summary {
    /// Of nothing yet.
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, scenarios: Vec::new(), plots: Vec::new() }
    }

    /// Adds what a scenario wrote.
    pub(crate) fn read(&mut self, name: &'static str, path: &Path) -> Fallible<()> {
        self.add(name, &fs::read_to_string(path)?)
    }

    fn add(&mut self, name: &'static str, text: &str) -> Fallible<()> {
        self.scenarios.push((name, serde_json::from_str(text)?));
        Ok(())
    }

    fn verdicts(&self) -> impl Iterator<Item = (&'static str, &Verdict)> {
        self.scenarios.iter().flat_map(|(name, scenario)| scenario.verdicts.iter().map(|verdict| (*name, verdict)))
    }

    /// Are all targets reached?
    pub(crate) fn is_met(&self) -> bool {
        self.verdicts().all(|(_, verdict)| verdict.is_met())
    }

    /// Puts the text between the two comments of a document.
    pub(crate) fn put_into(&self, document: &Path) -> Fallible<()> {
        let name = document.display();
        let text = fs::read_to_string(document).map_err(|e| format!("{name}: {e}"))?;
        let text =
            replaced(&text, &self.to_string()).ok_or_else(|| format!("{name} has no `{BEGIN}` before `{END}`"))?;
        Ok(fs::write(document, text).map_err(|e| format!("{name}: {e}"))?)
    }

    /// Most that others used of the cores in any run that counts.
    fn foreign(&self) -> f64 {
        let cases = self.scenarios.iter().flat_map(|(_, scenario)| &scenario.cases);
        let runs = cases.flat_map(|case| &case.series).flat_map(|series| &series.runs);
        runs.map(|run| run.foreign).fold(0.0, f64::max)
    }

    /// On what, how often and with whom beside.
    fn circumstances(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((_, first)) = self.scenarios.first() else { return writeln!(f, "No figures.") };
        if cfg!(debug_assertions) {
            writeln!(f, "**Of a build without optimization: these figures say nothing.**\n")?;
        }
        write!(f, "Version {} on {}", first.version, self.machine)?;
        if let Some(Pace { repetitions, measure }) = &first.pace {
            let seconds = measure.secs as f64 + f64::from(measure.nanos) / 1e9;
            write!(f, ", {repetitions} repetitions of {seconds} s")?;
        }
        let placed = if first.pinned { "the load on a core of its own" } else { "nothing pinned" };
        writeln!(f, ", {placed}. Others used {:.2} cores at most.", self.foreign())
    }
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.circumstances(f)?;
        let met = self.verdicts().filter(|(_, verdict)| verdict.is_met()).count();
        writeln!(f, "**{met} of {} targets are met.**\n", self.verdicts().count())?;
        writeln!(f, "| scenario | load | of | asked | median (lowest-highest) | |\n|---|---|---|---|---|---|")?;
        for (name, verdict) in self.verdicts() {
            let Verdict { load, of, figure, least, target, value } = verdict;
            let (sign, met) = (if *least { ">=" } else { "<=" }, if verdict.is_met() { "met" } else { "**MISSED**" });
            let asked = format!("{figure} {sign} {}", short(*target));
            writeln!(f, "| {name} | {load} | {of} | {} | {} | {met} |", asked.trim_start(), spread(*value))?;
        }
        for plot in &self.plots {
            writeln!(f, "\n![Time on a core for each message]({plot})")?;
        }
        let others = self.scenarios.iter().flat_map(|(name, scenario)| scenario.figures.iter().map(move |f| (name, f)));
        let others: Vec<_> = others.filter(|(_, figure)| figure.most.is_none()).collect();
        if !others.is_empty() {
            writeln!(f, "\n| scenario | figure | median (lowest-highest) |\n|---|---|---|")?;
        }
        for (name, Figure { name: figure, unit, value, .. }) in others {
            writeln!(f, "| {name} | {figure} | {} {unit} |", spread(*value))?;
        }
        Ok(())
    }
}

/// `text` with another summary; `None` without the two comments in their order.
fn replaced(text: &str, summary: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{summary}\n{END}{after}"))
}

fn spread(Spread { min, median, max }: Spread) -> String {
    match min == max {
        true => short(median),
        false => format!("{} ({}-{})", short(median), short(min), short(max)),
    }
}

/// Three digits that count.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{self, Report, tests::case};

    /// What a scenario writes, read again.
    fn summary(least: f64) -> Summary {
        let mut report = Report {
            scenario: "s1",
            version: "1.2.3",
            machine: Machine::here(),
            pace: None,
            pinned: true,
            cases: vec![case(least, 1.1)],
            idle: Vec::new(),
            figures: vec![report::Figure::new("a storm", "conn/s", Spread::of([1234.0]))],
            verdicts: Vec::new(),
        };
        report.judge();
        let mut summary = Summary::new(Machine::here());
        summary.add("s1", &serde_json::to_string(&report).expect("JSON")).expect("a report");
        summary
    }

    #[test]
    fn every_target_has_its_line_and_its_verdict() {
        let text = summary(0.97).to_string();
        for part in [
            "Version 1.2.3",
            "**1 of 2 targets are met.**",
            "| s1 | a case | ours / epoll | throughput >= 0.97 | 0.96 (0.9-1) | **MISSED** |",
            "| s1 | a case | ours / epoll | time <= 1.1 | 1.1 (1.05-1.2) | met |",
            "| s1 | a storm | 1234 conn/s |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(summary(0.9).is_met() && !summary(0.97).is_met());
    }

    #[test]
    fn a_document_keeps_all_but_what_stands_between_the_comments() {
        let text = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = replaced(&text, "new\n").expect("both comments");
        assert_eq!(new, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replaced(&new, "new\n"), Some(new));
        assert_eq!(replaced(&format!("{END} {BEGIN}"), "new"), None);
    }

    #[test]
    fn three_digits_of_a_figure_count() {
        assert_eq!(
            [1234.5, 12.34, 1.234, 0.1234, 3.0, 0.0, 100.0].map(short),
            ["1234", "12.3", "1.23", "0.123", "3", "0", "100"]
        );
    }
}
