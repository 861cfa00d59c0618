use std::sync::Arc;

use async_trait::async_trait;
use due_core::{
    Error, Owner, Result, Url,
    transport::{Acceptor, Dialer, Link, Listening, Transport},
};

use super::{
    accept::{self, Door},
    dial::Dial,
    end::End,
    socket,
};
use crate::{
    handshake::{Hail, MAX_ID},
    settings::Settings,
};

/// The transport of `link://`.
///
/// Links are dialed again on the runtime that called [`Transport::connect`]; an end is polled inside one tokio runtime
/// with I/O and time enabled.
#[derive(Clone, Debug)]
pub struct Native {
    settings: Arc<Settings>,
}

impl Native {
    /// Reads the keys of `url`, which hold for every address that has none of its own. A `Config` error names the key.
    pub fn open(url: &Url) -> Result<Self> {
        Ok(Self { settings: Arc::new(Settings::open(url)?) })
    }

    fn settings(&self, url: &Url) -> Result<Arc<Settings>> {
        if url.only(&[]) == *url { Ok(self.settings.clone()) } else { Settings::open(url).map(Arc::new) }
    }
}

#[async_trait]
impl Transport for Native {
    async fn listen(&self, url: &Url, own: Owner, acceptor: Arc<dyn Acceptor>) -> Result<Listening> {
        let settings = self.settings(url)?;
        check(url, &[&own])?;
        let (listener, url) = socket::listen(url, &settings).await?;
        let guard = accept::start(listener, Door::new(settings, own, acceptor));
        Ok(Listening { url, guard: Box::new(guard) })
    }

    async fn connect(&self, url: &Url, from: Dialer, to: &Owner) -> Result<Box<dyn Link>> {
        let settings = self.settings(url)?;
        check(url, &[&from.owner, to])?;
        let hail = Hail { from, to: to.clone(), nonce: rand::random(), resume: false };
        let dial = Arc::new(Dial { settings, url: url.clone(), hail });
        let stream = dial.connect(false).await.map_err(|failed| failed.error)?;
        Ok(Box::new(End::dialed(stream, dial)))
    }
}

fn check(url: &Url, owners: &[&Owner]) -> Result<()> {
    if !matches!(url.path(), "" | "/") {
        return Err(Error::config(format!("the path {:?} in {url}: a link has no paths", url.path())));
    }
    if let Some(long) = owners.iter().find(|owner| owner.id.0.len() > MAX_ID) {
        let len = long.id.0.len();
        return Err(Error::config(format!("an instance id of {len} bytes: links carry at most {MAX_ID}")));
    }
    Ok(())
}
