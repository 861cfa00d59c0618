//! Files with keys. The one place of this crate that opens a file: at start, when keys are loaded.

use std::{
    fs::{File, Metadata},
    io::Read,
};

use due_core::{Error, Result};
use zeroize::Zeroizing;

use super::pem::TEXT_MAX;

/// Reads a file of text. If it holds a secret, a file that everybody may read or write is refused.
pub(super) fn read(path: &str, secret: bool) -> Result<Zeroizing<String>> {
    let failed = |e| Error::config("cannot read this key file").context("file", path).because(e);
    let file = File::open(path).map_err(failed)?;
    if secret {
        private(path, &file.metadata().map_err(failed)?)?;
    }
    // One byte more than allowed tells a file that is too long; the room is taken at once, so that no copy of a secret
    // stays behind where the text has grown.
    let mut text = Zeroizing::new(String::with_capacity(TEXT_MAX + 1));
    file.take(TEXT_MAX as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(unix)]
fn private(path: &str, about: &Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o007 == 0 {
        return Ok(());
    }
    let text = format!("everybody may open this private key (mode {mode:03o}); run `chmod 600` on it");
    Err(Error::config(text).context("file", path))
}

#[cfg(not(unix))]
fn private(_path: &str, _about: &Metadata) -> Result<()> {
    Ok(())
}
