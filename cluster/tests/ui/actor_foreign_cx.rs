//~ expects: is not an extractor
mod common;
use common::*;
use due_cluster::{actor::{Actor, Cx}, handler::{Msg, Routes}};

struct Room;
impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}
async fn ask(_: Cx<Room>, _: Msg<Ask>) -> Told {
    Told(1)
}
fn main() {
    let _: Routes = Routes::new().route(ASK, ask);
}
