//~ expects: expected `Routes`, found `Routes<Rooms>`
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(_: State<Rooms>, Msg(q): Msg<Ask>) -> Told { Told(q.0) }

fn main() {
    let _: Routes = Routes::new().route(ASK, h);
}
