//! A session as handlers hold it.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use due_core::{
    Class, Code, Codec, Encryptor, Epoch, Error, Kind, Owner, Push, Result, RouteId, SessionId, Uid,
    crypto::seal_body,
    locate::{self, Locator, Place, Subject},
    transport::{FrameKind, Head},
};
use tokio::sync::oneshot;

use crate::{
    link::{Claim, FLAG_THEN_CLOSE, GateOrder, class_bits},
    node::{
        bound::{Bindings, Held, Holding},
        contact::Contact,
        speakers::Speakers,
        wake::Doubt,
    },
    shard::inbox::{Inbox, SessionKey},
};

/// How long an order to a gate may take.
pub(crate) const ORDER_LIMIT: Duration = Duration::from_secs(3);

/// One client's session, as a node sees it. Cheap to clone, keep it anywhere: when the client is gone its methods answer
/// `Gone`, never somebody else's data.
#[derive(Clone)]
pub struct Session(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) id: SessionId,
    pub(crate) cid: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) gate: Owner,
    pub(crate) gate_shard: u16,
    pub(crate) lane: u64,
    pub(crate) key: SessionKey,
    pub(crate) home: Arc<Inbox>,
    pub(crate) node: Arc<NodeSelf>,
    pub(crate) labels: Mutex<BTreeMap<String, String>>,
    user: Mutex<Option<Bound>>,
    pub(crate) attached: Mutex<BTreeMap<&'static str, crate::actor::Attachment>>,
    data: Mutex<BTreeMap<TypeId, Box<dyn Any + Send + Sync>>>,
    pub(crate) closed: AtomicBool,
    /// The link towards the gate is full.
    crowded: Arc<AtomicBool>,
}

/// The session's user.
#[derive(Clone)]
struct Bound {
    uid: Uid,
    epoch: Epoch,
    /// The user's slots that lead to this node, if there are or were any.
    holding: Option<Arc<Holding>>,
}

impl Bound {
    fn new(node: &NodeSelf, (uid, epoch): (Uid, Epoch)) -> Self {
        let holding = node.bindings.of(&Subject::from(uid.clone()));
        Self { uid, epoch, holding }
    }
}

/// The node a session handle belongs to.
pub(crate) struct NodeSelf {
    pub(crate) name: String,
    pub(crate) owner: Owner,
    pub(crate) locator: Arc<dyn Locator>,
    pub(crate) bindings: Bindings,
    pub(crate) speakers: Speakers,
    /// Encrypts bodies for clients.
    pub(crate) encryptor: Option<Arc<dyn Encryptor>>,
    pub(crate) doubt: Doubt,
    pub(crate) contact: Contact,
}

impl NodeSelf {
    /// Gives up the users that are still bound here, as far as the store takes that within 2 s; how many they were. A
    /// store that does not hear it learns of the node's end from the registry.
    pub(crate) async fn release_users(&self) -> (u64, Option<Error>) {
        let users = || self.bindings.list(&self.owner).into_iter().filter(|b| matches!(b.subject, Subject::User(_)));
        let count = users().count() as u64;
        let unbind = async {
            for binding in users() {
                let (session, epoch) = (binding.slot.session, binding.slot.epoch);
                self.locator.unbind(binding.subject, binding.place, session, epoch).await?;
            }
            Ok(())
        };
        let late = |_| Err(Error::new(Kind::Timeout, "the locator does not answer"));
        (count, tokio::time::timeout(Duration::from_secs(2), unbind).await.unwrap_or_else(late).err())
    }
}

/// What a new session handle is made of.
pub(crate) struct Made {
    pub(crate) opened: crate::link::Opened,
    pub(crate) gate: Owner,
    pub(crate) gate_shard: u16,
    pub(crate) lane: u64,
    pub(crate) key: SessionKey,
    pub(crate) home: Arc<Inbox>,
    pub(crate) node: Arc<NodeSelf>,
    pub(crate) crowded: Arc<AtomicBool>,
}

