//! Lists that are written down twice, and links between the papers.

use std::collections::BTreeSet;

use crate::workspace::{FILES, File, PACKAGES, none, root, text};

/// Names in back quotes that begin a row of a Markdown table under a header that begins with `head`.
fn rows(text: &str, head: &str) -> BTreeSet<String> {
    let lines = text.lines().map(|l| l.trim_start_matches("//!").trim());
    let table = lines.skip_while(|l| !l.starts_with(&format!("| {head} |"))).take_while(|l| l.starts_with('|'));
    table.filter_map(|l| Some(l.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
}

fn features() -> BTreeSet<String> {
    let due = PACKAGES.iter().find(|p| p.name == "due").unwrap();
    due.features.iter().filter(|f| *f != "default").cloned().collect()
}

/// Relative links of a Markdown file, without the part after `#`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets
        .map(|(target, _)| target.split('#').next().unwrap_or(target))
        .filter(|t| !t.is_empty() && !t.contains("://") && !t.starts_with("mailto:"))
}

fn broken(file: &File) -> impl Iterator<Item = String> {
    let folder = root().join(&file.path).parent().unwrap().to_owned();
    links(&file.text).filter(move |l| !folder.join(l).exists()).map(|l| format!("{}: {l}", file.path))
}

#[test] // invariant 8
fn the_readme_lists_every_feature() {
    assert_eq!(rows(&text("README.md"), "feature"), features(), "left: README.md, right: due/Cargo.toml");
}

#[test]
fn the_crate_docs_list_every_feature() {
    assert_eq!(rows(&text("due/src/lib.rs"), "feature"), features(), "left: due/src/lib.rs, right: due/Cargo.toml");
}

#[test]
fn links_between_papers_lead_somewhere() {
    none("broken link", FILES.iter().filter(|f| f.path.ends_with(".md")).flat_map(broken));
}

#[test]
fn tables_and_links_are_read() {
    let text = "| other | a |\n|---|\n| `x` | y |\n\n//! | feature | adds |\n//! |---|---|\n//! | `a-b` | [c](d#e) |\n\n| `z` |\n[f](http://g)";
    assert_eq!(rows(text, "feature"), BTreeSet::from(["a-b".to_owned()]));
    assert_eq!(links(text).collect::<Vec<_>>(), ["d"]);
}
