//! Stateless services that others call by name, whatever protocol carries the calls.
//!
//! The protocol's own crate listens and serves; what lists the service, tells when it leaves and lets it end is the
//! same for all of them.

use std::time::Duration;

use async_trait::async_trait;

use crate::{error::Result, url::Url};

/// The label under which an instance lists what it serves beside its own name, apart by commas.
pub const SERVICES: &str = "services";

/// A service of one protocol, not serving yet.
#[async_trait]
pub trait Service: Send + 'static {
    /// Serves at `url`, on the caller's runtime, until it is closed or dropped. Errors: `Config` for an address that is
    /// busy or refused, or a scheme of another protocol.
    async fn listen(self: Box<Self>, url: &Url) -> Result<Box<dyn Served>>;
}

/// A service that is served. Dropped, it takes no new connections and leaves the calls that run to themselves.
#[async_trait]
pub trait Served: Send + Sync + 'static {
    /// The address for others, with the real port.
    fn endpoint(&self) -> &Url;

    /// The names under which it is found beside the one of its mesh.
    fn names(&self) -> &[String];

    /// Takes no new connections and waits until the calls that run have ended, at most `limit`. Errors: `Timeout` if some
    /// still ran; they end with the process at the latest.
    async fn close(self: Box<Self>, limit: Duration) -> Result<()>;
}
