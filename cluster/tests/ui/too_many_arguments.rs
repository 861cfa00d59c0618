//~ expects: is not a function of at most eight arguments
mod common;
use common::*;
use due_cluster::handler::*;

#[rustfmt::skip]
fn h(_: Seq, _: Seq, _: Seq, _: Seq, _: Seq, _: Seq, _: Seq, _: Seq, _: Seq) -> Told { Told(0) }

fn main() {
    let _: Routes = Routes::new().route(ASK, h);
}
