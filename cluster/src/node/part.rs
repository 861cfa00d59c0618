//! The node as an application describes it.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use due_core::{Encryptor, Error, Result, Uid};

use crate::{cluster::Cluster, fault::Fault, handler::Routes};

/// In which order a node's handlers run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Handlers of one session one after the other, different sessions side by side.
    #[default]
    Session,
    /// One handler at a time on the whole node, its awaits included, as code for one logic thread expects. The node
    /// then runs on one shard.
    Node,
}

/// A hook for users that are bound to another node by now.
pub(crate) type Fenced = Box<dyn Fn(Cluster, Uid) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

type Hook = Box<dyn FnOnce(Cluster) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send>> + Send>;

/// A node: runs route handlers, event handlers and actors.
pub struct Node {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) weight: u32,
    pub(crate) order: Order,
    pub(crate) deadline: Duration,
    pub(crate) routes: Routes<()>,
    pub(crate) started: Vec<Hook>,
    pub(crate) stopping: Vec<Hook>,
    pub(crate) fenced: Vec<Fenced>,
    pub(crate) actors: crate::actor::Kinds,
    pub(crate) encryptor: Option<Arc<dyn Encryptor>>,
}

impl Node {
    /// A node of this name. Stateful bindings are per name; several instances may share it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: None,
            weight: 1,
            order: Order::Session,
            deadline: Duration::from_secs(30),
            routes: Routes::new(),
            started: Vec::new(),
            stopping: Vec::new(),
            fenced: Vec::new(),
            actors: crate::actor::Kinds::default(),
            encryptor: None,
        }
    }

    /// The id in the registry; made up at start if not given.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Its share of stateless work against other nodes of its name; 1 by default, 0 takes none while others do.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// In which order its handlers run.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How long a request may take where its route says nothing; 30 s by default.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = limit;
        self
    }

    /// Encrypts bodies between clients and this node: those of requests are decrypted before layers and handlers see
    /// them, those of answers, of `errors_as` and of pushes are encrypted. Gates never see what is in them. Route, seq and
    /// error frames stay readable, an empty body stays empty, and bytes of the codec [`Raw`](crate::handler::Raw) leave as
    /// they are. What servers send each other is not encrypted by this: links have their own protection.
    ///
    /// It costs the shard a private operation for each request, 0.1 to 0.3 ms: give routes `authorized`, and listeners
    /// limits. The start fails with `Config` if `by` can only encrypt or only decrypt, and if nodes of one process have
    /// different ones: clients have one for all. Pushes of a process without a node are not encrypted.
    #[must_use]
    pub fn encryptor(mut self, by: Arc<dyn Encryptor>) -> Self {
        self.encryptor = Some(by);
        self
    }

    /// Adds routes.
    #[must_use]
    pub fn routes(mut self, routes: Routes<()>) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// Adds whatever turns into routes (a component).
    #[expect(clippy::should_implement_trait, reason = "the word that users of component frameworks look for")]
    #[must_use]
    pub fn add(self, part: impl Into<Routes<()>>) -> Self {
        self.routes(part.into())
    }

    /// Says how an actor comes to life when its key is first used: `open` makes the state, from a store for instance. An
    /// error is the answer to all that wait for the actor, and the next use tries again.
    #[must_use]
    pub fn actors<A, F, Fut>(mut self, open: F) -> Self
    where
        A: crate::actor::Actor,
        F: Fn(A::Key, Cluster) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, Fault>> + Send + 'static,
    {
        self.actors.add(open);
        self
    }

    /// Runs once before the node takes work. An error ends the start of the application.
    #[must_use]
    pub fn started<F: Future<Output = Result<(), Fault>> + Send + 'static>(
        mut self,
        hook: impl FnOnce(Cluster) -> F + Send + 'static,
    ) -> Self {
        self.started.push(Box::new(|cluster| Box::pin(hook(cluster))));
        self
    }

    /// Runs once when the node stops, while it still reaches its sessions.
    #[must_use]
    pub fn stopping<F: Future<Output = Result<(), Fault>> + Send + 'static>(
        mut self,
        hook: impl FnOnce(Cluster) -> F + Send + 'static,
    ) -> Self {
        self.stopping.push(Box::new(|cluster| Box::pin(hook(cluster))));
        self
    }

    /// Runs when a user that was bound to this node is found to be bound to another one: what is kept in its name here is
    /// not true any more. After a rebind elsewhere at once, at the latest 15 s after the news of it were lost.
    #[must_use]
    pub fn fenced<F: Future<Output = ()> + Send + 'static>(
        mut self,
        hook: impl Fn(Cluster, Uid) -> F + Send + Sync + 'static,
    ) -> Self {
        self.fenced.push(Box::new(move |cluster, uid| Box::pin(hook(cluster, uid))));
        self
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).field("weight", &self.weight).finish_non_exhaustive()
    }
}

/// The encryptor of all nodes of this process. Clients have one for all of them, so that two, or one that only some nodes
/// have, would be a server that half of the messages cannot be read from.
pub(crate) fn common_encryptor(nodes: &[Node]) -> Result<Option<Arc<dyn Encryptor>>> {
    let Some(first) = nodes.first() else { return Ok(None) };
    let same = |node: &&Node| match (&first.encryptor, &node.encryptor) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    if let Some(other) = nodes.iter().find(|node| !same(node)) {
        let text = format!(
            "nodes {:?} and {:?} of this process have different encryptors: give both a clone of the same one, or none",
            first.name, other.name
        );
        return Err(Error::config(text));
    }
    if let Some(by) = &first.encryptor {
        due_core::crypto::check_both(&**by).map_err(|e| e.context("node", &first.name))?;
    }
    Ok(first.encryptor.clone())
}

/// What all shards of a node have in common.
pub(crate) struct NodeShared {
    pub(crate) own: Arc<crate::session::NodeSelf>,
    pub(crate) table: crate::handler::Table,
    /// The table as gates get it.
    pub(crate) encoded: Arc<crate::link::NodeTable>,
    /// The slots of users that stateful routes follow, by route.
    pub(crate) slots: std::collections::HashMap<i32, Arc<str>>,
    pub(crate) order: Order,
    pub(crate) deadline: Duration,
    pub(crate) fenced: Vec<Fenced>,
    pub(crate) actors: crate::actor::NodeActors,
}
