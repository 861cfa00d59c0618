//! Source files: size, leftovers, and what pure crates must not mention.

use crate::workspace::{FILES, File, none};

/// Lines after which a file holds more than one subject.
const LINES_MAX: usize = 600;

/// Crates that take time and randomness as arguments and never touch a socket.
const PURE: [&str; 4] = ["protocol/src/", "codec/src/", "crypto/src/", "world/src/"];

/// What a pure crate must not name.
const IMPURE: [&str; 6] = ["tokio", "std::net", "Instant::now", "SystemTime", "std::thread", "std::fs"];

/// Files of pure crates that may: keys are loaded from files, at start.
const EXCEPT: [&str; 1] = ["crypto/src/key/file.rs"];

/// In two halves each, so that this file passes its own test.
const LEFTOVERS: [&str; 4] =
    [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("#[ign", "ore"), concat!("db", "g!(")];

/// Starts of paths that exist on one machine only.
const MACHINE: [&str; 5] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!(r"C:\Us", "ers"),
];

fn rust() -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(|f| f.path.ends_with(".rs"))
}

/// Lines of code with their numbers, comments left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Places where a line of code contains one of `words`.
fn places(file: &File, words: &'static [&'static str]) -> impl Iterator<Item = String> {
    code(&file.text).filter_map(move |(number, line)| {
        let word = words.iter().find(|w| line.contains(**w))?;
        Some(format!("{}:{number}: {word}", file.path))
    })
}

#[test]
fn no_file_is_too_long() {
    let long = rust().map(|f| (f, f.text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX);
    none("split by subject", long.map(|(f, lines)| format!("{}: {lines} lines, at most {LINES_MAX}", f.path)));
}

#[test]
fn nothing_is_left_for_later() {
    none("leftover", rust().flat_map(|f| places(f, &LEFTOVERS)));
}

#[test] // invariant 10
fn pure_crates_name_no_runtime_no_socket_and_no_clock() {
    let pure = rust().filter(|f| PURE.iter().any(|folder| f.path.starts_with(folder)));
    let pure = pure.filter(|f| !EXCEPT.contains(&f.path.as_str()));
    none("pure crates take these as arguments", pure.flat_map(|f| places(f, &IMPURE)));
}

#[test]
fn no_file_knows_a_machine() {
    let found = FILES.iter().flat_map(|f| {
        let lines = f.text.lines().enumerate().filter(|(_, line)| MACHINE.iter().any(|start| line.contains(start)));
        lines.map(|(i, line)| format!("{}:{}: {}", f.path, i + 1, line.trim()))
    });
    none("path of one machine", found);
}

#[test]
fn comments_are_no_code() {
    let file = File { path: "a.rs".into(), text: "// tokio\n  //! tokio\nuse tokio::net;\n".into() };
    assert_eq!(places(&file, &IMPURE).collect::<Vec<_>>(), ["a.rs:3: tokio"]);
}
