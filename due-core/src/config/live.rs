//! A setting that changes while the program runs.

use std::{
    fmt::Display,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{ConfigSource, Entry, LARGEST, Update, Version, Watch, check_key};
use crate::{
    error::{Error, Result},
    sync::locked,
};

/// What makes a decoded value usable, beyond its syntax.
pub trait Validate {
    /// Says what is wrong, with the name of the field: it is shown to whoever wrote the value.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// A setting: always a whole, valid value. Clones show the same value; each notices changes by itself.
///
/// A new value is decoded and validated before it takes the place of the old one; what is refused is counted and kept
/// as [`Status::error`] while the last good value stays. When the key is deleted the default of `T` takes its place if
/// it is valid, else the last good value stays and a refusal is counted.
pub struct Live<T> {
    shared: Arc<Shared<T>>,
    seen: watch::Receiver<u64>,
}

struct Shared<T> {
    core: Arc<Core<T>>,
    follower: Mutex<Option<Follower>>,
}

struct Core<T> {
    value: ArcSwap<T>,
    decode: Box<Decode<T>>,
    status: Mutex<Status>,
    swaps: watch::Sender<u64>,
}

type Decode<T> = dyn Fn(&[u8]) -> Result<T, String> + Send + Sync;

/// Where a [`Live`] stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The version in use; `None` while it is the default.
    pub version: Option<Version>,
    /// Values that were put in use.
    pub applied: u64,
    /// Values and deletions that were refused.
    pub rejected: u64,
    /// Why the newest state of the source is not in use; `None` when it is.
    pub error: Option<String>,
    /// How often a lower version than the one in use was put in use: the source was restored.
    pub rewound: u64,
    /// Does the source answer?
    pub connected: bool,
    /// The version that [`Status::error`] speaks of; `None` if that is a deletion.
    refused: Option<Version>,
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), seen: self.seen.clone() }
    }
}

impl<T: Send + Sync + 'static> Live<T> {
    /// A setting that never changes.
    pub fn fixed(value: T) -> Self {
        Self::with(value, Box::new(|_| Err("this setting does not follow a source".to_owned())))
    }

    fn with(value: T, decode: Box<Decode<T>>) -> Self {
        let (swaps, seen) = watch::channel(0);
        let core = Core { value: ArcSwap::from_pointee(value), decode, status: Mutex::default(), swaps };
        Self { shared: Arc::new(Shared { core: Arc::new(core), follower: Mutex::default() }), seen }
    }

    /// The value in use. Cheap enough for every message; what is returned does not change.
    pub fn get(&self) -> Arc<T> {
        self.shared.core.value.load_full()
    }

    /// Waits until the value is another than this handle's last `changed` saw, and returns the newest. Cancel safe.
    pub async fn changed(&mut self) -> Arc<T> {
        // The sender lives as long as this handle: an error cannot come.
        let _ = self.seen.changed().await;
        self.get()
    }

    /// Version, counters and the last refusal.
    pub fn status(&self) -> Status {
        locked(&self.shared.core.status).clone()
    }
}

impl<T: Default + Validate + Send + Sync + 'static> Live<T> {
    /// A setting that starts as the default of `T`, valid or not, and is decoded by `decode` once it follows a source.
    pub fn new<E: Display>(decode: impl Fn(&[u8]) -> Result<T, E> + Send + Sync + 'static) -> Self {
        Self::with(T::default(), Box::new(move |bytes| decode(bytes).map_err(|e| e.to_string())))
    }

    /// Follows `key` of `source` from now on, until the last clone is dropped; the value that is there is in use when
    /// this returns. It survives breaks of the source by itself. Needs a tokio runtime.
    ///
    /// Errors: what the source answers; `Config` if neither what is stored nor the default is valid. Nothing is followed
    /// then. A second call replaces the first.
    pub async fn follow(&self, source: Arc<dyn ConfigSource>, key: &str) -> Result<()> {
        check_key(key)?;
        let core = self.shared.core.clone();
        let mut watch = source.watch(key).await?;
        core.first(&mut watch, key).await?;
        let key: Arc<str> = key.into();
        let task = tokio::spawn(async move { core.follow(&*source, &key, watch).await });
        *locked(&self.shared.follower) = Some(Follower(task.abort_handle()));
        Ok(())
    }

    /// Would these bytes be put in use? Changes nothing.
    pub fn check(&self, bytes: &[u8]) -> Result<(), String> {
        self.shared.core.read(bytes).map(drop)
    }
}

