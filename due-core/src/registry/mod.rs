//! Who is alive, and what they serve.

pub mod memory;

use std::{collections::BTreeMap, sync::Arc, time::{Duration, Instant}};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{error::Result, id::{Incarnation, InstanceId}};

/// What a part of the cluster does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstanceKind { Gate, Node, Mesh, Master }

/// How much work an instance takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State { #[default] Work, Busy, Hang, Shut }

/// One running part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub incarnation: Incarnation,
    pub kind: InstanceKind,
    pub name: String,
    pub endpoints: Vec<String>,
    pub state: State,
    pub weight: u32,
    pub labels: BTreeMap<String, String>,
    /// Hash of the route table; the table itself is fetched over the link.
    pub routes: u64,
}

/// How new a view is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness { Live, Stale { since: Instant } }

/// The members of one kind: state, not history.
#[derive(Clone, Debug)]
pub struct View { pub members: Arc<[Instance]>, pub fresh: Freshness }

/// What the cluster uses; `Kept` gives it to every [`RegistryStore`].
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    async fn register(&self, instance: Instance) -> Result<Registration>;
    async fn watch(&self, kind: InstanceKind) -> Result<Watch>;
    fn capability(&self) -> Capability;
}
