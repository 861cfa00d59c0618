//! Wrong programs are refused with a sentence that names the mistake.
//!
//! Each file in `tests/ui` is a program. Its first lines say what the compiler must print for it (`//~ expects: ..`), or
//! that it compiles (`//~ compiles`). Only these sentences are compared: they are ours, the rest is rustc's to change.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

#[test]
fn a_wrong_program_is_told_what_is_wrong() {
    let programs = programs();
    let printed = check(&package(&programs));
    let mut faults = Vec::new();
    for program in &programs {
        let text = printed.get(&program.name).map_or("", String::as_str);
        faults.extend(program.judge(text).map(|fault| format!("{}: {fault}\n{text}", program.name)));
    }
    assert!(programs.len() > 5, "the programs are not there");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

struct Program {
    name: String,
    path: PathBuf,
    expects: Vec<String>,
    compiles: bool,
}

impl Program {
    fn read(path: PathBuf) -> Self {
        let source = fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let expects = source.lines().filter_map(|line| line.strip_prefix("//~ expects: ")).map(str::to_owned).collect();
        let compiles = source.lines().any(|line| line == "//~ compiles");
        Self { name, path, expects, compiles }
    }

    fn judge(&self, printed: &str) -> Option<String> {
        let refused = printed.contains("error");
        match (self.compiles, refused) {
            (true, true) => return Some("it does not compile".into()),
            (false, false) => return Some("it compiles".into()),
            _ => {}
        }
        // Paths may be short or long, and labels wrapped around the source: words are compared, not lines.
        let printed = without_paths(printed).split_whitespace().collect::<Vec<_>>().join(" ");
        self.expects
            .iter()
            .find(|wanted| !printed.contains(&without_paths(wanted)))
            .map(|wanted| format!("no word of \"{wanted}\""))
    }
}

/// `crate::module::Type` as `Type`.
fn without_paths(text: &str) -> String {
    let mut short = String::new();
    let mut pieces = text.split("::").peekable();
    while let Some(piece) = pieces.next() {
        let word = piece.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |at| at + 1);
        let (before, name) = piece.split_at(word);
        let is_module = pieces.peek().is_some() && name.starts_with(|c: char| c.is_lowercase());
        short += if is_module { before } else { piece };
        short += if is_module || pieces.peek().is_none() { "" } else { "::" };
    }
    short
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn programs() -> Vec<Program> {
    let files = fs::read_dir(home().join("tests/ui")).unwrap().map(|entry| entry.unwrap().path());
    let mut programs: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    programs.sort();
    programs.into_iter().map(Program::read).collect()
}

/// Writes a package with one binary for each program; all of them share one build of their dependencies.
fn package(programs: &[Program]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    fs::create_dir_all(&root).unwrap();
    let above = home().join("..");
    let mut manifest = format!(
        "[package]\nname = \"ui\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         due-cluster = {{ path = {:?} }}\ndue-core = {{ path = {:?} }}\n\
         due-codec = {{ path = {:?}, features = [\"json\", \"protobuf\"] }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n",
        home(),
        above.join("due-core"),
        above.join("codec"),
    );
    for program in programs {
        manifest += &format!("\n[[bin]]\nname = {:?}\npath = {:?}\n", program.name, program.path);
    }
    fs::write(root.join("Cargo.toml"), manifest).unwrap();
    fs::copy(above.join("Cargo.lock"), root.join("Cargo.lock")).unwrap();
    root
}

/// What the compiler prints for each program.
fn check(package: &Path) -> BTreeMap<String, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["check", "--bins", "--keep-going", "--offline", "--quiet", "--message-format", "json"])
        .arg("--manifest-path")
        .arg(package.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(package.join("target"))
        .output()
        .unwrap();
    let mut printed: BTreeMap<String, String> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let text = |pointer| message.pointer(pointer).and_then(Value::as_str);
        if let (Some(target), Some(rendered)) = (text("/target/name"), text("/message/rendered")) {
            *printed.entry(target.to_owned()).or_default() += rendered;
        }
    }
    assert!(!printed.is_empty(), "the compiler said nothing: {}", String::from_utf8_lossy(&output.stderr));
    printed
}
