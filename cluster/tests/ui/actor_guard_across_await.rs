//~ expects: this is not a method of an actor
//~ expects: the future of an async one must be Send (no std MutexGuard or Rc across an await)
mod common;
use common::*;
use due_cluster::{actor::Actor, handler::{Msg, Routes}};

struct Room(std::sync::Mutex<u32>);
impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}
impl Room {
    async fn ask(&mut self, _: Msg<Ask>) -> Told {
        let guard = self.0.lock().unwrap();
        std::future::ready(()).await;
        Told(*guard)
    }
}
fn main() {
    let _: Routes = Routes::new().actor(ASK, Room::ask);
}
