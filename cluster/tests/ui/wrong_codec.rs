//~ expects: `Raw` cannot carry `Told`
//~ expects: Json and MsgPack need serde's Serialize and Deserialize, Protobuf needs prost::Message
mod common;
use common::*;
use due_cluster::handler::*;
use due_core::Call;

const RAW: Call<Ask, Told, Raw> = Call::new(4, "raw");

async fn h(Msg(q): Msg<Ask>) -> Told { Told(q.0) }

fn main() {
    let _: Routes = Routes::new().route(RAW, h);
}
