//! The repository as data.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

/// Folders of generated files.
const GENERATED: [&str; 3] = ["target", "node_modules", ".git"];

/// A member of the workspace.
pub(crate) struct Package {
    pub(crate) name: String,
    /// From the root, with `/`.
    pub(crate) folder: String,
    /// Names of everything it needs to build, normal and build dependencies, optional ones too.
    pub(crate) needs: Vec<String>,
    pub(crate) features: Vec<String>,
}

/// A file people write.
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(packages);
pub(crate) static FILES: LazyLock<Vec<File>> = LazyLock::new(files);

/// Fails with all that breaks a rule, one a line.
#[track_caller]
pub(crate) fn none(rule: &str, found: impl IntoIterator<Item = String>) {
    let found: Vec<String> = found.into_iter().collect();
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// The text of one file.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}")).unwrap()
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn packages() -> Vec<Package> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: Value = serde_json::from_slice(&cargo.stdout).unwrap();
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn package(json: &Value) -> Package {
    let manifest = Path::new(json["manifest_path"].as_str().unwrap());
    let needed = |d: &&Value| d["kind"] != "dev";
    let names = |d: &Value| d["name"].as_str().unwrap().to_owned();
    Package {
        name: json["name"].as_str().unwrap().to_owned(),
        folder: from_root(manifest.parent().unwrap()),
        needs: json["dependencies"].as_array().unwrap().iter().filter(needed).map(names).collect(),
        features: json["features"].as_object().unwrap().keys().cloned().collect(),
    }
}

fn files() -> Vec<File> {
    let mut found = Vec::new();
    collect(root(), &mut found);
    found
        .into_iter()
        .filter_map(|path| Some(File { text: fs::read_to_string(&path).ok()?, path: from_root(&path) }))
        .collect()
}

/// All files that git would show, near enough: a source archive has no git.
fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() {
            found.push(path);
        } else if path.is_dir() && !GENERATED.contains(&name) {
            collect(&path, found);
        }
    }
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}
