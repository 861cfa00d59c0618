//! One writer at a time on this host.

use std::{
    fs::{File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use due_core::{Error, Kind, Result};

use super::disk::failed;

/// Not a config key, so it is never listed.
const NAME: &str = ".due~lock";

/// How long a writer waits for another one. A write takes milliseconds: whoever holds the lock longer is stopped.
const PATIENCE: Duration = Duration::from_secs(2);

/// Held until it is dropped, or its process ends.
pub(super) struct Lock(#[expect(dead_code, reason = "closing it gives the lock back")] File);

impl Lock {
    /// Takes the lock of a directory. Blocks the thread.
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(|e| failed("open", &path, e))?;
        let over = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < over => thread::sleep(Duration::from_millis(2)),
                Err(TryLockError::WouldBlock) => {
                    let text = "another process holds the lock of the directory";
                    return Err(Error::new(Kind::Unavailable, text).context("lock", path.display()));
                }
                Err(TryLockError::Error(e)) => return Err(failed("lock", &path, e)),
            }
        }
    }
}
