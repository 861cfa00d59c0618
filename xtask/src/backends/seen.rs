//! What the suites saw of the backends: each that ended well has left a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::command::Outcome;

/// The tables by contract.
pub(super) type Tables = BTreeMap<String, Table>;

/// What the backends of one contract can do.
#[derive(Default)]
pub(super) struct Table {
    columns: Vec<String>,
    backends: BTreeMap<String, Seen>,
}

/// What the tests of one backend saw.
#[derive(Default)]
struct Seen {
    cells: Vec<String>,
    passed: BTreeSet<String>,
    unplayed: BTreeSet<String>,
}

/// Reads all files of a folder; none if it is not there.
pub(super) fn read(folder: &Path) -> Outcome<Tables> {
    let mut tables = Tables::new();
    let Ok(files) = fs::read_dir(folder) else { return Ok(tables) };
    let mut paths: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let record = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        add(&mut tables, &record);
    }
    Ok(tables)
}

/// Takes over what one test has seen. A backend may have several tests: what one of them played was played, and the one
/// that played most says what it can do.
pub(super) fn add(tables: &mut Tables, record: &Value) {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let names = |key: &str| -> BTreeSet<String> { array(&record[key]).map(cell).collect() };
    let table = tables.entry(text("contract")).or_default();
    table.columns = array(&record["claims"]).map(|claim| cell(&claim[0])).collect();
    let seen = table.backends.entry(text("backend")).or_default();
    if seen.cells.is_empty() || seen.passed.len() < names("passed").len() {
        seen.cells = array(&record["claims"]).map(|claim| cell(&claim[1])).collect();
    }
    seen.passed.extend(names("passed"));
    seen.unplayed.extend(names("unplayed"));
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// As the cell of a table.
fn cell(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('|', "\\|")
}

impl Table {
    /// The lines that stand above the rows.
    pub(super) fn head(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).chain(["no test can play"]).collect();
        format!("| backend | {} |\n|{}\n", columns.join(" | "), "---|".repeat(columns.len() + 1))
    }

    /// The rows by backend.
    pub(super) fn rows(&self) -> BTreeMap<String, String> {
        self.backends.iter().map(|(name, seen)| (name.clone(), format!("| {name} | {} |", seen.cells()))).collect()
    }
}

impl Seen {
    fn cells(&self) -> String {
        let unplayed: Vec<String> = self.unplayed.difference(&self.passed).map(|case| case.replace('_', " ")).collect();
        let cells: Vec<String> = self.cells.iter().cloned().chain([unplayed.join(", ")]).collect();
        cells.join(" | ")
    }
}

/// The rows as lines: memory first, then by name.
pub(super) fn lines(rows: &BTreeMap<String, String>) -> String {
    let (memory, others): (Vec<_>, Vec<_>) = rows.iter().partition(|(name, _)| *name == "memory");
    memory.into_iter().chain(others).map(|(_, row)| format!("{row}\n")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;

    /// What a test of a bus leaves.
    pub(in super::super) fn record(backend: &str, groups: &str, passed: &[&str], unplayed: &[&str]) -> Value {
        let claims = [["groups", groups]];
        json!({ "contract": "bus", "backend": backend, "claims": claims, "passed": passed, "unplayed": unplayed })
    }

    #[test]
    fn the_test_that_played_most_says_what_a_backend_can_do() {
        let mut tables = Tables::new();
        for (groups, passed) in [("no", &["x"][..]), ("a|b", &["x", "y"]), ("maybe", &["z"])] {
            add(&mut tables, &record("nats", groups, passed, &[]));
        }
        let rows = tables["bus"].rows();
        assert_eq!(rows["nats"], "| nats | a\\|b |  |");
    }
}
