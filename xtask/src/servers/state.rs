//! What `up` started, remembered for `down`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use due_servers::{Alive, Program, home};
use serde_json::{Value, json};

use crate::command::Outcome;

/// A server that `up` started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) process: Alive,
    /// `host:port`.
    pub(super) address: String,
}

/// By name. Written to a file after each change.
pub(super) struct State {
    path: PathBuf,
    known: BTreeMap<String, Known>,
}

impl State {
    pub(super) fn load() -> Outcome<Self> {
        Self::read(home().join("run/state.json"))
    }

    fn read(path: PathBuf) -> Outcome<Self> {
        if !path.exists() {
            return Ok(Self { path, known: BTreeMap::new() });
        }
        let broken = |e: &dyn std::fmt::Display| {
            let path = path.display();
            format!("cannot read {path}: {e}; stop the servers it was for by hand, then remove it")
        };
        let text = fs::read_to_string(&path).map_err(|e| broken(&e))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| broken(&e))?;
        let entries = json.as_object().ok_or_else(|| broken(&"no object"))?;
        let known = entries.iter().map(|(name, entry)| Some((name.clone(), known(entry)?))).collect::<Option<_>>();
        let known = known.ok_or_else(|| broken(&"an entry lacks pid, started or address"))?;
        Ok(Self { path, known })
    }

    /// What was started under this name, whether it still runs or not.
    pub(super) fn known(&self, program: Program) -> Option<&Known> {
        self.known.get(program.name())
    }

    /// What runs.
    pub(super) fn up(&self, program: Program) -> Option<&Known> {
        self.known(program).filter(|known| known.process.runs())
    }

    pub(super) fn remember(&mut self, program: Program, known: Known) -> Outcome {
        self.known.insert(program.name().into(), known);
        self.write()
    }

    pub(super) fn forget(&mut self, program: Program) -> Outcome {
        self.known.remove(program.name());
        self.write()
    }

    /// A file is whole or not there.
    fn write(&self) -> Outcome {
        let entry = |k: &Known| json!({ "pid": k.process.pid, "started": k.process.started, "address": k.address });
        let json: Value = self.known.iter().map(|(name, known)| (name.clone(), entry(known))).collect();
        let (new, folder) = (self.path.with_extension("new"), self.path.parent().unwrap_or(Path::new(".")));
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&new, format!("{json:#}\n")));
        let written = written.and_then(|()| fs::rename(&new, &self.path));
        written.map_err(|e| format!("cannot write {}: {e}", self.path.display()))
    }
}

fn known(entry: &Value) -> Option<Known> {
    let (pid, started) = (entry["pid"].as_u64()?.try_into().ok()?, entry["started"].as_u64()?);
    Some(Known { process: Alive { pid, started }, address: entry["address"].as_str()?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_remembered_and_a_used_number_is_not_taken_for_it() {
        let folder = std::env::temp_dir().join(format!("due-state-{}", std::process::id()));
        let path = folder.join("state.json");
        let me = Alive::of(std::process::id()).unwrap();
        let before = Alive { started: me.started - 1, ..me };
        let mut state = State::read(path.clone()).unwrap();
        state.remember(Program::Redis, Known { process: me, address: "127.0.0.1:1".into() }).unwrap();
        state.remember(Program::Nats, Known { process: before, address: "127.0.0.1:2".into() }).unwrap();
        let mut again = State::read(path.clone()).unwrap();
        assert_eq!(again.up(Program::Redis).map(|k| k.address.as_str()), Some("127.0.0.1:1"));
        assert_eq!(again.known(Program::Nats).map(|k| k.process), Some(before));
        assert_eq!(again.up(Program::Nats), None);
        again.forget(Program::Redis).unwrap();
        assert_eq!(State::read(path.clone()).unwrap().known(Program::Redis), None);
        fs::write(&path, "{").unwrap();
        assert!(State::read(path).is_err_and(|why| why.contains("state.json") && why.contains("remove it")));
        fs::remove_dir_all(folder).unwrap();
    }
}
