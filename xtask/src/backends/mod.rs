//! The tables of `docs/backends.md`, which nobody writes: the keys of each URL, from the code that reads them, and what
//! each backend can do, as the suites saw it on the real servers. The text around them is written by people.

mod page;
mod seen;

use std::{fs, path::PathBuf};

use crate::command::{Outcome, root};
use page::{Block, Kind, parts};
use seen::{Tables, lines};

/// Tells the suites where to leave what they saw.
pub(crate) const VARIABLE: &str = "DUE_TEST_CAPABILITIES";

const PAGE: &str = "docs/backends.md";
const FIX: &str = "`cargo xtask backends` writes it";

/// Where the suites leave what they saw.
pub(crate) fn folder() -> PathBuf {
    root().join("target/capabilities")
}

/// Forgets earlier runs.
pub(crate) fn forget() -> Outcome {
    match fs::remove_dir_all(folder()) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("cannot empty {}: {e}", folder().display())),
        _ => Ok(()),
    }
}

/// Writes the tables into the page. Rows of backends whose suites have not run since the last test stay as they are.
pub(crate) fn write() -> Outcome {
    let (page, seen) = (page()?, seen::read(&folder())?);
    let path = root().join(PAGE);
    fs::write(&path, updated(&page, &seen)?).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

/// Wants the page to say what the suites of this run saw, of every backend.
pub(crate) fn check() -> Outcome {
    compare(&page()?, &seen::read(&folder())?)
}

fn page() -> Outcome<String> {
    fs::read_to_string(root().join(PAGE)).map_err(|e| format!("cannot read {PAGE}: {e}"))
}

fn updated(page: &str, seen: &Tables) -> Outcome<String> {
    let (between, blocks) = parts(page);
    let mut text = String::new();
    for (before, block) in between.iter().zip(&blocks) {
        text += before;
        text += block.open;
        text += &match block.kind {
            Kind::Keys => keys(block.of)?,
            Kind::Capabilities => capabilities(block, seen),
        };
        text += page::END;
    }
    Ok(text + between.last().unwrap_or(&""))
}

/// The table of keys that a source file has in its docs.
fn keys(path: &str) -> Outcome<String> {
    let source = fs::read_to_string(root().join(path)).map_err(|e| format!("{PAGE}: cannot read {path}: {e}"))?;
    let docs = source.lines().filter_map(|line| line.strip_prefix("//! "));
    let table: Vec<&str> =
        docs.skip_while(|line| !line.starts_with("| key")).take_while(|line| line.starts_with('|')).collect();
    if table.is_empty() {
        return Err(format!("{PAGE}: the docs of {path} have no table that begins with `| key`"));
    }
    Ok(table.join("\n") + "\n")
}

/// The table of a contract, with the rows that stand there of backends that were not seen.
fn capabilities(block: &Block<'_>, seen: &Tables) -> String {
    let Some(table) = seen.get(block.of) else { return block.text.to_owned() };
    let mut rows = block.rows();
    rows.extend(table.rows());
    table.head() + &lines(&rows)
}

/// Errors: a row whose suite did not run or saw something else; a backend without a row.
fn compare(page: &str, seen: &Tables) -> Outcome {
    for block in parts(page).1.iter().filter(|block| block.kind == Kind::Capabilities) {
        let (contract, stands) = (block.of, block.rows());
        let ran = seen.get(contract).map(seen::Table::rows).unwrap_or_default();
        for (name, row) in &stands {
            match ran.get(name) {
                None => return Err(format!("{PAGE}: {name} stands there as {contract}, and no suite of it ran")),
                Some(now) if now != row => {
                    return Err(format!("{PAGE}: the row of {name} as {contract} is not what its suite saw; {FIX}"));
                }
                Some(_) => {}
            }
        }
        if seen.get(contract).is_some_and(|table| !block.text.starts_with(&table.head())) {
            return Err(format!("{PAGE}: the head of the table of {contract} is out of date; {FIX}"));
        }
        if let Some(name) = ran.keys().find(|name| !stands.contains_key(*name)) {
            return Err(format!("{PAGE} has no row of {name} as {contract}: {FIX}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{seen::tests::record, *};

    const EMPTY: &str = "# Page\n\n<!-- capabilities of bus -->\n<!-- end -->\n\nText.\n";

    fn tables(records: &[serde_json::Value]) -> Tables {
        let mut tables = Tables::new();
        records.iter().for_each(|record| seen::add(&mut tables, record));
        tables
    }

    #[test]
    fn a_table_has_memory_first_and_names_what_nobody_could_play() {
        let seen = tables(&[
            record("nats", "no", &["a_b", "x"], &["c_d", "e"]),
            record("nats", "no", &["e"], &[]),
            record("memory", "yes", &["a_b"], &[]),
        ]);
        let page = updated(EMPTY, &seen).unwrap();
        let table =
            "| backend | groups | no test can play |\n|---|---|---|\n| memory | yes |  |\n| nats | no | c d |\n";
        assert_eq!(page, EMPTY.replace("<!-- end -->", &format!("{table}<!-- end -->")));
        assert_eq!(updated(&page, &seen), Ok(page.clone()));
        assert_eq!(compare(&page, &seen), Ok(()));
    }

    #[test]
    fn backends_that_did_not_run_stay_in_a_page_and_fail_a_check() {
        let both = tables(&[record("nats", "no", &[], &[]), record("redis", "no", &[], &[])]);
        let later = tables(&[record("nats", "yes", &[], &[])]);
        let page = updated(&updated(EMPTY, &both).unwrap(), &later).unwrap();
        assert!(page.contains("| nats | yes |") && page.contains("| redis | no |"), "{page}");
        let why = compare(&page, &later).unwrap_err();
        assert!(why.contains("redis") && why.contains("no suite"), "{why}");
        assert!(compare(&page, &Tables::new()).is_err());
    }

    #[test]
    fn a_row_that_says_something_else_or_is_missing_fails_a_check() {
        let page = updated(EMPTY, &tables(&[record("nats", "no", &[], &[])])).unwrap();
        let other = tables(&[record("nats", "yes", &[], &[])]);
        assert!(compare(&page, &other).unwrap_err().contains("row of nats"));
        let more = tables(&[record("nats", "no", &[], &[]), record("kafka", "no", &[], &[])]);
        assert!(compare(&page, &more).unwrap_err().contains("no row of kafka as bus"));
    }

    #[test]
    fn the_page_has_the_keys_that_the_code_reads() {
        let page = page().unwrap();
        let now = updated(&page, &Tables::new()).unwrap();
        assert!(now == page, "{PAGE} is out of date; {FIX}");
    }
}
