//~ expects: a handler takes at most one `Msg<T>`
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(Msg(_): Msg<Ask>, Msg(_): Msg<Ask>) -> Told { Told(0) }

fn main() {
    let _: Routes = Routes::new().route(ASK, h);
}
