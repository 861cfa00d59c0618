//! Questions to the locator: it answers soon, or is taken for away.

use std::time::Duration;

use due_core::{Error, Kind, Result};
use tokio::time::timeout;

/// How long the locator may take for one answer.
pub(crate) const STORE_LIMIT: Duration = Duration::from_secs(1);

/// `Unavailable` if the locator does not answer within [`STORE_LIMIT`].
pub(crate) async fn within<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    let late = || Error::new(Kind::Unavailable, "the locator does not answer");
    timeout(STORE_LIMIT, call).await.unwrap_or_else(|_| Err(late()))
}
