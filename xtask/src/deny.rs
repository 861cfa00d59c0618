//! Rules for dependencies, of `deny.toml`. Its advisories come from a git server and are checked by CI alone.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    command::{Outcome, cargo, output, program, root, run},
    progress::long,
};

/// Licences, sources, and crates we never use.
pub(crate) fn check() -> Outcome {
    install()?;
    // Two versions of a crate are nothing to stop for, and CI shows them.
    run(deny().args(["check", "--hide-inclusion-graph", "--allow", "duplicate", "bans", "licenses", "sources"]))
}

/// Builds cargo-deny where there is none.
pub(crate) fn install() -> Outcome {
    if output(deny().arg("--version")).is_ok() {
        return Ok(());
    }
    eprintln!("missing: cargo-deny (it checks licences and sources of dependencies)");
    let folder = folder();
    fs::create_dir_all(&folder).map_err(|e| format!("cannot make the folder {}: {e}", folder.display()))?;
    let mut install = cargo();
    // It runs for a second: a build for speed would take longer than all its runs.
    install.args(["install", "--debug", "--locked", "--version", "^0.20", "--root"]).arg(&folder).arg("cargo-deny");
    long("cargo-deny", &mut install, &folder.join("cargo-deny.log"))
}

/// The one built here, else the one on `PATH`.
fn deny() -> Command {
    let ours = folder().join("bin/cargo-deny");
    program(if ours.is_file() { ours } else { "cargo-deny".into() })
}

fn folder() -> PathBuf {
    root().join("target/tools")
}
