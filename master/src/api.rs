//! What all handlers share.

use std::{ops::Deref, sync::Arc};

use due_cluster::admin::Admin;

use crate::{
    audit::Audit,
    auth::{Rates, Tokens},
    events::Events,
    idempotency::Remembered,
    members::Members,
};

/// A handle to it.
#[derive(Clone)]
pub(crate) struct Api(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) admin: Admin,
    pub(crate) members: Members,
    pub(crate) tokens: Tokens,
    pub(crate) rates: Rates,
    pub(crate) audit: Audit,
    pub(crate) remembered: Remembered,
    pub(crate) events: Events,
    pub(crate) read_only: bool,
    /// The id of this master.
    pub(crate) id: String,
}

impl Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
