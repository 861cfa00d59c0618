//! A dependency points down, never sideways: `ARCHITECTURE.md` has the table.

use crate::workspace::{PACKAGES, Package, none};

/// Crates of each floor. A new crate gets its place here first.
const FLOORS: [&[&str]; 6] = [
    &["due-core", "due-macros", "due-servers"],
    &[
        "due-network",
        "due-protocol",
        "due-codec",
        "due-crypto",
        "due-registry",
        "due-eventbus",
        "due-config",
        "due-store",
        "due-transport",
        "due-log",
        "due-world",
    ],
    &["due-cluster", "due-sdk"],
    &["due", "due-testkit"],
    &["due-master"],
    &["due-cli", "due-tests", "due-benches", "xtask", "hello", "echo", "chat", "fleet"],
];

/// Narrower than the floor, or an exception to it.
const EXACT: [(&str, &[&str]); 3] = [
    ("due-cluster", &["due-core", "due-protocol", "due-world"]),
    ("due-testkit", &["due-core", "due-protocol", "due-cluster", "due-sdk", "due-servers", "due"]),
    ("xtask", &["due-servers"]),
];

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|crates| crates.contains(&name))
}

fn allowed(from: &str, to: &str) -> bool {
    match EXACT.iter().find(|(name, _)| *name == from) {
        Some((_, exact)) => exact.contains(&to),
        None => floor(to) < floor(from),
    }
}

/// The dependencies of a package that are our own.
fn ours(package: &Package) -> impl Iterator<Item = &String> {
    package.needs.iter().filter(|need| PACKAGES.iter().any(|p| p.name == **need))
}

#[test]
fn every_crate_has_a_floor() {
    none(
        "no floor in xtask/tests/tidy/floors.rs",
        PACKAGES.iter().map(|p| p.name.clone()).filter(|n| floor(n).is_none()),
    );
}

#[test] // invariant 2
fn dependencies_point_down() {
    let wrong = PACKAGES.iter().flat_map(|p| {
        ours(p).filter(|need| !allowed(&p.name, need)).map(|need| format!("{} must not depend on {need}", p.name))
    });
    none("floors", wrong);
}

#[test]
fn the_table_says_what_it_means() {
    for (from, to, expected) in [
        ("due-network", "due-core", true),
        ("due-network", "due-protocol", false),
        ("due-core", "due-macros", false),
        ("due-cluster", "due-protocol", true),
        ("due-cluster", "due-network", false),
        ("due-sdk", "due-network", true),
        ("due", "due-cluster", true),
        ("due", "due-testkit", false),
        ("due-testkit", "due", true),
        ("due-core", "due", false),
        ("chat", "due", true),
        ("chat", "hello", false),
    ] {
        assert_eq!(allowed(from, to), expected, "{from} on {to}");
    }
}
