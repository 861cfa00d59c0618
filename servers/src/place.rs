//! Where installed servers are.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder they are installed in: `$DUE_SERVERS_DIR`, else `target/servers` of the repository.
#[must_use]
pub fn home() -> PathBuf {
    let target = || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("servers");
    env::var_os("DUE_SERVERS_DIR").filter(|dir| !dir.is_empty()).map_or_else(target, PathBuf::from)
}

/// The file of a program: in `bin` of [`home`], else on `PATH`.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(home().join("bin")).chain(env::split_paths(&path));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Like [`find`]; the bare name where there is none, for an error that names it.
pub(crate) fn program(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| name.into())
}
