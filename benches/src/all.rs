//! Every scenario in order, each as a process of its own, and what they add up to.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, Instant},
};

use clap::ValueEnum;

use crate::{Fallible, measure::Machine, peers::Against, say, summary::Summary, syscalls::Counter};

/// Of `all`.
#[derive(clap::Args)]
pub(crate) struct AllArgs {
    /// A folder for the figures: a file for each scenario, and summary.md.
    #[arg(long, value_name = "FOLDER")]
    json: PathBuf,
    /// Compare with these, each scenario with those it can.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["epoll", "due", "nano", "pitaya", "kcpgo"])]
    against: Vec<Against>,
    /// Only these scenarios; the summary has what stands in the folder of the others.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// One short repetition of little load: shows that everything runs, and nothing else.
    #[arg(long)]
    quick: bool,
    /// Pin nothing: servers and load share all cores.
    #[arg(long)]
    free: bool,
    /// Put the summary into this file, between the two comments that are there for it.
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
    /// Leave with 2 when a target is missed.
    #[arg(long)]
    require: bool,
}

/// A scenario of the plan.
struct Step {
    name: &'static str,
    /// Cases times servers that have figures of their own against all peers, about.
    runs: u32,
    /// What it takes.
    wants: &'static [Wants],
    /// More for a run that counts.
    full: &'static str,
    /// Less for a quick one.
    quick: &'static str,
}

/// Arguments that not all scenarios have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Peers,
    Pace,
    Syscalls,
    Plot,
}

use Wants::{Pace, Peers, Plot, Syscalls};

const PAIR: &str = "--connections 8 --bodies 128";
const PLAN: &[Step] = &[
    Step { name: "s1", runs: 24, wants: &[Peers, Pace, Syscalls], full: "", quick: PAIR },
    Step { name: "s2", runs: 24, wants: &[Peers, Pace, Syscalls], full: "", quick: PAIR },
    Step { name: "s3", runs: 62, wants: &[Peers, Pace, Syscalls], full: "", quick: PAIR },
    Step {
        name: "s4",
        runs: 40,
        wants: &[Peers, Pace],
        full: "--messages 1000000",
        quick: "--messages 2000 --connections 8 --bodies 128",
    },
    Step { name: "s5", runs: 6, wants: &[Peers, Pace], full: "", quick: "--rates 50@1000" },
    Step {
        name: "s6",
        runs: 48,
        wants: &[Peers, Pace],
        full: "",
        quick: "--members 50 --rooms 1 --messages 2 --bodies 128",
    },
    Step {
        name: "s7",
        runs: 16,
        wants: &[Peers, Pace],
        full: "--members 2000",
        quick: "--members 50 --messages 2 --bodies 128",
    },
    Step {
        name: "neighbours",
        runs: 4,
        wants: &[Pace],
        full: "",
        quick: "--connections 20 --rate 1000 --disturbers 2 --flood 10000",
    },
    Step { name: "s8", runs: 12, wants: &[Peers], full: "", quick: "--connections 100 --due-connections 100" },
    Step { name: "s9", runs: 12, wants: &[Peers, Pace], full: "", quick: "--visitors 4 --storm 50" },
    Step { name: "s10", runs: 24, wants: &[Pace], full: "", quick: "--callers 8 --bodies 100" },
    Step { name: "s11", runs: 7, wants: &[Pace], full: "--actors 1000000", quick: "--actors 100" },
    Step {
        name: "s12",
        runs: 10,
        wants: &[Peers, Pace, Syscalls],
        full: "--seconds 3",
        quick: "--sessions 10 --loss 0,20",
    },
    Step { name: "s13", runs: 16, wants: &[Pace, Syscalls], full: "", quick: PAIR },
    Step { name: "extras", runs: 16, wants: &[Pace, Syscalls], full: "", quick: "--connections 2 --body 64" },
    Step {
        name: "growth",
        runs: 25,
        wants: &[Pace, Plot],
        full: "",
        quick: "--connections 8,16 --shards 1,2 --nodes 1,2",
    },
];

/// Repetitions, seconds of each, of a run that counts; as the scenarios have them unless told.
const FULL: (u32, f64) = (5, 2.0);
const QUICK: (u32, f64) = (1, 0.3);
const QUICK_PACE: &str = "--repetitions 1 --retries 0 --seconds 0.2 --warm-up 0.1";

impl Step {
    /// How long it takes, about.
    fn estimate(&self, quick: bool) -> Duration {
        let (repetitions, seconds) = if quick { QUICK } else { FULL };
        Duration::from_secs_f64(f64::from(self.runs * repetitions) * seconds) + Duration::from_secs(3)
    }

    /// The name of the file with its curves.
    fn plot(&self) -> String {
        format!("{}.svg", self.name)
    }

    fn words(&self, args: &AllArgs, counts: bool) -> Vec<String> {
        let has = |wanted| self.wants.contains(&wanted);
        let mut words = vec![self.name.to_owned()];
        let mut add = |text: &str| words.extend(text.split_whitespace().map(String::from));
        add(if args.quick { self.quick } else { self.full });
        if has(Pace) && args.quick {
            add(QUICK_PACE);
        }
        if has(Syscalls) && counts {
            add("--syscalls");
        }
        if has(Peers) {
            add("--against");
            add(&args.names().join(","));
        }
        if self.name == "s4" && !args.against.contains(&Against::Due) {
            add("--no-go");
        }
        if args.free {
            add("--free");
        }
        if has(Plot) {
            words.extend(["--svg".to_owned(), args.json.join(self.plot()).display().to_string()]);
        }
        words
    }
}

impl AllArgs {
    fn names(&self) -> Vec<String> {
        let named = self.against.iter().filter_map(Against::to_possible_value);
        named.map(|value| value.get_name().to_owned()).collect()
    }

