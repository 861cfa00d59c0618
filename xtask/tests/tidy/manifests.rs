//! Manifests: one place for versions, one word for a crate and its folder.

use std::process::Command;

use crate::workspace::{PACKAGES, Package, none, root, text};

/// Packages whose name is not `due-` and the name of their folder.
const OTHERWISE: [(&str, &str); 4] =
    [("due", "due"), ("due-core", "due-core"), ("sdk/rust", "due-sdk"), ("xtask", "xtask")];

/// Keys that a member takes from the workspace.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

fn name_of(folder: &str) -> String {
    match OTHERWISE.iter().find(|(f, _)| *f == folder) {
        Some((_, name)) => (*name).to_owned(),
        None => folder.strip_prefix("examples/").map_or_else(|| format!("due-{folder}"), str::to_owned),
    }
}

fn manifest(package: &Package) -> String {
    text(&format!("{}/Cargo.toml", package.folder))
}

/// Dependencies of a manifest that do not come from the workspace table.
fn pinned(manifest: &str) -> Vec<String> {
    let (mut inside, mut found) = (false, Vec::new());
    for line in manifest.lines().map(str::trim) {
        if let Some(table) = line.strip_prefix('[') {
            inside = table.trim_end_matches(']').ends_with("dependencies");
            // [dependencies.name] would hide from the check below.
            if table.contains("dependencies.") {
                found.push(line.to_owned());
            }
        } else if inside
            && line.contains('=')
            && !line.starts_with('#')
            && !line.replace(' ', "").contains("workspace=true")
        {
            found.push(line.to_owned());
        }
    }
    found
}

#[test]
fn versions_stand_in_the_root_manifest_only() {
    let wrong = PACKAGES
        .iter()
        .flat_map(|p| pinned(&manifest(p)).into_iter().map(|line| format!("{}/Cargo.toml: {line}", p.folder)));
    none("write `name.workspace = true`, and the version in the root manifest", wrong);
}

#[test]
fn a_folder_is_a_crate_of_its_name() {
    let wrong = PACKAGES.iter().filter(|p| p.name != name_of(&p.folder));
    none("name", wrong.map(|p| format!("{} holds {}, not {}", p.folder, p.name, name_of(&p.folder))));
}

#[test]
fn members_inherit_what_all_share() {
    let wrong = PACKAGES.iter().flat_map(|p| {
        let text = manifest(p);
        let keys = INHERITED.iter().map(|key| format!("{key}.workspace = true"));
        let missing: Vec<String> =
            keys.chain(["[lints]\nworkspace = true".into()]).filter(|k| !text.contains(k)).collect();
        missing.into_iter().map(|key| format!("{}/Cargo.toml lacks {key:?}", p.folder))
    });
    none("inherit", wrong);
}

/// rustls panics when a program holds two providers; ours is aws-lc-rs, here with every feature on.
#[test]
fn there_is_one_crypto_provider() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--all-features", "--prefix", "none", "--quiet"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.lines().any(|l| l.starts_with("aws-lc-rs v")), "the tree is not what it was:\n{tree}");
    let others = tree.lines().filter(|l| ["ring v", "openssl v", "openssl-sys v"].iter().any(|o| l.starts_with(o)));
    none("find who asks for it with `cargo tree --workspace --all-features -i NAME`", others.map(str::to_owned));
}

#[test]
fn a_version_in_a_member_is_found() {
    let good = "[package]\nversion.workspace = true\n[dependencies]\na.workspace = true\nb = { workspace = true, features = [\"c\"] }\n";
    assert_eq!(pinned(good), [""; 0]);
    assert_eq!(pinned("[dev-dependencies]\na = \"1\"\n"), ["a = \"1\""]);
    assert_eq!(pinned("[target.'cfg(unix)'.dependencies]\na = { version = \"1\" }\n").len(), 1);
    assert_eq!(pinned("[dependencies.a]\nversion = \"1\"\n").len(), 1);
}
