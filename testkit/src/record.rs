//! What the run of a suite says of a backend, kept for the tables of `docs/backends.md`.
//!
//! Where the environment variable `DUE_TEST_CAPABILITIES` names a folder, every suite that ends well leaves a file there. The
//! name of the test that runs it says of which backend: in `redis_streams_do_what_every_bus_does` it is what stands before
//! `_do_what_every_`; `_does_what_every_` and `_may_be_` end it too. Suites of other tests, of a backend with a planted
//! fault say, leave nothing.

use std::{env, fs, path::PathBuf, thread};

use due_core::{Error, Result, bus, config, locate, registry};
use serde_json::json;

use crate::suite::{CANNOT, Report};

/// Names the folder, as an absolute path.
const FOLDER: &str = "DUE_TEST_CAPABILITIES";

/// What stands behind the name of the backend in the name of a test.
const VERBS: [&str; 3] = ["_does_what_every_", "_do_what_every_", "_may_be_"];

/// What a backend promises, as one who uses it reads it.
pub trait Claims {
    /// The contract that the backend implements.
    const CONTRACT: &'static str;

    /// Its capabilities, always the same ones in the same order.
    fn claims(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

impl Claims for crate::registry::Bench {
    const CONTRACT: &'static str = "registry";

    fn claims(&self) -> Vec<(&'static str, String)> {
        let can = self.a.capability();
        let unique = match can.unique_ids {
            registry::UniqueIds::Enforced => "a second holder is refused",
            registry::UniqueIds::Detected => "a second holder is found out",
        };
        let list = match can.list {
            registry::Reads::Linearizable => "all that was acknowledged".to_owned(),
            registry::Reads::Bounded(age) => format!("all that was acknowledged {age:?} before"),
            registry::Reads::Stale => "may be old".to_owned(),
        };
        let (least, most) = can.expiry;
        let expiry = if least.is_zero() { format!("up to {most:?}") } else { format!("{least:?} to {most:?}") };
        vec![
            ("one id", unique.to_owned()),
            ("a list shows", list),
            ("a killed instance vanishes after", expiry),
            ("largest instance", format!("{} bytes", can.max_metadata)),
        ]
    }
}

impl Claims for crate::locate::Bench {
    const CONTRACT: &'static str = "locator";

    fn claims(&self) -> Vec<(&'static str, String)> {
        let locate::Capability { keeps_writes, rises_alone, max_check } = self.a.capability();
        vec![
            ("keeps every acknowledged write", yes(keeps_writes)),
            ("epochs rise over a wipe without help", yes(rises_alone)),
            ("bindings in one check", max_check.to_string()),
        ]
    }
}

impl Claims for crate::bus::Bench {
    const CONTRACT: &'static str = "eventbus";

    fn claims(&self) -> Vec<(&'static str, String)> {
        let bus::Capability { group, group_order, durable, replay, receipt } = self.a.capability();
        let receipt = match receipt {
            bus::Level::Sent => "it was sent",
            bus::Level::Accepted => "the broker has it",
            bus::Level::Stored => "the broker keeps it",
        };
        vec![
            ("groups", yes(group)),
            ("order of a key in a group", yes(group_order)),
            ("durable names", yes(durable)),
            ("replay", yes(replay)),
            ("best receipt", receipt.to_owned()),
        ]
    }
}

impl Claims for crate::config::Bench {
    const CONTRACT: &'static str = "config";

    fn claims(&self) -> Vec<(&'static str, String)> {
        let can = self.a.capability();
        let cas = match can.cas {
            config::Cas::Atomic => "no update is lost",
            config::Cas::BestEffort => "two hosts may overwrite each other",
        };
        vec![("conditional writes", cas.to_owned()), ("writable", yes(can.writable))]
    }
}

impl Claims for crate::transport::Bench {
    const CONTRACT: &'static str = "transport";

    fn claims(&self) -> Vec<(&'static str, String)> {
        let come_back = self.faults.as_ref().is_some_and(|faults| faults.come_back());
        vec![("a lost connection comes back without a loss", yes(come_back))]
    }
}

impl Claims for crate::lock::Bench {
    const CONTRACT: &'static str = "lock";
}

impl Claims for crate::cache::Bench {
    const CONTRACT: &'static str = "cache";
}

impl Claims for crate::network::Bench {
    const CONTRACT: &'static str = "network";
}

fn yes(it: bool) -> String {
    if it { "yes" } else { "no" }.to_owned()
}

/// Leaves what a run has shown, if anybody asked and the running test names a backend. Errors: `Config` for a folder that
/// cannot be written.
pub(crate) fn record(contract: &str, claims: &[(&str, String)], report: &Report) -> Result<()> {
    let Some(folder) = env::var_os(FOLDER).filter(|f| !f.is_empty()).map(PathBuf::from) else { return Ok(()) };
    let thread = thread::current();
    let Some(test) = thread.name().and_then(|path| path.rsplit("::").next()) else { return Ok(()) };
    let Some(backend) = backend(test) else { return Ok(()) };
    let unplayed = report.skipped.iter().filter(|(_, why)| *why == CANNOT).map(|(case, _)| case);
    let shown = json!({
        "contract": contract,
        "backend": backend,
        "claims": claims,
        "passed": report.passed,
        "unplayed": unplayed.collect::<Vec<_>>(),
    });
    let file = folder.join(format!("{contract}.{test}.json"));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&file, format!("{shown:#}\n")));
    written.map_err(|e| {
        let name = file.display();
        Error::config(format!("{FOLDER}: {name} cannot be written: name a folder that can, or none")).because(e)
    })
}

/// The backend in the name of a test.
fn backend(test: &str) -> Option<String> {
    let at = VERBS.iter().filter_map(|verb| test.find(verb)).min()?;
    Some(test.get(..at)?.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_names_the_backend_whose_suite_it_runs() {
        assert_eq!(backend("redis_streams_do_what_every_bus_does").as_deref(), Some("redis streams"));
        assert_eq!(backend("etcd_may_be_killed_stopped_and_wiped").as_deref(), Some("etcd"));
        assert_eq!(backend("a_planted_fault_is_found"), None);
    }
}
