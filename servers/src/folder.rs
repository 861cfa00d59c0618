//! A folder for one server's data, logs and settings.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::Result;

/// Bytes of a log that an error shows.
const TAIL: usize = 4 * 1024;

/// Removed when dropped, unless its path was given.
pub(crate) struct Folder {
    path: PathBuf,
    ours: bool,
}

impl Folder {
    /// A new one below the temporary folder of the system.
    pub(crate) fn temporary(name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("due-{name}-{}-{count}", process::id()));
        let folder = Self { path, ours: true };
        folder.empty()?;
        Ok(folder)
    }

    /// One that stays, emptied.
    pub(crate) fn given(path: PathBuf) -> Result<Self> {
        let folder = Self { path, ours: false };
        folder.empty()?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Removes all that is in it.
    pub(crate) fn empty(&self) -> Result {
        if self.path.exists() {
            fs::remove_dir_all(&self.path).map_err(|e| format!("cannot empty {}: {e}", self.path.display()))?;
        }
        fs::create_dir_all(&self.path).map_err(|e| format!("cannot make the folder {}: {e}", self.path.display()))
    }

    /// The last lines of the server's output.
    pub(crate) fn tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(TAIL)..).unwrap_or_default();
        String::from_utf8_lossy(tail).trim().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            // What is left in a temporary folder harms nobody.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
