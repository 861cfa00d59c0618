//! Runs the test programs of the workspace, two at a time: most of them wait for servers, not for the processor.

use std::{
    collections::VecDeque,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use serde_json::Value;

use crate::{
    command::{Outcome, cargo_once, output, root},
    progress::span,
};

/// Programs at a time.
const AT_A_TIME: usize = 2;
/// Those that fill the machine by themselves: they run when all others have ended.
const ALONE: [&str; 4] = ["fleet", "load", "idle_memory", "due_benches"];

/// Those that take long, the longest first, so that none of them is left at the end.
const LONG: [&str; 7] = ["servers", "redis", "etcd", "rabbitmq", "nats", "kafka", "ui"];

/// A test program as cargo built it.
struct Suite {
    /// `due-cluster actor`: package and target.
    name: String,
    file: PathBuf,
    /// The folder of its package.
    home: PathBuf,
    package: String,
    target: String,
}

impl Suite {
    fn command(&self, with: &dyn Fn(&mut Command)) -> Command {
        let mut command = Command::new(&self.file);
        // What cargo tells the tests that it runs.
        command.current_dir(&self.home).env("CARGO_MANIFEST_DIR", &self.home).env("CARGO_PKG_NAME", &self.package);
        command.env("CARGO", env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        with(&mut command);
        command.stdin(Stdio::null());
        command
    }

    fn is_alone(&self) -> bool {
        ALONE.contains(&self.target.as_str())
    }
}

/// Runs all of them, and prints what each said when it has ended. Names those that failed.
pub(crate) fn run(args: &[&str], with: impl Fn(&mut Command) + Sync) -> Outcome {
    let (alone, together): (Vec<Suite>, Vec<Suite>) = built(args)?.into_iter().partition(Suite::is_alone);
    eprintln!("{} test programs, {AT_A_TIME} at a time, then {} alone", together.len(), alone.len());
    let mut failed = run_some(together, AT_A_TIME, &with)?;
    failed.extend(run_some(alone, 1, &with)?);
    if failed.is_empty() { Ok(()) } else { Err(format!("{} failed: {}", failed.len(), failed.join(", "))) }
}

fn run_some(suites: Vec<Suite>, at_a_time: usize, with: &(dyn Fn(&mut Command) + Sync)) -> Outcome<Vec<String>> {
    let queue = Mutex::new(VecDeque::from(suites));
    let failed = Mutex::new(Vec::new());
    let worker = &|lane: usize| -> Outcome {
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        while let Some(suite) = next() {
            if !run_one(&suite, lane, with)? {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push(suite.name);
            }
        }
        Ok(())
    };
    let ends: Vec<Outcome> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..at_a_time).map(|lane| scope.spawn(move || worker(lane))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap_or_else(|_| Err("a lane panicked".into()))).collect()
    });
    ends.into_iter().collect::<Outcome>()?;
    Ok(failed.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Runs one with its output in a file, so that two do not mix.
fn run_one(suite: &Suite, lane: usize, with: &dyn Fn(&mut Command)) -> Outcome<bool> {
    let log = root().join(format!("target/test-{lane}.log"));
    let begin = Instant::now();
    let out = fs::File::create(&log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let err = out.try_clone().map_err(|e| format!("cannot write {}: {e}", log.display()))?;
    let mut child = suite.command(with);
    let child = child.stdout(out).stderr(err).spawn();
    let mut child = child.map_err(|e| format!("cannot start {}: {e}", suite.file.display()))?;
    let status = child.wait().map_err(|e| format!("cannot wait for {}: {e}", suite.name))?;
    let said = fs::read(&log).unwrap_or_default();
    let how = if status.success() { "passed" } else { "FAILED" };
    eprint!("\n-- {} {how} in {}\n{}", suite.name, span(begin.elapsed()), String::from_utf8_lossy(&said).trim_start());
    Ok(status.success())
}

/// Builds the programs, and reads from cargo where they are; the long ones first, so that none is left at the end.
fn built(args: &[&str]) -> Outcome<Vec<Suite>> {
    let mut build = cargo_once();
    let told = output(build.arg("test").args(args).args(["--no-run", "--message-format=json-render-diagnostics"]))?;
    let messages = told.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut suites: Vec<Suite> = messages.filter_map(|message| suite(&message)).collect();
    suites.sort_by_key(|suite| LONG.iter().position(|target| *target == suite.target).unwrap_or(LONG.len()));
    Ok(suites)
}

fn suite(message: &Value) -> Option<Suite> {
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let file = is_test.then(|| message["executable"].as_str()).flatten()?;
    let home = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
    let target = message["target"]["name"].as_str()?.to_owned();
    let package = package(message["package_id"].as_str()?).to_owned();
    Some(Suite { name: format!("{package} {target}"), file: file.into(), home, package, target })
}

/// The name in `path+file:///due/cluster#due-cluster@0.1.0`, or in `path+file:///due/xtask#0.1.0`.
fn package(id: &str) -> &str {
    let (path, version) = id.rsplit_once('#').unwrap_or((id, ""));
    match version.split_once('@') {
        Some((name, _)) => name,
        None => path.rsplit('/').next().unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_program_is_known_by_its_message() {
        let id = "path+file:///due/cluster#due-cluster@0.1.0";
        let mut message = serde_json::json!({
            "reason": "compiler-artifact", "package_id": id, "manifest_path": "/due/cluster/Cargo.toml",
            "target": {"name": "actor"}, "profile": {"test": true}, "executable": "/due/target/debug/deps/actor-1",
        });
        let found = suite(&message).unwrap();
        assert_eq!((found.name.as_str(), found.home.as_path()), ("due-cluster actor", Path::new("/due/cluster")));
        message["profile"]["test"] = false.into();
        assert!(suite(&message).is_none());
        assert_eq!(package("path+file:///due/xtask#0.1.0"), "xtask");
    }
}
