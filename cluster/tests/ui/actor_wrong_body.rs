//~ expects: this handler's `Msg` is not the request type of the route: expected `Msg<Ask>`
mod common;
use common::*;
use due_cluster::{actor::Actor, handler::{Msg, Routes}};

struct Room;
impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}
fn ask(_: &mut Room, _: Msg<Told>) -> Told {
    Told(1)
}
fn main() {
    let _: Routes = Routes::new().actor(ASK, ask);
}
