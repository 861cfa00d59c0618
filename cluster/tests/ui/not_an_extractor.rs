//~ expects: `u32` is not an extractor
//~ expects: handler arguments are Msg<T> (at most one, of a type the route's codec carries), Uid
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(Msg(q): Msg<Ask>, n: u32) -> Told { Told(q.0 + n) }

fn main() {
    let _: Routes = Routes::new().route(ASK, h);
}
