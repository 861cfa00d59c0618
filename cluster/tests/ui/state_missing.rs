//~ expects: these routes have no state `Rooms`
//~ expects: or implement `FromRef<u32> for Rooms`
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(_: State<Rooms>, Msg(q): Msg<Ask>) -> Told { Told(q.0) }

fn main() {
    let _: Routes = Routes::<u32>::new().route(ASK, h).with_state(7);
}
