//! A transport, made from what carries its links.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use due_core::{
    Error, Owner, Result, Url,
    transport::{Acceptor, Dialer, Link, Listening, Transport},
};
use tokio::{net::TcpListener, task::AbortHandle};

use super::{
    Socket,
    dial::Dial,
    door::{Door, Open},
    end::End,
    tcp,
};
use crate::{
    handshake::{Hail, MAX_ID},
    settings::Settings,
};

/// What links go over.
#[async_trait]
pub(crate) trait Carrier: Send + Sync + 'static {
    /// Makes a connection to `url` on which nothing was said yet. Errors: `Unavailable`, or `Config` for an address that
    /// may not be dialed. Cancel safe.
    async fn connect(&self, url: &Url, settings: &Settings) -> Result<Socket>;

    /// Accepts connections until the task is aborted, and lets each greet at `door`. Connections that are up stay.
    fn listen(&self, listener: TcpListener, door: Arc<Door>) -> AbortHandle;
}

/// The transport whose links go over a carrier.
#[derive(Clone)]
pub(crate) struct Over {
    carrier: Arc<dyn Carrier>,
    settings: Arc<Settings>,
}

impl Over {
    /// Reads the keys of `url`, which hold for every address that has none of its own. A `Config` error names the key.
    pub(crate) fn open(url: &Url, carrier: impl Carrier) -> Result<Self> {
        Ok(Self { carrier: Arc::new(carrier), settings: Arc::new(Settings::open(url)?) })
    }

    fn settings(&self, url: &Url) -> Result<Arc<Settings>> {
        if url.only(&[]) == *url { Ok(self.settings.clone()) } else { Settings::open(url).map(Arc::new) }
    }
}

#[async_trait]
impl Transport for Over {
    async fn listen(&self, url: &Url, own: Owner, acceptor: Arc<dyn Acceptor>) -> Result<Listening> {
        let settings = self.settings(url)?;
        check(url, &[&own])?;
        let (listener, url) = tcp::listen(url, &settings).await?;
        let door = Arc::new(Door::new(settings, own, acceptor));
        let task = self.carrier.listen(listener, door.clone());
        Ok(Listening { url, guard: Box::new(Open::new(task, &door)) })
    }

    async fn connect(&self, url: &Url, from: Dialer, to: &Owner) -> Result<Box<dyn Link>> {
        let settings = self.settings(url)?;
        check(url, &[&from.owner, to])?;
        let hail = Hail { from, to: to.clone(), nonce: rand::random(), resume: false };
        let dial = Arc::new(Dial { carrier: self.carrier.clone(), settings, url: url.clone(), hail });
        let socket = dial.connect(false).await.map_err(|failed| failed.error)?;
        Ok(Box::new(End::dialed(socket, dial)))
    }
}

impl fmt::Debug for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Over").field("settings", &self.settings).finish_non_exhaustive()
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
