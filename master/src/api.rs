//! What all handlers share.

use std::{ops::Deref, sync::Arc};

use due_cluster::admin::Admin;
use due_core::Result;

use crate::{
    audit::Audit,
    auth::{Approvals, Blocks, Caller, Holder, Policy, Rates, Roles, Scopes, Tokens},
    broadcasts::Broadcasts,
    events::Events,
    idempotency::Remembered,
    members::Members,
    pace::Pace,
};

/// A handle to it, for somebody: the guard gives each request one.
#[derive(Clone)]
pub(crate) struct Api {
    inner: Arc<Inner>,
    /// The instances that whoever asks may see; for the master itself, all.
    pub(crate) members: Members,
}

pub(crate) struct Inner {
    pub(crate) admin: Admin,
    /// All instances, whoever asks: for what concerns the whole fleet.
    pub(crate) fleet: Members,
    pub(crate) tokens: Tokens,
    pub(crate) roles: Roles,
    pub(crate) approvals: Approvals,
    /// What waits for a second person.
    pub(crate) policy: Policy,
    pub(crate) blocks: Blocks,
    pub(crate) rates: Rates,
    pub(crate) audit: Audit,
    pub(crate) remembered: Remembered,
    pub(crate) events: Events,
    /// Logins and logouts, which stand apart from all other events.
    pub(crate) binds: Events,
    pub(crate) broadcasts: Broadcasts,
    pub(crate) pace: Pace,
    pub(crate) read_only: bool,
    /// The id of this master.
    pub(crate) id: String,
}

impl Api {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { members: inner.fleet.clone(), inner: Arc::new(inner) }
    }

    /// The same for somebody of these scopes.
    pub(crate) fn within(&self, scopes: &Scopes) -> Self {
        Self { inner: self.inner.clone(), members: self.fleet.within(scopes) }
    }

    /// Whoever holds a token, with what its roles may now.
    pub(crate) async fn caller(&self, holder: Holder) -> Result<Caller> {
        let can = self.roles.permit(&holder.roles).await?;
        let Holder { id, name, roles, scopes } = holder;
        Ok(Caller { id, name, roles, can, scopes, approved_by: None })
    }
}

impl Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}