    /// What is to be run, in the order of the plan.
    fn steps(&self) -> Fallible<Vec<&'static Step>> {
        let known = |name: &String| PLAN.iter().any(|step| step.name == *name);
        if let Some(name) = self.only.iter().find(|name| !known(name)) {
            let names: Vec<_> = PLAN.iter().map(|step| step.name).collect();
            return Err(format!("--only {name}: want some of {}", names.join(",")).into());
        }
        let wanted = |step: &&Step| self.only.is_empty() || self.only.iter().any(|name| name == step.name);
        Ok(PLAN.iter().filter(wanted).collect())
    }
}

/// Runs the plan. A scenario that fails does not keep the others from running.
pub(crate) fn run(args: &AllArgs) -> Fallible<bool> {
    let steps = args.steps()?;
    fs::create_dir_all(&args.json).map_err(|e| format!("{}: {e}", args.json.display()))?;
    let counts = can_count()?;
    let mut clock = Clock::new(steps.iter().map(|step| step.estimate(args.quick)).sum());
    let mut failed = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        say(&format!("\n== {} ({} of {}), {} left", step.name, i + 1, steps.len(), clock.left()))?;
        let begin = Instant::now();
        if let Err(e) = run_step(step, args, counts) {
            say(&format!("{}: {e}", step.name))?;
            failed.push(step.name);
        }
        clock.passed(step.estimate(args.quick), begin.elapsed());
    }
    let summary = summarize(args)?;
    match failed.as_slice() {
        [] => Ok(summary.is_met() || !args.require),
        names => Err(format!("no figures of {}; what was said is above", names.join(", ")).into()),
    }
}

/// Its figures of another day go first: they would pass for those of today.
fn run_step(step: &Step, args: &AllArgs, counts: bool) -> Fallible<()> {
    let path = file(&args.json, step.name);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(format!("{}: {e}", path.display()).into()),
        _ => {}
    }
    let mut command = Command::new(env::current_exe()?);
    let status = command.args(step.words(args, counts)).arg("--json").arg(&path).status()?;
    if status.success() { Ok(()) } else { Err(format!("failed: {status}").into()) }
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(name).with_extension("json")
}

/// Can system calls be counted here? Says so if not.
fn can_count() -> Fallible<bool> {
    let counted = Counter::start([process::id()].into_iter()).and_then(Counter::stop);
    if let Err(e) = &counted {
        say(&format!("without system calls: {e}"))?;
    }
    Ok(counted.is_ok())
}

fn summarize(args: &AllArgs) -> Fallible<Summary> {
    let mut summary = Summary::new(Machine::here());
    for step in PLAN {
        let path = file(&args.json, step.name);
        if path.is_file() {
            summary.read(step.name, &path).map_err(|e| format!("{}: {e}", path.display()))?;
            if step.wants.contains(&Plot) {
                summary.plots.push(step.plot());
            }
        }
    }
    let text = summary.to_string();
    let path = args.json.join("summary.md");
    fs::write(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    say(&format!("\n{text}"))?;
    if let Some(document) = &args.document {
        summary.put_into(document)?;
        for plot in &summary.plots {
            let (from, to) = (args.json.join(plot), document.with_file_name(plot));
            fs::copy(&from, &to).map_err(|e| format!("{} to {}: {e}", from.display(), to.display()))?;
        }
    }
    Ok(summary)
}

/// How long it will take yet, by how long it has taken so far.
struct Clock {
    estimated: Duration,
    planned: Duration,
    taken: Duration,
}

impl Clock {
    fn new(estimated: Duration) -> Self {
        Self { estimated, planned: Duration::ZERO, taken: Duration::ZERO }
    }

    fn passed(&mut self, planned: Duration, taken: Duration) {
        self.planned += planned;
        self.taken += taken;
    }

    fn left(&self) -> String {
        let pace = if self.planned.is_zero() { 1.0 } else { self.taken.as_secs_f64() / self.planned.as_secs_f64() };
        let seconds = self.estimated.saturating_sub(self.planned).as_secs_f64() * pace;
        if seconds < 90.0 { format!("about {seconds:.0} s") } else { format!("about {:.0} min", seconds / 60.0) }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command};

    fn args(text: &str) -> AllArgs {
        let words = ["due-benches", "all", "--json", "figures"].into_iter().chain(text.split_whitespace());
        let Command::All(args) = Args::parse_from(words).command else { panic!("another command") };
        args
    }

    #[test]
    fn every_step_is_a_scenario_with_arguments_that_it_knows() {
        for text in ["", "--quick", "--against epoll --free"] {
            let args = args(text);
            for step in PLAN {
                let words = ["due-benches".to_owned()].into_iter().chain(step.words(&args, true));
                assert!(Args::try_parse_from(words.clone()).is_ok(), "{:?}", words.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn scenarios_are_chosen_by_name_and_keep_their_order() {
        let names = |text| args(text).steps().map(|steps| steps.iter().map(|step| step.name).collect::<Vec<_>>());
        assert_eq!(names("--only s3,s1").expect("both are known"), ["s1", "s3"]);
        assert_eq!(names("").expect("all").len(), PLAN.len());
        assert!(names("--only s99").is_err_and(|e| e.to_string().contains("s99")));
    }

    #[test]
    fn what_is_left_follows_what_was_taken() {
        let mut clock = Clock::new(Duration::from_secs(600));
        assert_eq!(clock.left(), "about 10 min");
        clock.passed(Duration::from_secs(300), Duration::from_secs(600));
        assert_eq!(clock.left(), "about 10 min");
        clock.passed(Duration::from_secs(300), Duration::from_secs(600));
        assert_eq!(clock.left(), "about 0 s");
    }
}
