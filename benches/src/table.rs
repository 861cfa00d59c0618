//! How figures are shown to people.

use std::fmt::{self, Display};

use crate::report::{Case, Figure, Idle, Ratio, Run, Series, Spread, Target};

impl Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = |what: &str| format!("{what}/{}", self.unit);
        writeln!(f, "\n{}", self.title)?;
        write!(
            f,
            "{:<24}{:>12}{:>10}{:>10}{:>10}",
            "server",
            format!("{}/s", self.unit),
            "p50 us",
            "p99 us",
            "p99.9 us"
        )?;
        writeln!(f, "{:>14}{:>14}{:>12}{:>9}{:>9}", per("ns"), per("calls"), per("instr"), "MiB", "foreign")?;
        self.series.iter().try_for_each(|series| line(series, f))?;
        if !self.ratios.is_empty() {
            writeln!(f, "{:<24}{:>22}{:>24}{:>24}", "ratio", format!("{}/s", self.unit), per("ns"), "p99")?;
        }
        self.ratios.iter().try_for_each(|ratio| write!(f, "{ratio}"))?;
        let verdict = |met: bool| if met { "met" } else { "MISSED" };
        self.verdicts().try_for_each(|(target, met)| writeln!(f, "target: {target}: {}", verdict(met)))
    }
}

fn line(series: &Series, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let latency = |figure: fn(&Run) -> f64| match series.middle(figure) {
        // What was not measured is not shown.
        0.0 => "-".into(),
        micros => format!("{micros:.1}"),
    };
    write!(f, "{:<24}{:>12.0}", series.name, series.middle(|run| run.messages_per_second))?;
    write!(f, "{:>10}{:>10}{:>10}", latency(|run| run.p50_us), latency(|run| run.p99_us), latency(|run| run.p999_us))?;
    let calls = series.calls_per_message.map_or_else(|| "-".into(), |calls| format!("{calls:.3}"));
    let instructions = series.instructions_per_message.map_or_else(|| "-".into(), |count| format!("{count:.0}"));
    write!(f, "{:>14.0}{calls:>14}{instructions:>12}", series.middle(|run| run.server_ns))?;
    let memory = series.middle(|run| run.memory as f64) / f64::from(1 << 20);
    writeln!(f, "{memory:>9.1}{:>9.2}{}", series.middle(|run| run.foreign), parts(series))
}

/// Time of each process, when there are several.
fn parts(series: &Series) -> String {
    let count = series.runs.first().map_or(0, |run| run.each_ns.len());
    let part = |i: usize| format!("{:.0}", series.middle(|run| run.each_ns.get(i).copied().unwrap_or_default()));
    match count {
        0 | 1 => String::new(),
        _ => format!("  ns = {}", (0..count).map(part).collect::<Vec<_>>().join(" + ")),
    }
}

impl Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spread = |spread: Spread| match spread.max {
            0.0 => "-".into(),
            _ => spread.to_string(),
        };
        let Self { name, to, throughput, cpu, p99 } = self;
        let pair = format!("{name} / {to}");
        writeln!(f, "{pair:<24}{:>22}{:>24}{:>24}", throughput.to_string(), cpu.to_string(), spread(*p99))
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.2}-{:.2})", self.median, self.min, self.max)
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.throughput.map(|least| format!("throughput >= {}", short(least)));
        let most = |name: &str, most: Option<f64>| most.map(|most| format!("{name} <= {}", short(most)));
        let counts = [most("calls", self.calls), most("instructions", self.instructions)];
        let ratios = [least, most("time", self.cpu), most("p99", self.p99)];
        let asked = ratios.into_iter().chain(counts).flatten();
        write!(f, "{} / {}: {}", self.name, self.to, asked.collect::<Vec<_>>().join(", "))
    }
}

/// Three digits behind the point at most.
fn short(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, connections, empty, silent, spoken, busy, kernel, most } = self;
        write!(f, "{name:<14}{connections:>7} connections: {silent:>7.0} B each, {spoken:>7.0} B after one echo, ")?;
        write!(f, "{busy:>7.0} B after 64 KiB; kernel {kernel:.0} B both ends; {} KiB without any", empty / 1024)?;
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        most.map_or(Ok(()), |most| write!(f, "; target <= {most} B: {verdict}"))?;
        writeln!(f)
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unit, value: Spread { min, median, max }, most } = self;
        let digits = if median.abs() < 10.0 { 3 } else { 1 };
        write!(f, "{name:<56}{median:>14.digits$} {unit} ({min:.digits$}-{max:.digits$})")?;
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        most.map_or(Ok(()), |most| write!(f, "; target <= {most}: {verdict}"))?;
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use crate::report::tests::case;

    #[test]
    fn a_table_has_its_columns_ratios_and_verdicts() {
        let text = case(0.97, 1.1).to_string();
        for part in ["msg/s", "p99.9 us", "ns/msg", "calls/msg", "foreign", "ns = 3 + 8", "ours / due", "MISSED"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(case(0.96, 1.1).to_string().contains(": met"));
    }
}
