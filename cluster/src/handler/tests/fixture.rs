//! One shard's handlers of a table, called by hand.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use due_codec::Json;
use due_core::{Call, Code, Notify, Owner, RouteDef, Uid, transport::Trace};
use tokio::time::Instant;

use super::parts;
use crate::{
    cluster::Cluster,
    fault::Fault,
    handler::{Answer, Body, Job, Late, Origin, Promise, Request, RouteHandler, Routes, Running, Start, Table},
    session::Session,
};

pub(super) const ADD: Call<u32, u32, Json> = Call::new(1, "add");
pub(super) const ECHO: Call<String, String, Json> = Call::new(2, "echo");
pub(super) const NOTE: Notify<String, Json> = Notify::new(3, "note");
pub(super) const TAKEN: Code = Code::new(1001, "this name is taken");

/// The node's side of late answers: keeps what it is told.
#[derive(Default)]
pub(super) struct Told(pub(super) Mutex<Vec<Result<Bytes, Fault>>>);

impl Promise for Told {
    fn answer(&self, outcome: Result<Bytes, Fault>) {
        self.0.lock().unwrap().push(outcome);
    }
}

impl Told {
    pub(super) fn take(&self) -> Vec<Result<Bytes, Fault>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(super) struct Shard {
    pub(super) table: Table,
    pub(super) handlers: Vec<Box<dyn RouteHandler>>,
    pub(super) uid: Option<Uid>,
    pub(super) peer: Option<Owner>,
    pub(super) seq: i32,
    pub(super) deadline: Instant,
    pub(super) told: Arc<Told>,
    pub(super) out: Vec<u8>,
    session: Session,
    cluster: Cluster,
    arena: RefCell<BytesMut>,
}

/// How a call ended, with the bytes it left behind.
#[derive(Debug)]
pub(super) enum End {
    Reply(String),
    Nothing,
    Later,
    Fault(Fault),
}

impl End {
    pub(super) fn reply(self) -> String {
        match self {
            End::Reply(text) => text,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn fault(self) -> Fault {
        match self {
            End::Fault(fault) => fault,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) enum Began {
    End(End),
    Pending(Box<dyn Running>),
    Blocking(Job),
}

impl Shard {
    pub(super) fn new(routes: Routes) -> Self {
        Self::of(routes.build().unwrap())
    }

    pub(super) fn of(table: Table) -> Self {
        Self {
            handlers: table.handlers(),
            table,
            uid: None,
            peer: None,
            seq: 0,
            deadline: Instant::now() + Duration::from_secs(30),
            told: Arc::default(),
            out: Vec::new(),
            session: parts::session(),
            cluster: parts::cluster(),
            arena: RefCell::default(),
        }
    }

    /// Begins the handler at a place; panics pass through.
    pub(super) fn begin_at(&mut self, place: usize, def: RouteDef, body: &[u8]) -> Began {
        let told = Arc::clone(&self.told);
        let make = move || told.clone() as Arc<dyn Promise>;
        let rq = Request {
            session: &self.session,
            cluster: &self.cluster,
            route: def,
            seq: self.seq,
            body: Body::new(body, &self.arena),
            uid: self.uid.as_ref(),
            deadline: self.deadline,
            trace: Trace::default(),
            origin: self.peer.as_ref().map_or(Origin::Client, Origin::Node),
            late: Late::new(&make),
        };
        self.out.clear();
        let mut cx = Context::from_waker(Waker::noop());
        match self.handlers[place].start(&rq, &mut cx, &mut self.out) {
            Start::Done(answer) => Began::End(end(answer, &self.out)),
            Start::Pending(running) => Began::Pending(running),
            Start::Blocking(job) => Began::Blocking(job),
        }
    }

    pub(super) fn begin(&mut self, def: RouteDef, body: &str) -> Began {
        let place = self.table.find(def.id).or(self.table.fallback()).expect("a handler");
        self.begin_at(place, def, body.as_bytes())
    }

    /// A call that ends at once.
    pub(super) fn call(&mut self, def: RouteDef, body: &str) -> End {
        match self.begin(def, body) {
            Began::End(end) => end,
            Began::Pending(_) => panic!("it waits"),
            Began::Blocking(_) => panic!("it blocks"),
        }
    }

    /// A call that waits at least once.
    pub(super) fn wait(&mut self, def: RouteDef, body: &str) -> Box<dyn Running> {
        match self.begin(def, body) {
            Began::Pending(running) => running,
            _ => panic!("it does not wait"),
        }
    }

    /// Polls what waits; it must end now, and goes back to its route.
    pub(super) fn go_on(&mut self, def: RouteDef, mut running: Box<dyn Running>) -> End {
        self.out.clear();
        let Poll::Ready(answer) = running.poll(&mut Context::from_waker(Waker::noop()), &mut self.out) else {
            panic!("it still waits")
        };
        let place = self.table.find(def.id).unwrap();
        self.handlers[place].recycle(running);
        end(answer, &self.out)
    }
}

pub(super) fn end(answer: Answer, out: &[u8]) -> End {
    match answer {
        Answer::Reply => End::Reply(String::from_utf8(out.to_vec()).unwrap()),
        Answer::Nothing => End::Nothing,
        Answer::Later => End::Later,
        Answer::Fault(fault) => End::Fault(fault),
    }
}
