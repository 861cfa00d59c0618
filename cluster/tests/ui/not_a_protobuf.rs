//~ expects: for `Protobuf`
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(Msg(q): Msg<Ask>) -> Told { Told(q.0) }

fn main() {
    let _: Routes = Routes::new().route(PROTO, h);
}
