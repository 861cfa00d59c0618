//! Plants known bugs, one at a time, in a copy of the sources, and wants the tests to find each.
//!
//! The bugs are the rules of the protocols left out, one by one: what the exhaustive models of the design break by.

mod bugs;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use self::bugs::BUGS;
use crate::{
    command::{Outcome, cargo, output, program, root},
    progress::span,
};

/// One rule left out.
pub(crate) struct Bug {
    /// What goes wrong.
    pub(crate) name: &'static str,
    /// The source with the rule, from the root.
    pub(crate) file: &'static str,
    /// The rule as it stands there, once.
    pub(crate) right: &'static str,
    pub(crate) wrong: &'static str,
    /// The tests that are to find it, as `cargo test` is told.
    pub(crate) found_by: &'static [&'static str],
}

impl Bug {
    /// The source with the bug in it.
    fn plant(&self, source: &str) -> Outcome<String> {
        match source.matches(self.right).count() {
            1 => Ok(source.replacen(self.right, self.wrong, 1)),
            n => Err(format!(
                "{}: the lines of the planted bug `{}` are there {n} times, not once",
                self.file, self.name
            )),
        }
    }
}

/// Plants those whose name holds one of `wanted` (all, if it is empty), and tells which were found.
pub(crate) fn run(wanted: &[String]) -> Outcome {
    let chosen = |bug: &&Bug| wanted.is_empty() || wanted.iter().any(|w| bug.name.contains(w.as_str()));
    let bugs: Vec<&Bug> = BUGS.iter().filter(chosen).collect();
    let field = Field::copied()?;
    for tests in distinct(&bugs) {
        field.passes(tests)?;
    }
    let mut missed = Vec::new();
    for bug in &bugs {
        let begin = Instant::now();
        let found = field.finds(bug)?;
        println!("{:<6} {} ({})", if found { "found" } else { "MISSED" }, bug.name, span(begin.elapsed()));
        if !found {
            missed.push(bug.name);
        }
    }
    if missed.is_empty() { Ok(()) } else { Err(format!("no test found: {}", missed.join("; "))) }
}

fn distinct(bugs: &[&Bug]) -> Vec<&'static [&'static str]> {
    let mut all: Vec<_> = bugs.iter().map(|bug| bug.found_by).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The copy of the sources.
struct Field {
    tree: PathBuf,
}

impl Field {
    /// Copies what git knows; files that are alike stay, so that little is built again.
    fn copied() -> Outcome<Self> {
        let tree = root().join("target/planted/tree");
        for file in output(program("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?.lines() {
            let Ok(bytes) = fs::read(root().join(file)) else { continue };
            write(&tree.join(file), &bytes)?;
        }
        Ok(Self { tree })
    }

    /// The tests as they are.
    fn passes(&self, tests: &[&str]) -> Outcome {
        eprintln!("without a bug: cargo test {}", tests.join(" "));
        match self.test(tests, true)? && self.test(tests, false)? {
            true => Ok(()),
            false => {
                Err(format!("`cargo test {}` fails without a planted bug; see `cargo xtask test`", tests.join(" ")))
            }
        }
    }

    fn finds(&self, bug: &Bug) -> Outcome<bool> {
        let path = self.tree.join(bug.file);
        let source = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        write(&path, bug.plant(&source)?.as_bytes())?;
        let found = match self.test(bug.found_by, true) {
            Ok(true) => self.test(bug.found_by, false).map(|passed| !passed),
            Ok(false) => Err(format!("the planted bug `{}` does not compile", bug.name)),
            Err(why) => Err(why),
        };
        write(&path, source.as_bytes())?;
        found
    }

    /// Builds or runs tests; whether that succeeded.
    fn test(&self, tests: &[&str], build_only: bool) -> Outcome<bool> {
        let mut command: Command = cargo();
        command.arg("test").args(tests).arg("--quiet");
        if build_only {
            command.arg("--no-run");
        }
        command.current_dir(&self.tree);
        if env::var_os("CARGO_TARGET_DIR").is_none() {
            // Not the one of the sources: to cargo both are the same packages, and it would take the bugs for them.
            command.env("CARGO_TARGET_DIR", root().join("target/planted/build"));
        }
        let done = command.output().map_err(|e| format!("cannot start cargo: {e}"))?;
        if build_only && !done.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(done.status.success())
    }
}

/// Writes a file, unless it is like that.
fn write(path: &Path, bytes: &[u8]) -> Outcome {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let parent = path.parent().map_or(Ok(()), fs::create_dir_all);
    parent.and_then(|()| fs::write(path, bytes)).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bug_can_still_be_planted() {
        for bug in &BUGS {
            let source = fs::read_to_string(root().join(bug.file)).unwrap();
            let planted = bug.plant(&source).unwrap_or_else(|why| panic!("{why}"));
            assert_ne!(planted, source, "{}", bug.name);
        }
    }
}
