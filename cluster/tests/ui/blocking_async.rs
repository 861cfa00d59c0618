//~ expects: the handler must return the route's answer `Told`
//~ expects: `blocking` takes a plain fn, not an async one
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(Msg(q): Msg<Ask>) -> Told { Told(q.0) }

fn main() {
    let _: Routes = Routes::new().route(ASK, blocking(h));
}
