//! Routes: a value to build, layer and merge.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use due_core::{Call, Codec, Endpoint, Flags, Result, RouteDef, RouteId, Topic, route::id_of};

use super::{
    args::{Accepts, Args},
    extract::{Extract, Msg, Needs},
    function::Handler,
    layer::Layer,
    mount::{Bound, Build, Function},
    raw::{Direct, Raw},
    reply::{IntoReply, encode},
    request::Request,
    respond::{Ending, Respond},
    table::{ErrorsAs, Setting, Table, compile},
};
use crate::{
    actor::{Actor, ActorArgs, ActorRoute, DoorOf, Method, Target},
    fault::Fault,
};

/// Which handler serves which route. `S` is the state that is still missing; a node takes `Routes<()>`.
///
/// Number, types and codec come from the route's constant. A handler is a plain or async function of at most eight
/// [extractors](super::Extract) in any order; one that takes [`Uid`](due_core::Uid) makes its route authorized.
///
/// ```
/// use due_cluster::{Fault, handler::{Msg, Routes, State}};
/// use due_core::{Call, Notify};
/// use due_codec::Json;
///
/// const ADD: Call<u32, u32, Json> = Call::new(1, "add");
/// const LOG: Notify<String, Json> = Notify::new(2, "log");
///
/// async fn add(State(base): State<u32>, Msg(n): Msg<u32>) -> Result<u32, Fault> { Ok(base + n) }
/// fn log(Msg(line): Msg<String>) { drop(line) }
///
/// let routes: Routes = Routes::new().route(ADD, add).route(LOG, log).with_state(40);
/// assert!(routes.build().is_ok());
/// ```
#[must_use]
pub struct Routes<S = ()> {
    entries: Vec<Entry<S>>,
    settings: Vec<(RouteDef, Setting)>,
    doors: Vec<DoorOf>,
}

/// What happens to a session; handlers of it run in the session's order with its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// It is there.
    Connected,
    /// A user was bound to it.
    Bound,
    /// Its client came back after a lost connection.
    Resumed,
    /// It is over. The last event of a session.
    Disconnected,
}

impl Event {
    /// The route under which its handlers see it.
    pub const fn def(self) -> RouteDef {
        let name = match self {
            Event::Connected => "due.connected",
            Event::Bound => "due.bound",
            Event::Resumed => "due.resumed",
            Event::Disconnected => "due.disconnected",
        };
        RouteDef { id: id_of(name), name, flags: NO_FLAGS }
    }
}

const NO_FLAGS: Flags = Flags { stateful: false, authorized: false, internal: false, class: due_core::Class::Must };

/// What an entry handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Messages of its route.
    Route,
    /// Messages of routes that nobody serves.
    Fallback,
    /// A session's event.
    Event(Event),
    /// Messages of the event bus.
    Topic,
}

pub(crate) struct Entry<S> {
    pub(crate) def: RouteDef,
    pub(crate) role: Role,
    pub(crate) answers: bool,
    pub(crate) needs: Needs,
    /// Its answers are bytes of the application, which are not encrypted.
    pub(crate) raw: bool,
    build: Box<dyn Build<S>>,
    layers: Vec<Arc<dyn Layer<S>>>,
}

