//! A document in the source of live settings, where all masters of a fleet find it.

use std::{sync::Arc, time::Duration};

use due_core::{
    Error, Kind, Result,
    config::{ConfigSource, Expect},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::Mutex, time::Instant};

/// So long a look at the source counts: a master feels what another one has changed after that at the latest.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// Tries against others who write at the same time.
const TRIES: usize = 8;

/// A document, and where it stands. Without one there its default counts.
pub(super) struct Shared<D> {
    source: Arc<dyn ConfigSource>,
    key: &'static str,
    /// What is in it, in a word: `tokens`.
    what: &'static str,
    /// What deleting it is good for, if it cannot be read.
    remedy: &'static str,
    seen: Mutex<Option<(Instant, Arc<D>)>>,
}

impl<D: Default + Serialize + DeserializeOwned> Shared<D> {
    /// The one at `key`, with what is in it in a word, and what deleting it is good for.
    pub(super) fn new(
        source: Arc<dyn ConfigSource>,
        key: &'static str,
        (what, remedy): (&'static str, &'static str),
    ) -> Self {
        Self { source, key, what, remedy, seen: Mutex::default() }
    }

    /// What is known, not older than [`FRESH`].
    pub(super) async fn seen(&self) -> Result<Arc<D>> {
        let mut seen = self.seen.lock().await;
        if let Some((at, document)) = &*seen
            && at.elapsed() < FRESH
        {
            return Ok(document.clone());
        }
        let document = Arc::new(self.load().await?.unwrap_or_default());
        *seen = Some((Instant::now(), document.clone()));
        Ok(document)
    }

    /// What stands there now, if anything does.
    pub(super) async fn load(&self) -> Result<Option<D>> {
        Ok(self.stored().await?.map(|(document, _)| document))
    }

    /// Puts one where none stands; `false` if another was first.
    pub(super) async fn begin(&self, document: &D) -> Result<bool> {
        self.store(document, Expect::Absent).await
    }

    /// Changes it, anew when somebody else has written meanwhile. A dry run only tries the change.
    pub(super) async fn change<T, E: From<Error>>(
        &self,
        dry_run: bool,
        change: impl Fn(&mut D) -> Result<T, E>,
    ) -> Result<T, E> {
        for _ in 0..TRIES {
            let (mut document, expect) = self.stored().await?.unwrap_or_else(|| (D::default(), Expect::Absent));
            let changed = change(&mut document)?;
            if dry_run || self.store(&document, expect).await? {
                return Ok(changed);
            }
        }
        let text = format!("others change the {} all the time", self.what);
        Err(Error::new(Kind::Overloaded, text).into())
    }

    async fn stored(&self) -> Result<Option<(D, Expect)>> {
        let Some(entry) = self.source.load(self.key).await? else { return Ok(None) };
        let document = serde_json::from_slice(&entry.value).map_err(|e| {
            let (key, what, remedy) = (self.key, self.what, self.remedy);
            Error::config(format!("the setting {key} holds no {what}: delete it to {remedy}")).because(e)
        })?;
        Ok(Some((document, Expect::Version(entry.version))))
    }

    /// `false`: somebody else has written meanwhile.
    async fn store(&self, document: &D, expect: Expect) -> Result<bool> {
        let json = written(document).map_err(|e| e.context("what", self.what))?;
        match self.source.store(self.key, json.into(), expect).await {
            Ok(_) => {
                *self.seen.lock().await = None;
                Ok(true)
            }
            Err(e) if matches!(e.kind(), Kind::Stale | Kind::Duplicate) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// A document as it is kept.
pub(super) fn written(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(document).map_err(|e| Error::new(Kind::Internal, "a document as JSON").because(e))
}
