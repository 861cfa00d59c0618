//! What all handlers share.

use std::{ops::Deref, sync::Arc};

use due_cluster::admin::Admin;
use due_core::Result;

use crate::{
    audit::Audit,
    auth::{Caller, Holder, Rates, Roles, Tokens},
    broadcasts::Broadcasts,
    events::Events,
    idempotency::Remembered,
    members::Members,
    pace::Pace,
};

/// A handle to it.
#[derive(Clone)]
pub(crate) struct Api(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) admin: Admin,
    pub(crate) members: Members,
    pub(crate) tokens: Tokens,
    pub(crate) roles: Roles,
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
    /// Whoever holds a token, with what its roles may now.
    pub(crate) async fn caller(&self, holder: Holder) -> Result<Caller> {
        let can = self.roles.permit(&holder.roles).await?;
        let Holder { id, name, roles } = holder;
        Ok(Caller { id, name, roles, can })
    }
}

impl Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
