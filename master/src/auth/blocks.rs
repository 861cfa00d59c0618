//! Users who may not log in for a while: kept beside the tokens, where all gates find them.

use std::sync::Arc;

use due_cluster::admin::Blocks as Document;
use due_core::{Error, Result, Uid, config::ConfigSource};

use super::shared::Shared;
use crate::clock;

/// The longest block in seconds: a year.
pub(crate) const LONGEST: u64 = 31_536_000;

/// All blocks.
pub(crate) struct Blocks(Shared<Document>);

impl Blocks {
    /// Those in this source, which is the one that gates follow: elsewhere they would be of no use.
    pub(crate) fn new(source: Arc<dyn ConfigSource>) -> Self {
        Self(Shared::new(source, Document::KEY, ("blocks", "let all users in again")))
    }

    /// Until when a user is blocked, in seconds since 1970; nothing if he is not.
    pub(crate) async fn until(&self, uid: &Uid) -> Result<Option<u64>> {
        let now = clock::seconds();
        Ok(self.0.seen().await?.until(uid).filter(|until| *until > now))
    }

    /// Blocks a user for so many seconds from now on, in place of an earlier block: until when. A dry run only looks
    /// whether that would do. Errors: `Full` if too many are blocked, `Forbidden` if the source cannot be written.
    pub(crate) async fn block(&self, uid: &Uid, secs: u64, dry_run: bool) -> Result<u64> {
        let now = clock::seconds();
        let until = now + secs.min(LONGEST);
        self.0.change::<_, Error>(dry_run, |document| document.block(uid, until, now)).await?;
        Ok(until)
    }

    /// Ends the block of a user: until when it would have been, or nothing if there was none.
    pub(crate) async fn unblock(&self, uid: &Uid, dry_run: bool) -> Result<Option<u64>> {
        let now = clock::seconds();
        let until = self.0.change::<_, Error>(dry_run, |document| Ok(document.unblock(uid))).await?;
        Ok(until.filter(|until| *until > now))
    }
}
