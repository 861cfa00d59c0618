//~ compiles
//! States, merged routes and layers find their types without a word from the program.
mod common;
use common::*;
use due_cluster::handler::*;
use due_core::{Code, Uid};
use due_cluster::{Cluster, Fault, Session};

async fn with_state(_: State<Rooms>, Msg(q): Msg<Ask>) -> Told { Told(q.0) }
async fn with_error(me: Session, _: Cluster, Msg(q): Msg<Ask>, _: Option<Uid>) -> Result<(), Code> { drop((me, q)); Ok(()) }
fn checked(_: &Request<'_>, _: &Rooms) -> Result<(), Fault> { Ok(()) }
async fn passed(_: State<Rooms>, rq: OwnedRequest, next: Next) -> Outcome { next.run(rq).await }
fn lobby() -> Routes<Rooms> { Routes::new().route(ASK, with_state) }
fn takes(_: Routes) {}

fn main() {
    takes(lobby().merge(Routes::new().route(NOTE, with_error)).layer(guard(checked)).layer(from_fn(passed)).with_state(Rooms));
    takes(Routes::new().route(ASK, blocking(|Msg(q): Msg<Ask>| Told(q.0))).on(Event::Disconnected, || ()));
}
