//~ expects: the handler must return the route's answer `Told`
mod common;
use common::*;
use due_cluster::{actor::Actor, handler::{Msg, Routes}};

struct Room;
impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}
impl Room {
    async fn ask(&mut self, _: Msg<Ask>) -> String {
        String::new()
    }
}
fn main() {
    let _: Routes = Routes::new().actor(ASK, Room::ask);
}
