//! A connection before its upgrade.

use std::{sync::Arc, task::Waker};

use due_core::net::RequestHead;

use super::{
    answer::Refusal,
    head::{self, MAX_HEAD},
    rules::Rules,
};

/// Collects the head.
pub(crate) struct Opening {
    rules: Arc<Rules>,
    bytes: Vec<u8>,
    /// Parse again at this length, so that a head that comes in single bytes is not parsed for each of them.
    parse_at: usize,
}

/// The head is complete, the verdict is out.
pub(crate) struct Deciding {
    pub(crate) head: RequestHead,
    pub(crate) accept: String,
    /// What the client sent behind its head without waiting for the answer.
    pub(crate) early: Vec<u8>,
    /// Of a read that came before the verdict.
    pub(crate) waker: Option<Waker>,
}

impl Opening {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules, bytes: Vec::new(), parse_at: 1 }
    }

    /// Bytes that may still come, 1 or more as long as no feed has failed.
    pub(crate) fn room(&self) -> usize {
        MAX_HEAD.saturating_sub(self.bytes.len())
    }

    /// Takes up to [`Opening::room`] bytes; the head comes out when it is complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Deciding>, Refusal> {
        let seen = self.bytes.len().saturating_sub(2);
        self.bytes.extend_from_slice(bytes);
        let fresh = self.bytes.get(seen..).unwrap_or_default();
        if !ends_head(fresh) && self.bytes.len() < self.parse_at.min(MAX_HEAD) {
            return Ok(None);
        }
        self.parse_at = self.bytes.len() * 2;
        let Some(upgrade) = head::read(&self.bytes, &self.rules)? else { return Ok(None) };
        let early = self.bytes.split_off(upgrade.size);
        Ok(Some(Deciding { head: upgrade.head, accept: upgrade.accept, early, waker: None }))
    }
}

/// Is there an empty line? Bare line feeds count, as they do for the parser.
fn ends_head(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|w| matches!(w, [b'\n', b'\r', b'\n'] | [b'\n', b'\n', _] | [_, b'\n', b'\n']))
}
