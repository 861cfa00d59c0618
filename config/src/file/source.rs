//! The source.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Kind, Result, Url,
    config::{Capability, Cas, ConfigSource, Entry, Expect, LARGEST, Version, Watch, check_key},
};

use super::{
    disk::{Disk, Listing},
    settings::Settings,
    watch::Hub,
};

/// Settings in a directory, or in one file.
pub struct File {
    disk: Arc<Disk>,
    hub: Arc<Hub>,
    read_only: bool,
}

/// Opens what a `file://` URL names. Errors: `Config` if there is no such directory, or no directory for the file.
pub async fn open(url: Url) -> Result<Arc<dyn ConfigSource>> {
    Ok(Arc::new(File::new(&url)?))
}

impl File {
    /// See [`open`].
    pub fn new(url: &Url) -> Result<Self> {
        let settings = Settings::read(url)?;
        let (folder, only) = place(url)?;
        let disk = Arc::new(Disk { folder, only, format: settings.format });
        let hub = Hub::new(disk.clone(), settings);
        Ok(Self { disk, hub, read_only: settings.read_only })
    }

    fn may_write(&self, key: &str) -> Result<()> {
        check_key(key)?;
        match self.read_only {
            true => Err(Error::new(Kind::Forbidden, "the URL of the source says read-only").context("key", key)),
            false => Ok(()),
        }
    }
}

/// Watches end with their source.
impl Drop for File {
    fn drop(&mut self) {
        self.hub.end();
    }
}

#[async_trait]
impl ConfigSource for File {
    fn capability(&self) -> Capability {
        Capability { cas: Cas::BestEffort, writable: !self.read_only }
    }

    async fn load(&self, key: &str) -> Result<Option<Entry>> {
        check_key(key)?;
        let key = key.to_owned();
        blocking(&self.disk, move |disk| disk.load(&key)).await
    }

    async fn list(&self, prefix: &str) -> Result<BTreeMap<Arc<str>, Entry>> {
        let prefix = prefix.to_owned();
        let Listing { entries, bad, .. } = blocking(&self.disk, move |disk| disk.list(&prefix)).await?;
        for (key, why) in bad {
            tracing::warn!(key = &*key, why, "a setting cannot be read and is left out");
        }
        Ok(entries)
    }

    async fn watch(&self, prefix: &str) -> Result<Watch> {
        self.hub.watch(prefix).await
    }

    async fn store(&self, key: &str, value: Bytes, expect: Expect) -> Result<Version> {
        self.may_write(key)?;
        if value.len() > LARGEST {
            let text = format!("a setting is at most {LARGEST} bytes, this one has {}", value.len());
            return Err(Error::new(Kind::TooLarge, text).context("key", key));
        }
        let key = key.to_owned();
        let version = blocking(&self.disk, move |disk| disk.store(&key, &value, &expect)).await;
        self.hub.nudge();
        version
    }

    async fn delete(&self, key: &str, expect: Expect) -> Result<Version> {
        self.may_write(key)?;
        let key = key.to_owned();
        let version = blocking(&self.disk, move |disk| disk.delete(&key, &expect)).await;
        self.hub.nudge();
        version
    }
}

/// Runs what blocks where it may.
pub(super) async fn blocking<T: Send + 'static>(
    disk: &Arc<Disk>,
    work: impl FnOnce(&Disk) -> Result<T> + Send + 'static,
) -> Result<T> {
    let disk = disk.clone();
    let done = tokio::task::spawn_blocking(move || work(&disk)).await;
    done.unwrap_or_else(|e| Err(Error::new(Kind::Internal, "reading or writing a setting").because(e)))
}

/// The directory, and the file's name if the URL names a file. A path that is not there is a file if its name says a
/// format.
fn place(url: &Url) -> Result<(PathBuf, Option<String>)> {
    if !url.hosts().is_empty() {
        return Err(Error::config(format!("{url} names a host: write file:///path with three slashes")));
    }
    let path = Path::new(url.path());
    if url.path().len() < 2 {
        return Err(Error::config(format!("{url} names no directory: write file:///path")));
    }
    if path.is_dir() {
        return Ok((path.to_owned(), None));
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let is_file = path.exists() || crate::format::Format::of(name).is_some();
    let folder = path.parent().filter(|folder| is_file && folder.is_dir());
    let folder =
        folder.ok_or_else(|| Error::config(format!("{url}: there is no directory of that name: create it")))?;
    check_key(name)
        .map_err(|_| Error::config(format!("{url}: the name {name:?} is no config key: rename the file")))?;
    Ok((folder.to_owned(), Some(name.to_owned())))
}
