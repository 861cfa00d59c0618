//! The smallest due program: one route over WebSocket, its bodies in JSON.
use due::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Hello {
    name: String,
}
const HELLO: Call<Hello, String> = Call::new(1, "hello");

fn hello(Msg(hello): Msg<Hello>) -> String {
    format!("hi {}", hello.name)
}

#[tokio::main]
async fn main() -> due::Result<()> {
    let gate = Gate::new("gate").listen("ws://127.0.0.1:3653");
    let node = Node::new("game").routes(Routes::new().route(HELLO, hello));
    App::new(due::drivers()).with(gate).with(node).run().await
}
