use std::sync::Arc;

use async_trait::async_trait;
use due_core::{
    Owner, Result, Url,
    transport::{Acceptor, Dialer, Link, Listening, Transport},
};

use super::accept::Tcp;
use crate::peer::Over;

/// The transport of `link://`.
///
/// Links are dialed again on the runtime that called [`Transport::connect`]; an end is polled inside one tokio runtime
/// with I/O and time enabled.
#[derive(Clone, Debug)]
pub struct Native(Over);

impl Native {
    /// Reads the keys of `url`, which hold for every address that has none of its own. A `Config` error names the key.
    pub fn open(url: &Url) -> Result<Self> {
        Over::open(url, Tcp).map(Self)
    }
}

#[async_trait]
impl Transport for Native {
    async fn listen(&self, url: &Url, own: Owner, acceptor: Arc<dyn Acceptor>) -> Result<Listening> {
        self.0.listen(url, own, acceptor).await
    }

    async fn connect(&self, url: &Url, from: Dialer, to: &Owner) -> Result<Box<dyn Link>> {
        self.0.connect(url, from, to).await
    }
}