impl<S: 'static> Entry<S> {
    /// Gives the state to the handler and to the layers, which stay in their order from the inside out.
    pub(crate) fn bind(self, state: &S) -> Bound {
        let mut bound = self.build.bind(state);
        bound.steps.extend(self.layers.into_iter().map(|layer| layer.bind(state)));
        bound
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No route yet.
    pub fn new() -> Self {
        Self { entries: Vec::new(), settings: Vec::new(), doors: Vec::new() }
    }

    /// Serves a [`Call`] or a [`Notify`](due_core::Notify).
    pub fn route<M, K, E, H>(self, route: E, handler: H) -> Self
    where
        M: 'static,
        K: 'static,
        E: Endpoint,
        H: Handler<M>,
        H::Args: Args<S, E::C>,
        <H::Args as Args<S, E::C>>::Body: Accepts<E::Req>,
        H::Out: Respond<K, E::Resp>,
        E::C: Codec<E::Resp>,
    {
        let needs = <H::Args as Args<S, E::C>>::NEEDS;
        let end = Ending::new(encode::<E::C, E::Resp>, E::ANSWERS);
        self.insert(route.def(), E::ANSWERS, needs, Function::<H, M, K, E::Resp, E::C>::new(handler, end))
            .answers_raw(<E::C as Codec<E::Resp>>::RAW)
    }

    /// Serves a route by a method of the actor that its user is [attached](crate::Session::attach) to. The route is
    /// stateful by itself: it goes to the node where the actor lives. A user who is attached to none is answered with
    /// `NotBound`.
    pub fn actor<A, M, K, E, H>(self, route: E, method: H) -> Self
    where
        A: Actor,
        M: 'static,
        K: 'static,
        E: Endpoint,
        H: Method<M, A>,
        H::Args: ActorArgs<K, A, S, E::C>,
        <H::Args as ActorArgs<K, A, S, E::C>>::Body: Accepts<E::Req>,
        H::Out: IntoReply<E::Resp>,
        E::C: Codec<E::Resp>,
    {
        let mut def = route.def();
        (def.flags.stateful, def.flags.authorized) = (true, true);
        let needs = <H::Args as ActorArgs<K, A, S, E::C>>::NEEDS;
        let end = Ending::new(encode::<E::C, E::Resp>, E::ANSWERS);
        self.leads(def, needs, ActorRoute::<A, H, M, K, E::Resp, E::C>::new(method, Target::Attached, end))
            .answers_raw(<E::C as Codec<E::Resp>>::RAW)
    }

    /// Serves a route by a method of the actor that `key` names; it is opened by [`Node::actors`](crate::Node::actors)
    /// if nobody used it yet. `key` looks at the request before the method's extractors do.
    pub fn actor_by<A, M, K, E, H>(
        self,
        route: E,
        key: impl Fn(&E::Req) -> A::Key + Send + Sync + 'static,
        method: H,
    ) -> Self
    where
        A: Actor,
        M: 'static,
        K: 'static,
        E: Endpoint,
        H: Method<M, A>,
        H::Args: ActorArgs<K, A, S, E::C>,
        <H::Args as ActorArgs<K, A, S, E::C>>::Body: Accepts<E::Req>,
        H::Out: IntoReply<E::Resp>,
        E::C: Codec<E::Resp> + Codec<E::Req>,
    {
        let key = move |rq: &Request<'_>| {
            let Msg(request) = <Msg<E::Req> as Extract<(), E::C>>::extract(rq, &())?;
            Ok(key(&request))
        };
        let needs = <H::Args as ActorArgs<K, A, S, E::C>>::NEEDS;
        let end = Ending::new(encode::<E::C, E::Resp>, E::ANSWERS);
        let target = Target::Key(Box::new(key));
        self.leads(route.def(), needs, ActorRoute::<A, H, M, K, E::Resp, E::C>::new(method, target, end))
            .answers_raw(<E::C as Codec<E::Resp>>::RAW)
    }

    fn leads<A: Actor, H, M, K, T, C>(
        mut self,
        def: RouteDef,
        needs: Needs,
        route: ActorRoute<A, H, M, K, T, C>,
    ) -> Self
    where
        ActorRoute<A, H, M, K, T, C>: Build<S>,
    {
        self.doors.push(route.door(def));
        let answers = route.answers();
        self.insert(def, answers, needs, route)
    }

    /// Gives an event of a session to the actor that its user is attached to, as [`Routes::on`] does to a function. A
    /// session without one is passed over. It runs in the session's order with its messages.
    pub fn actor_on<A, M, K, H>(self, event: Event, method: H) -> Self
    where
        A: Actor,
        M: 'static,
        K: 'static,
        H: Method<M, A>,
        H::Args: ActorArgs<K, A, S, Raw>,
        H::Out: IntoReply<()>,
    {
        let needs = <H::Args as ActorArgs<K, A, S, Raw>>::NEEDS;
        let end = Ending::new(encode::<Raw, ()>, false);
        let route = ActorRoute::<A, H, M, K, (), Raw>::new(method, Target::AttachedEvent, end);
        self.push(event.def(), Role::Event(event), false, needs, route)
    }

    /// Serves the messages of all routes that have no handler. It answers each with the bytes it returns, as they are: a
    /// node with an [`encryptor`](crate::Node::encryptor) opens the request and leaves the answer alone.
    pub fn fallback<M, K, H>(self, handler: H) -> Self
    where
        M: 'static,
        K: 'static,
        H: Handler<M>,
        H::Args: Args<S, Raw>,
        H::Out: Respond<K, Bytes>,
    {
        let def = RouteDef { id: RouteId(0), name: "", flags: NO_FLAGS };
        let end = Ending::new(encode::<Raw, Bytes>, true);
        let function = Function::<H, M, K, Bytes, Raw>::new(handler, end);
        self.push(def, Role::Fallback, true, H::Args::NEEDS, function).answers_raw(true)
    }

    /// Serves a [`Call`] by bytes alone: `answer` looks at the request where it was read and appends the bytes of its
    /// answer where they are sent from, so nothing is decoded, kept or copied on the way. For proxies and for bodies that
    /// are answered as they are; it runs on the shard and must not block.
    pub fn raw<Q, P, C, F>(self, route: Call<Q, P, C>, answer: F) -> Self
    where
        F: Fn(&Request<'_>, &mut Vec<u8>) -> Result<(), Fault> + Send + Sync + 'static,
    {
        self.insert(route.def(), true, Needs::default(), Bound::new(Direct::new(answer)))
    }

    /// Serves the messages of all routes that have no handler as [`Routes::raw`] does.
    ///
    /// ```
    /// use due_cluster::handler::Routes;
    ///
    /// let echo: Routes = Routes::new().raw_fallback(|rq, out| Ok(out.extend_from_slice(rq.body.bytes())));
    /// assert!(echo.build().is_ok());
    /// ```
    pub fn raw_fallback<F>(self, answer: F) -> Self
    where
        F: Fn(&Request<'_>, &mut Vec<u8>) -> Result<(), Fault> + Send + Sync + 'static,
    {
        let def = RouteDef { id: RouteId(0), name: "", flags: NO_FLAGS };
        self.push(def, Role::Fallback, true, Needs::default(), Bound::new(Direct::new(answer))).answers_raw(true)
    }

    /// Runs `handler` at an event of a session. More than one run in the order in which they were added; layers leave
    /// them alone.
    pub fn on<M, K, H>(self, event: Event, handler: H) -> Self
    where
        M: 'static,
        K: 'static,
        H: Handler<M>,
        H::Args: Args<S, Raw>,
        H::Out: Respond<K, ()>,
    {
        let function = Function::<H, M, K, (), Raw>::new(handler, Ending::new(encode::<Raw, ()>, false));
        self.push(event.def(), Role::Event(event), false, H::Args::NEEDS, function)
    }

    /// Runs `handler` for each message of a topic of the event bus. It cannot take a session, a user or a reply; layers
    /// leave it alone.
    pub fn topic<T, C, M, K, H>(self, topic: Topic<T, C>, handler: H) -> Self
    where
        T: 'static,
        C: Codec<T>,
        M: 'static,
        K: 'static,
        H: Handler<M>,
        H::Args: Args<S, C>,
        <H::Args as Args<S, C>>::Body: Accepts<T>,
        H::Out: Respond<K, ()>,
    {
        let needs = <H::Args as Args<S, C>>::NEEDS;
        let function = Function::<H, M, K, (), C>::new(handler, Ending::new(encode::<Raw, ()>, false));
        self.push(topic.def(), Role::Topic, false, needs, function)
    }

    /// For clients whose dialect has no error frames: turns a fault of `route` into a normal answer. Without it such a
    /// client's session is closed. Clients that said hello get the fault itself.
    ///
    /// It applies to every fault of the route: of the handler, of its layers, and those that due raises (a deadline, a
    /// body that does not decode, a panic).
    pub fn errors_as<Q, P, C, F>(mut self, route: Call<Q, P, C>, to_answer: F) -> Self
    where
        P: 'static,
        C: Codec<P>,
        F: Fn(&Fault) -> P + Send + Sync + 'static,
    {
        let write: ErrorsAs = Arc::new(move |fault, out| C::default().encode(&to_answer(fault), out));
        self.settings.push((route.def(), Setting::ErrorsAs(write)));
        self
    }

    /// How long a request of `route` may take, instead of the node's default (30 s). Then its handler is dropped and the
    /// request answered with [`Code::TIMEOUT`](due_core::Code::TIMEOUT).
    pub fn deadline<E: Endpoint>(mut self, route: E, limit: Duration) -> Self {
        self.settings.push((route.def(), Setting::Deadline(limit)));
        self
    }

    /// Drops a waiting handler of `route` when its caller gives up. By default it runs to its end.
    pub fn cancellable<E: Endpoint>(mut self, route: E) -> Self {
        self.settings.push((route.def(), Setting::Cancel));
        self
    }

    /// Puts a layer around all routes and fallbacks added so far. The layer added last runs first.
    pub fn layer(mut self, layer: impl Layer<S>) -> Self {
        let layer: Arc<dyn Layer<S>> = Arc::new(layer);
        let layered = self.entries.iter_mut().filter(|e| matches!(e.role, Role::Route | Role::Fallback));
        layered.for_each(|entry| entry.layers.push(Arc::clone(&layer)));
        self
    }

    /// Adds the routes of `other` with their layers. Two routes with one number or one name are refused by
    /// [`Routes::build`].
    pub fn merge(mut self, other: Routes<S>) -> Self {
        self.entries.extend(other.entries);
        self.settings.extend(other.settings);
        self.doors.extend(other.doors);
        self
    }

    /// Gives the state. What is added afterwards may have another one (`S2`), usually none.
    pub fn with_state<S2>(self, state: S) -> Routes<S2> {
        let bind = |entry: Entry<S>| Entry {
            def: entry.def,
            role: entry.role,
            answers: entry.answers,
            needs: entry.needs,
            raw: entry.raw,
            build: Box::new(entry.bind(&state)) as Box<dyn Build<S2>>,
            layers: Vec::new(),
        };
        Routes { entries: self.entries.into_iter().map(bind).collect(), settings: self.settings, doors: self.doors }
    }

    /// Serves `def` by something other than a function (an actor). `answers`: a client waits for an answer; `needs` as
    /// of its extractors.
    pub fn insert(self, def: RouteDef, answers: bool, needs: Needs, build: impl Build<S>) -> Self {
        self.push(def, Role::Route, answers, needs, build)
    }

    fn push(mut self, mut def: RouteDef, role: Role, answers: bool, needs: Needs, build: impl Build<S>) -> Self {
        def.flags.authorized |= needs.user;
        self.entries.push(Entry { def, role, answers, needs, raw: false, build: Box::new(build), layers: Vec::new() });
        self
    }

    /// Says of the entry added last whether its answers are bytes of the application.
    fn answers_raw(mut self, raw: bool) -> Self {
        if let Some(entry) = self.entries.last_mut() {
            entry.raw = raw;
        }
        self
    }
}

impl Routes {
    /// The routes that lead to actors. Their doors open once [`Routes::build`] has run.
    pub(crate) fn take_doors(&mut self) -> Vec<DoorOf> {
        std::mem::take(&mut self.doors)
    }

    /// The finished table. Errors: `Config`, naming all routes that share a number or a name, settings of routes that are
    /// not here, and handlers that ask for what their messages do not have.
    pub fn build(self) -> Result<Table> {
        compile(self.entries, self.settings)
    }
}
