//~ expects: a handler takes at most one `Msg<T>`
mod common;
use common::*;
use due_cluster::{actor::Actor, handler::{Msg, Routes}};

struct Room;
impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}
fn ask(_: &mut Room, _: Msg<Ask>, _: Msg<Ask>) -> Told {
    Told(1)
}
fn main() {
    let _: Routes = Routes::new().actor(ASK, ask);
}
