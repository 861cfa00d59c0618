//! Programs of other frameworks, built from `benches/peers` with their own tools.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Fallible;

/// Other frameworks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Against {
    /// The reference: epoll and nothing else.
    Epoll,
    /// due v2, in Go.
    Due,
    /// nano, in Go.
    Nano,
    /// pitaya, in Go.
    Pitaya,
    /// kcp-go, in Go.
    Kcpgo,
}

/// An empty folder beside the programs, for what a peer would read its settings from.
pub(crate) const SETTINGS: &str = "no-settings";

/// Builds the program in `benches/peers/NAME` into the target folder and says where it is. What is up to date is not
/// built again; the first time modules are loaded.
pub(crate) fn build(name: &str) -> Fallible<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name);
    let folder = env::current_exe()?.with_file_name("peers");
    let program = folder.join(name);
    fs::create_dir_all(folder.join(SETTINGS))?;
    crate::say(&format!("building {name} of benches/peers"))?;
    let status = Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(&source).status();
    match status {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => Err(format!("`go build` in {} failed: {status}", source.display()).into()),
        Err(e) => Err(format!("{name} is built by go 1.25 or later, and `go` cannot be run: {e}; install it from https://go.dev/dl, or leave {name} out of --against").into()),
    }
}
