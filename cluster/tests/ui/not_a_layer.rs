//~ expects: is not a layer for routes with state
//~ expects: or `from_fn(async fn(extractors.., OwnedRequest, Next) -> Outcome)`
mod common;
use due_cluster::handler::*;

async fn no_next(rq: OwnedRequest) -> Outcome { drop(rq); Ok(Response::Nothing) }

fn main() {
    let _: Routes = Routes::new().layer(from_fn(no_next));
}
