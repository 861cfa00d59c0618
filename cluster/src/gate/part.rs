//! The gate as an application describes it.

use std::{fmt, net::SocketAddr, sync::Arc};

use due_core::{Code, Uid, Url, net::RequestHead};

use super::members::Dispatch;

/// A client that asks to come in.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Arrival<'a> {
    /// Where it speaks from.
    pub peer: SocketAddr,
    /// The listener it came to.
    pub listener: &'a Url,
    /// Path and headers, where the network has them (ws).
    pub head: Option<&'a RequestHead>,
    /// What the client's hello carried; `None` at connect.
    pub hello: Option<&'a serde_json::Value>,
}

/// What an accepted client gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    pub(crate) uid: Option<Uid>,
    pub(crate) labels: Vec<(String, String)>,
}

impl Admission {
    /// Come in, as nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds the session to a user, as a handler's `bind` would.
    #[must_use]
    pub fn bind(mut self, uid: impl Into<Uid>) -> Self {
        self.uid = Some(uid.into());
        self
    }

    /// Writes a label on the session; nodes read it with `Session::label`. At most 16 labels of 256 bytes.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        if self.labels.len() < 16 && name.len() + value.len() <= 256 {
            self.labels.push((name, value));
        }
        self
    }
}

/// Why a client stays out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal(pub Code);

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self(code)
    }
}

/// What a login does to an earlier session of its user, at whichever gate that is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Duplicate {
    /// Ends it: the last login wins. Old clients, which cannot be told to stay away, may take one user over 5 times in
    /// 30 s at one gate; for the next 30 s the user stays where it is.
    #[default]
    KickOld,
    /// Leaves it alone: the login fails with `Duplicate` as long as the earlier session lives.
    RejectNew,
}

type Hook = dyn Fn(&Arrival<'_>) -> Result<Admission, Refusal> + Send + Sync;

/// A gate: owns client connections, checks, routes and pushes. It never looks into a body.
#[derive(Clone)]
pub struct Gate {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) listen: Vec<String>,
    pub(crate) dispatch: Dispatch,
    pub(crate) duplicate: Duplicate,
    pub(crate) accept: Option<Arc<Hook>>,
    pub(crate) on_hello: Option<Arc<Hook>>,
}

impl Gate {
    /// A gate of this name; several instances may share it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            id: None,
            listen: Vec::new(),
            dispatch: Dispatch::Sticky,
            duplicate: Duplicate::KickOld,
            accept: None,
            on_hello: None,
        }
    }

    /// The id in the registry; made up at start if not given.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Adds a listener: `tcp://127.0.0.1:3553`, `ws://0.0.0.0:3653/play?origins=*`, `kcp://..`. Keys of the URL are those
    /// of [`ListenerSettings`](super::ListenerSettings), of the dialect (`route-bytes seq-bytes order heartbeat-time
    /// ws-size max-body`) and of the network.
    #[must_use]
    pub fn listen(mut self, url: impl Into<String>) -> Self {
        self.listen.push(url.into());
        self
    }

    /// How stateless messages choose among the nodes of a name.
    #[must_use]
    pub fn dispatch(mut self, by: Dispatch) -> Self {
        self.dispatch = by;
        self
    }

    /// What a login does to an earlier session of its user. Give all gates the same: the gate of the later login decides.
    #[must_use]
    pub fn duplicate(mut self, policy: Duplicate) -> Self {
        self.duplicate = policy;
        self
    }

    /// Looks at each client at connect (ws: before the upgrade; a refusal is 403). Runs on a shard: it must not block.
    #[must_use]
    pub fn accept(mut self, hook: impl Fn(&Arrival<'_>) -> Result<Admission, Refusal> + Send + Sync + 'static) -> Self {
        self.accept = Some(Arc::new(hook));
        self
    }

    /// Looks at each hello, with its payload; a refusal is answered with its code, then the connection closes.
    #[must_use]
    pub fn on_hello(
        mut self,
        hook: impl Fn(&Arrival<'_>) -> Result<Admission, Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.on_hello = Some(Arc::new(hook));
        self
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("name", &self.name).field("listen", &self.listen).finish_non_exhaustive()
    }
}