impl Session {
    pub(crate) fn new(made: Made) -> Self {
        let user = made.opened.user.map(|user| Bound::new(&made.node, user));
        Self(Arc::new(Inner {
            id: made.opened.session,
            cid: made.opened.cid,
            peer: made.opened.peer,
            gate: made.gate,
            gate_shard: made.gate_shard,
            lane: made.lane,
            key: made.key,
            home: made.home,
            node: made.node,
            labels: Mutex::new(made.opened.labels.into_iter().collect()),
            user: Mutex::new(user),
            attached: Mutex::default(),
            data: Mutex::default(),
            closed: AtomicBool::new(false),
            crowded: made.crowded,
        }))
    }

    /// The session's id: random, the same on all nodes.
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The gate's counter for this connection, as due knows it: 1, 2, 3.. per gate, unique only with [`Session::gate`].
    pub fn cid(&self) -> u64 {
        self.0.cid
    }

    /// The gate that holds the connection.
    pub fn gate(&self) -> &Owner {
        &self.0.gate
    }

    /// Where the client speaks from.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// What the gate's `accept` or hello hook wrote on the session.
    pub fn label(&self, name: &str) -> Option<String> {
        self.0.labels.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn set_labels(&self, labels: Vec<(String, String)>) {
        *self.0.labels.lock().unwrap_or_else(PoisonError::into_inner) = labels.into_iter().collect();
    }

    /// The user, once the session is bound.
    pub fn uid(&self) -> Option<Uid> {
        self.user().map(|(uid, _)| uid)
    }

    /// The fencing epoch of the user's binding.
    pub fn epoch(&self) -> Option<Epoch> {
        self.user().map(|(_, epoch)| epoch)
    }

    fn bound(&self) -> MutexGuard<'_, Option<Bound>> {
        self.0.user.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn user(&self) -> Option<(Uid, Epoch)> {
        self.bound().as_ref().map(|bound| (bound.uid.clone(), bound.epoch))
    }

    pub(crate) fn set_user(&self, user: Option<(Uid, Epoch)>) {
        let bound = user.map(|user| Bound::new(&self.0.node, user));
        *self.bound() = bound;
    }

    /// Has another node the user's slot, though this message was sent for this one?
    pub(crate) fn has_lost(&self, slot: &str, epoch: Epoch) -> bool {
        let holding = self.bound().as_ref().and_then(|bound| bound.holding.clone());
        holding.is_some_and(|holding| holding.is_lost(slot, epoch, self.0.id))
    }

    /// What a push says of who makes it: the actor whose task this is, or else the node.
    fn claim(&self) -> Option<Claim> {
        let bound = self.bound();
        let holding = bound.as_ref()?.holding.as_ref()?;
        match crate::actor::current_slot() {
            Some(slot) => holding.claim_of(&slot),
            None => holding.claim(&self.0.node.name),
        }
    }

    /// Is the connection over, as far as this node knows?
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Sends to this client. Never waits: `Ok` means that it stands in this process's bounded queue towards the gate;
    /// pushes of one handler arrive in the order they were made, before its answer. `Full` took nothing, `Gone` says that
    /// the client has left. What that queue holds when the link turns out to be full is dropped and counted
    /// (`NodeCounters::pushes_full`), but of a `Latest` route the newest push waits for room. The gate refuses and counts
    /// (`GateCounters::stale`) what a node, or an actor, pushes as the user's owner when another one is by then; the node
    /// then learns that ([`Node::fenced`](crate::Node::fenced)).
    pub fn push<T, C: Codec<T>>(&self, push: Push<T, C>, value: &T) -> Result<()> {
        self.push_with(push, value, 0)
    }

    /// Sends, then closes the connection gracefully once it is written.
    pub fn push_then_close<T, C: Codec<T>>(&self, push: Push<T, C>, value: &T) -> Result<()> {
        self.push_with(push, value, FLAG_THEN_CLOSE)
    }

    fn push_with<T, C: Codec<T>>(&self, push: Push<T, C>, value: &T, flags: u8) -> Result<()> {
        if self.is_closed() {
            return Err(Kind::Gone.into());
        }
        let def = push.def();
        let waits = def.flags.class == Class::Latest || flags & FLAG_THEN_CLOSE != 0;
        if !waits && self.0.crowded.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Full, "the link towards the gate is full"));
        }
        let mut head = Head {
            kind: FrameKind::Message,
            flags: flags | class_bits(def.flags.class),
            route: def.id.0,
            lane: self.0.lane,
            ..Head::default()
        };
        if let Some(claim) = self.claim() {
            claim.put(&mut head);
        }
        let (home, key) = (&self.0.home, self.0.key);
        let Some(by) = self.0.node.encryptor.as_deref().filter(|_| !C::RAW) else {
            return home.push(key, head, |out| C::default().encode(value, out).map_err(encode_error));
        };
        // Not inside: the queue is locked there, and encryption takes long.
        let body = sealed_body::<T, C>(by, def.id, value)?;
        home.push(key, head, |out| {
            out.extend_from_slice(&body);
            Ok(())
        })
    }

    /// Binds the session to a user: the last login wins, an older session of the user is told `Relogin` and closed. The
    /// epoch rises with every login of this user. Errors: `BadRequest` for an empty or negative uid, `Unavailable` when
    /// the store cannot be reached or the gate is draining, `Gone` when the client has left, `Forbidden` for a user who is
    /// blocked: its text says until when.
    pub async fn bind(&self, uid: impl Into<Uid>) -> Result<Epoch> {
        let uid = uid.into();
        uid.check()?;
        let body = self.order(GateOrder::Bind(uid.clone())).await?;
        let epoch = crate::link::Reader(&body).epoch()?;
        self.set_user(Some((uid, epoch)));
        Ok(epoch)
    }

    /// Ends the session's binding to its user; the connection stays.
    pub async fn unbind(&self) -> Result<()> {
        self.order(GateOrder::Unbind).await?;
        self.set_user(None);
        Ok(())
    }

    /// Binds the user to this node: stateful routes of its name come here from now on. Errors: `Unauthorized` without a
    /// user, else as [`Session::bind`].
    pub async fn bind_node(&self) -> Result<Epoch> {
        let name = self.0.node.name.clone();
        self.bind_slot(name).await
    }

    /// Ends the binding of the user to this node. The user may come back to it until then, also by another connection.
    pub async fn unbind_node(&self) -> Result<()> {
        let name = self.0.node.name.clone();
        self.unbind_slot(name).await
    }

    pub(crate) async fn bind_slot(&self, name: String) -> Result<Epoch> {
        let (uid, floor) = self.user().ok_or(Kind::Unauthorized)?;
        let node = &self.0.node;
        let claim = locate::Claim { owner: node.owner.clone(), session: self.0.id, floor };
        let (subject, slot): (Subject, Arc<str>) = (uid.into(), name.as_str().into());
        let taken = node.locator.take(subject.clone(), Place::Node(slot.clone()), claim).await?;
        let held = Held { session: self.0.id, epoch: taken.epoch, fence: None };
        let holding = node.bindings.hold(subject, slot, held);
        if let Some(bound) = &mut *self.bound() {
            bound.holding = Some(holding);
        }
        let order = GateOrder::Slot { name, owner: node.owner.clone(), epoch: taken.epoch };
        self.order(order).await?;
        Ok(taken.epoch)
    }

    pub(crate) async fn unbind_slot(&self, name: String) -> Result<()> {
        let (uid, _) = self.user().ok_or(Kind::Unauthorized)?;
        let locator = &self.0.node.locator;
        let subject = Subject::from(uid);
        let record = locator.locate(subject.clone()).await?;
        if let Some(slot) = record.node.get(name.as_str())
            && slot.owner == self.0.node.owner
        {
            let place: Arc<str> = name.as_str().into();
            locator.unbind(subject.clone(), Place::Node(place.clone()), slot.session, slot.epoch).await?;
            self.0.node.bindings.release(&subject, &place, slot.epoch);
        }
        self.order(GateOrder::Unslot { name }).await?;
        Ok(())
    }

    /// Subscribes the connection to a channel of its gate; in order with the pushes of this session. Channels end with
    /// the connection. Names are 1 to 255 bytes.
    pub fn subscribe(&self, channel: &str) -> Result<()> {
        check_channel(channel)?;
        self.order_later(GateOrder::Subscribe(channel.to_owned()))
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, channel: &str) -> Result<()> {
        check_channel(channel)?;
        self.order_later(GateOrder::Unsubscribe(channel.to_owned()))
    }

    /// Tells the client why (hello clients get code and text) and closes the connection after what is queued for it.
    pub fn kick(&self, why: Code) {
        let _ = self.order_later(close(false, why.number(), why.text()));
    }

    /// Closes the connection after what is queued for it.
    pub fn close(&self) {
        let _ = self.order_later(close(false, 0, ""));
    }

    /// Closes the connection at once; what is queued for it is dropped.
    pub fn close_now(&self) {
        let _ = self.order_later(close(true, 0, ""));
    }

    /// Keeps a value of this type with the session, in this process; one per type.
    pub fn put<T: Send + Sync + 'static>(&self, value: T) {
        self.data().insert(TypeId::of::<T>(), Box::new(value));
    }

    /// A clone of the value of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.data().get(&TypeId::of::<T>()).and_then(|v| v.downcast_ref::<T>()).cloned()
    }

    /// Takes the value of this type out.
    pub fn take<T: Send + Sync + 'static>(&self) -> Option<T> {
        self.data().remove(&TypeId::of::<T>()).and_then(|v| v.downcast().ok()).map(|v| *v)
    }

    /// The actors this session is attached to, by kind.
    pub(crate) fn attachments(&self) -> MutexGuard<'_, BTreeMap<&'static str, crate::actor::Attachment>> {
        self.0.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the gate that a slot of the user leads nowhere any more.
    pub(crate) fn forget_slot(&self, name: String) {
        let _ = self.order_later(GateOrder::Unslot { name });
    }

    /// The session as an actor on another node gets it.
    pub(crate) fn as_visit(&self) -> crate::peer::Visit {
        let labels = self.0.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let labels = labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let (session, cid, peer, user) = (self.0.id, self.0.cid, self.0.peer, self.user());
        crate::peer::Visit {
            opened: crate::link::Opened { session, cid, peer, user, labels, owners: Vec::new() },
            gate: self.0.gate.clone(),
            gate_shard: self.0.gate_shard,
            lane: self.0.lane,
        }
    }

    fn data(&self) -> MutexGuard<'_, BTreeMap<TypeId, Box<dyn Any + Send + Sync>>> {
        self.0.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order_later(&self, order: GateOrder) -> Result<()> {
        let at = (self.0.key, self.0.lane);
        match !self.is_closed() && self.0.home.run(move |shard| shard.session_order(at, order, None)) {
            true => Ok(()),
            false => Err(Kind::Gone.into()),
        }
    }

    pub(crate) async fn order(&self, order: GateOrder) -> Result<Vec<u8>> {
        let (tx, rx) = oneshot::channel();
        let at = (self.0.key, self.0.lane);
        if self.is_closed() || !self.0.home.run(move |shard| shard.session_order(at, order, Some(tx))) {
            return Err(Kind::Gone.into());
        }
        match tokio::time::timeout(ORDER_LIMIT, rx).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Kind::Gone.into()),
            Err(_) => Err(Kind::Timeout.into()),
        }
    }
}

fn close(forced: bool, code: u32, text: &str) -> GateOrder {
    GateOrder::Close { forced, code, text: text.to_owned() }
}

/// The body of a push, encoded and encrypted.
pub(crate) fn sealed_body<T, C: Codec<T>>(by: &dyn Encryptor, route: RouteId, value: &T) -> Result<Vec<u8>> {
    let (mut plain, mut body) = (Vec::new(), Vec::new());
    C::default().encode(value, &mut plain).map_err(encode_error)?;
    seal_body(by, route, &plain, &mut body)?;
    Ok(body)
}

pub(crate) fn encode_error(e: due_core::CodecError) -> Error {
    Error::new(Kind::BadRequest, "the value cannot be encoded").because(e)
}

pub(crate) fn check_channel(name: &str) -> Result<()> {
    match (1..=255).contains(&name.len()) {
        true => Ok(()),
        false => Err(Error::new(Kind::BadRequest, format!("a channel name has 1 to 255 bytes, not {}", name.len()))),
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({} at {})", self.0.id, self.0.gate)
    }
}
