//~ expects: this handler's `Msg` is not the request type of the route: expected `Msg<Ask>`
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(Msg(t): Msg<Told>) -> Told { t }

fn main() {
    let _: Routes = Routes::new().route(ASK, h);
}
