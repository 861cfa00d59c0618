//! Lists of any length, in pages.
//!
//! The same file stands in the crates `registry` and `config`: see `client.rs`.

use due_core::{Error, Kind, Result};
use etcd_client::{GetOptions, KeyValue};

use super::client::Etcd;

/// Largest list in bytes, over all its pages.
const LARGEST: usize = 256 << 20;

impl Etcd {
    /// Everything under a prefix (a whole key of ours, not bare), as of one revision, and that revision.
    pub(super) async fn list(&self, prefix: &str, page: i64) -> Result<(Vec<KeyValue>, i64)> {
        let end = after(prefix);
        let page = GetOptions::new().with_range(end).with_limit(page);
        let mut answer = self.get(prefix, page.clone()).await?;
        let revision = answer.header().map_or(0, |h| h.revision());
        let (mut all, mut bytes) = (Vec::new(), 0);
        loop {
            let (more, kvs) = (answer.more(), answer.take_kvs());
            bytes += kvs.iter().map(|kv| kv.key().len() + kv.value().len()).sum::<usize>();
            if bytes > LARGEST {
                return Err(Error::new(Kind::TooLarge, "this list is over 256 MiB").context("prefix", prefix));
            }
            all.extend(kvs);
            let Some(last) = all.last().filter(|_| more) else { return Ok((all, revision)) };
            let next = [last.key(), &[0]].concat();
            answer = self.get(&next, page.clone().with_revision(revision)).await?;
        }
    }
}

/// The first key behind all that begin with `prefix`, which ends in no byte 255 because it is text.
fn after(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