/// Ends with the last handle.
struct Follower(AbortHandle);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Default + Validate + Send + Sync + 'static> Core<T> {
    /// Puts the first state in use, or says why nothing can be.
    async fn first(&self, watch: &mut Watch, key: &str) -> Result<()> {
        let ended = || Error::from(crate::Kind::Unavailable).context("key", key);
        self.update(key, watch.next().await.ok_or_else(ended)?);
        let status = locked(&self.status);
        if status.version.is_none()
            && let Err(why) = sound(&T::default())
        {
            let why = status.error.clone().unwrap_or(why);
            return Err(Error::config(format!("nothing valid is stored, and the default is not valid: {why}"))
                .context("key", key));
        }
        Ok(())
    }

    async fn follow(&self, source: &dyn ConfigSource, key: &str, mut watch: Watch) {
        const FIRST: Duration = Duration::from_millis(100);
        const LAST: Duration = Duration::from_secs(5);
        let mut pause = FIRST;
        loop {
            let since = Instant::now();
            while let Some(update) = watch.next().await {
                self.update(key, update);
            }
            locked(&self.status).connected = false;
            if since.elapsed() > LAST {
                pause = FIRST;
            }
            watch = loop {
                sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(LAST);
                match source.watch(key).await {
                    Ok(watch) => break watch,
                    Err(error) => tracing::debug!(key, %error, "a setting cannot be watched; trying again"),
                }
            };
        }
    }

    fn update(&self, key: &str, update: Update) {
        let entry = match update {
            Update::All(mut all) => all.remove(key),
            Update::Key(k, entry) if &*k == key => entry,
            Update::Key(..) => return,
        };
        locked(&self.status).connected = true;
        match entry {
            Some(entry) => self.stored(key, &entry),
            None => self.absent(key),
        }
    }

    fn stored(&self, key: &str, entry: &Entry) {
        {
            let status = locked(&self.status);
            let version = Some(&entry.version);
            let known = if status.error.is_some() { status.refused.as_ref() } else { status.version.as_ref() };
            if known == version {
                return;
            }
        }
        match self.read(&entry.value) {
            Ok(value) => self.apply(value, Some(&entry.version)),
            Err(why) => self.reject(key, Some(&entry.version), why),
        }
    }

    fn absent(&self, key: &str) {
        {
            let status = locked(&self.status);
            let refused_deletion = status.error.is_some() && status.refused.is_none();
            if refused_deletion || (status.version.is_none() && status.error.is_none()) {
                return;
            }
        }
        let default = T::default();
        match sound(&default) {
            Ok(()) => self.apply(default, None),
            Err(why) => self.reject(key, None, format!("deleted, and the default is not valid: {why}")),
        }
    }

    /// Decodes and validates; a panic of user code is a refusal.
    fn read(&self, bytes: &[u8]) -> Result<T, String> {
        if bytes.is_empty() || bytes.len() > LARGEST {
            return Err(format!("{} bytes: a value has 1 to {LARGEST}", bytes.len()));
        }
        let decoded = catch_unwind(AssertUnwindSafe(|| (self.decode)(bytes)));
        let value = decoded.unwrap_or_else(|_| Err("the decoder panicked".to_owned()))?;
        sound(&value)?;
        Ok(value)
    }

    fn apply(&self, value: T, version: Option<&Version>) {
        let mut status = locked(&self.status);
        if let (Some(new), Some(old)) = (version, &status.version)
            && new < old
        {
            status.rewound += 1;
        }
        status.version = version.cloned();
        status.applied += 1;
        status.error = None;
        status.refused = None;
        let old = self.value.swap(Arc::new(value));
        drop(status);
        // User code may run here.
        drop(old);
        self.swaps.send_modify(|n| *n += 1);
    }

    fn reject(&self, key: &str, version: Option<&Version>, why: String) {
        tracing::warn!(key, why, "a new value of a setting was refused; the last good one stays");
        let mut status = locked(&self.status);
        status.rejected += 1;
        status.refused = version.cloned();
        status.error = Some(why);
    }
}

/// [`Validate::validate`]; a panic in it is a refusal.
fn sound<T: Validate>(value: &T) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| value.validate())).unwrap_or_else(|_| Err("the validator panicked".to_owned()))
}
