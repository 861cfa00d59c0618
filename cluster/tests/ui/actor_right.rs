//~ compiles
mod common;
use common::*;
use due_cluster::{
    Fault, Node, Session,
    actor::{Actor, Cx},
    handler::{Later, Msg, Reply, Routes, State},
};
use due_core::Uid;

struct Room {
    seen: Vec<u32>,
}

impl Actor for Room {
    const KIND: &'static str = "room";
    type Key = u64;
}

impl Room {
    // The borrow of `self` is held across the await.
    async fn ask(&mut self, _: Uid, Msg(Ask(n)): Msg<Ask>, cx: Cx<Room>, State(_): State<Rooms>) -> Result<Told, Fault> {
        for seen in &self.seen {
            cx.cluster().is_online(&Uid::from(1)).await?;
            let _ = seen;
        }
        self.seen.push(n);
        Ok(Told(n))
    }

    fn note(&mut self, me: Session, Msg(Ask(n)): Msg<Ask>, cx: Cx<Room>) -> Result<(), Fault> {
        me.attach(&cx.addr())?;
        self.seen.push(n);
        Ok(())
    }

    fn proto(&mut self, reply: Reply<Told>) -> Later<Told> {
        let (_reply, later) = reply.later();
        later
    }
}

fn main() {
    let routes = Routes::new()
        .actor(ASK, Room::ask)
        .actor_by(NOTE, |ask| u64::from(ask.0), Room::note)
        .with_state(Rooms);
    let closures: Routes = Routes::new().actor(ASK, |room: &mut Room, Msg(Ask(n)): Msg<Ask>| -> Told {
        room.seen.push(n);
        Told(n)
    });
    let _ = Node::new("game").actors(|_: u64, _| async { Ok(Room { seen: Vec::new() }) }).routes(routes).routes(closures);
    let _ = Room::proto;
}
