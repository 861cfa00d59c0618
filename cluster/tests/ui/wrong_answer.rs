//~ expects: the handler does not return the route's answer `Told`
//~ expects: return `Told`, `Result<Told, E>` with an `E` that turns into a Fault, or `Later<Told>`
mod common;
use common::*;
use due_cluster::handler::*;

async fn h(Msg(q): Msg<Ask>) -> Ask { q }

fn main() {
    let _: Routes = Routes::new().route(ASK, h);
}
