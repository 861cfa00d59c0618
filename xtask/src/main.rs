//! Commands of the due repository: `cargo xtask --help`.

// A program for a terminal.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod apt;
mod backends;
mod command;
mod deny;
mod features;
mod fleet;
mod planted;
mod progress;
mod servers;
mod setup;
mod steps;
mod suites;
mod tools;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use command::{Outcome, cargo, run};
use steps::{STEPS, Step};

/// Commands of the due repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Proves everything: installs what is missing, then formats, lints, features, docs and all tests.
    #[command(visible_alias = "ci")]
    Test(Choice),
    /// Installs what the tests need and this machine lacks: tools, and servers.
    Setup,
    /// Real servers for tests by hand: installs, starts and stops them.
    #[command(subcommand)]
    Servers(servers::Order),
    /// Writes into docs/backends.md what the suites that ran last saw of each backend.
    Backends,
    /// The fleet example as a fleet: starts etcd, NATS and redis, two gates, three nodes and a mesh; stops all on Ctrl-C.
    Fleet,
    /// Plants known bugs, one at a time, in a copy of the sources, and wants the tests to find each.
    Plant {
        /// Only those whose description holds this.
        names: Vec<String>,
    },
    /// Formats every file.
    Fmt,
}

/// Which steps to take.
#[derive(Args)]
struct Choice {
    /// Takes this step only; may be given more than once.
    #[arg(long, value_name = "STEP", value_parser = steps::names())]
    only: Vec<String>,
    /// Leaves this step out; may be given more than once.
    #[arg(long, value_name = "STEP", value_parser = steps::names())]
    skip: Vec<String>,
    /// Prints the steps and takes none.
    #[arg(long)]
    list: bool,
}

impl Choice {
    fn steps(&self) -> Vec<&'static Step> {
        let has = |names: &[String], step: &Step| names.iter().any(|n| n == step.name);
        STEPS.iter().filter(|s| (self.only.is_empty() || has(&self.only, s)) && !has(&self.skip, s)).collect()
    }
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Test(choice) if choice.list => list(&choice.steps()),
        Task::Test(choice) => steps::take(&choice.steps()),
        Task::Setup => setup::setup(),
        Task::Servers(order) => order.obey(),
        Task::Backends => backends::write(),
        Task::Fleet => fleet::run(),
        Task::Plant { names } => planted::run(&names),
        Task::Fmt => run(cargo().args(["fmt", "--all"])),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nxtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn list(steps: &[&Step]) -> Outcome {
    steps.iter().for_each(|s| println!("{:<9} {}", s.name, s.about));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[track_caller]
    fn check(line: &[&str], expected: &[&str]) {
        let cli = Cli::try_parse_from([&["cargo xtask"], line].concat()).unwrap();
        let Task::Test(choice) = cli.task else { panic!("{line:?} is no test command") };
        assert_eq!(choice.steps().iter().map(|s| s.name).collect::<Vec<_>>(), expected, "{line:?}");
    }

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        check(&["test"], &["setup", "fmt", "deny", "clippy", "features", "docs", "test"]);
        check(&["ci", "--skip", "setup", "--skip", "docs"], &["fmt", "deny", "clippy", "features", "test"]);
        check(&["test", "--only", "test", "--only", "fmt"], &["fmt", "test"]);
        check(&["test", "--only", "fmt", "--skip", "fmt"], &[]);
        assert!(Cli::try_parse_from(["cargo xtask", "test", "--only", "tets"]).is_err());
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
