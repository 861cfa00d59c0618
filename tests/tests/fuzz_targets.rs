//! Every fuzz entry of the crates has a target of cargo-fuzz, and a test that runs it over kept inputs.
#![allow(clippy::unwrap_used, reason = "the functions beside the tests are tests too")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Crates that read bytes of strangers.
const CRATES: [&str; 4] = ["protocol", "network", "codec", "crypto"];

/// An entry: its crate, and its module and name as others write them, like `fuzz::frame`.
type Entry = (&'static str, String);

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// The names of functions that anybody may call with bytes.
fn entries_in(text: &str) -> impl Iterator<Item = &str> {
    let functions = text.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split_once('('));
    functions.filter(|(_, rest)| rest.ends_with(": &[u8]) {")).map(|(name, _)| name)
}

/// The entries in files called `fuzz` and folders called so.
fn entries() -> BTreeSet<Entry> {
    let mut found = BTreeSet::new();
    for name in CRATES {
        let folder = workspace().join(name).join("src");
        for path in rust_files(&folder) {
            let modules: Vec<_> =
                path.strip_prefix(&folder).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
            let Some(at) = modules.iter().position(|module| matches!(*module, "fuzz" | "fuzz.rs")) else { continue };
            let module = [&modules[..at], &["fuzz"]].concat().join("::");
            let text = fs::read_to_string(&path).unwrap();
            found.extend(entries_in(&text).map(|entry| (name, format!("{module}::{entry}"))));
        }
    }
    found
}

fn targets() -> Vec<(String, String)> {
    let files = rust_files(&workspace().join("tests/fuzz/fuzz_targets"));
    let named =
        files.iter().map(|path| (path.file_stem().unwrap().to_str().unwrap(), fs::read_to_string(path).unwrap()));
    named.map(|(name, text)| (name.to_owned(), text)).collect()
}

#[test]
fn every_fuzz_entry_has_a_target() {
    let (entries, targets) = (entries(), targets());
    assert!(entries.len() >= 6, "entries are missing: {entries:?}");
    for (name, entry) in &entries {
        let call = format!("due_{name}::{entry}(data)");
        assert!(
            targets.iter().any(|(_, text)| text.contains(&call)),
            "no file of tests/fuzz/fuzz_targets calls {call}"
        );
    }
    assert_eq!(targets.len(), entries.len(), "a target is there that calls no entry, or two call the same");
}

#[test]
fn every_target_is_in_the_manifest() {
    let manifest = fs::read_to_string(workspace().join("tests/fuzz/Cargo.toml")).unwrap();
    let listed: BTreeSet<_> = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/")).collect();
    let files: BTreeSet<_> = targets().into_iter().map(|(name, _)| format!("{name}.rs\"")).collect();
    assert_eq!(listed, files.iter().map(String::as_str).collect());
}

#[test]
fn every_fuzz_entry_runs_in_the_tests_of_its_crate() {
    for (name, entry) in entries() {
        let folder = workspace().join(name);
        let files = [rust_files(&folder.join("src")), rust_files(&folder.join("tests"))].concat();
        let call = format!("fuzz::{}", entry.rsplit("::").next().unwrap_or_default());
        let callers = files.iter().filter(|path| fs::read_to_string(path).unwrap().contains(&call));
        assert!(callers.count() > 0, "no test of {name} calls {call}");
    }
}
