//~ expects: this is not a method of an actor
//~ expects: expected `async fn(&mut self, extractors..) -> answer`, or the same without async
mod common;
use common::*;
use due_cluster::{actor::Actor, handler::{Msg, Routes}};

struct Room;
impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}
impl Room {
    async fn ask(&self, _: Msg<Ask>) -> Told {
        Told(1)
    }
}
fn main() {
    let _: Routes = Routes::new().actor::<Room, _, _, _, _>(ASK, Room::ask);
}
