//! The steps of the test command, the quick ones first.

use std::{env, path::PathBuf, process::Command, time::Instant};

use crate::{
    backends,
    command::{Outcome, cargo, cargo_once, root, run},
    deny, features,
    progress::span,
    servers, setup, suites,
};

/// One thing that must hold.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    run: fn() -> Outcome,
}

/// In order. The tests are last, so that their summaries end the output.
pub(crate) const STEPS: [Step; 7] = [
    Step { name: "setup", about: "tools and servers are there, or get installed", run: setup::setup },
    Step { name: "fmt", about: "every file is formatted", run: format },
    Step { name: "deny", about: "licences and sources of dependencies are allowed", run: deny::check },
    Step { name: "clippy", about: "no warning in any target, with default and with all features", run: clippy },
    Step { name: "features", about: "no warning with each feature alone, none, default and full", run: features::each },
    Step { name: "docs", about: "every public item is documented and no link is broken", run: docs },
    Step {
        name: "test",
        about: "all tests, on every server: unit, doc, tidy, fuzz corpus, whole cluster, Go, browser",
        run: test,
    },
];

/// The words `--only` takes.
pub(crate) fn names() -> Vec<&'static str> {
    STEPS.iter().map(|s| s.name).collect()
}

/// Takes the steps one by one, stops at the first that fails, and says how long each took.
pub(crate) fn take(steps: &[&Step]) -> Outcome {
    let start = Instant::now();
    for (i, step) in steps.iter().enumerate() {
        let begin = Instant::now();
        eprintln!("\n== {}/{} {}: {}", i + 1, steps.len(), step.name, step.about);
        (step.run)().map_err(|why| format!("{} failed after {}: {why}", step.name, span(begin.elapsed())))?;
        eprintln!("== {} passed in {}", step.name, span(begin.elapsed()));
    }
    eprintln!("== all {} steps passed in {}", steps.len(), span(start.elapsed()));
    Ok(())
}

fn format() -> Outcome {
    run(cargo().args(["fmt", "--all", "--check"])).map_err(|e| format!("{e}; `cargo xtask fmt` mends it"))
}

fn clippy() -> Outcome {
    for features in [&["--all-features"][..], &[]] {
        run(cargo_once()
            .args(["clippy", "--workspace", "--all-targets"])
            .args(features)
            .args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

fn docs() -> Outcome {
    run(cargo_once().args(["doc", "--workspace", "--no-deps", "--all-features"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The servers end with this process, however it ends. What the suites saw on them must stand in the page of backends.
fn test() -> Outcome {
    let everything = ["--workspace", "--all-features"];
    // Tests start programs too. Built in one go with the tests, they share every dependency with them.
    run(cargo_once().arg("build").args(everything).args(["--bins", "--tests"]))?;
    let servers = servers::all()?;
    backends::forget()?;
    let with = |tests: &mut Command| {
        tests.env("DUE_TEST_SERVERS", "required").env("DUE_TEST_PROGRAMS", programs());
        tests.envs(servers.iter().map(|s| (s.program().variable(), s.address())));
        tests.env(backends::VARIABLE, backends::folder());
    };
    suites::run(&everything, with)?;
    let mut examples = cargo_once();
    examples.arg("test").args(everything).arg("--doc");
    with(&mut examples);
    run(&mut examples)?;
    backends::check()
}

/// Where cargo puts programs.
fn programs() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    root().join(target).join("debug")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_ends_the_run_and_names_its_step() {
        let good = Step { name: "good", about: "", run: || Ok(()) };
        let bad = Step { name: "bad", about: "", run: || Err("no".into()) };
        assert_eq!(take(&[&good]), Ok(()));
        let why = take(&[&good, &bad, &good]).unwrap_err();
        assert!(why.starts_with("bad failed") && why.ends_with(": no"), "{why}");
    }
}
