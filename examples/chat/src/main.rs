//! A chat room for browsers and terminals: `cargo run -p chat` opens it and prints the address of its page.
mod program; // options, the page, the terminal client

use due::prelude::*;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::Mutex;

// What server and clients agree on: number, name and types of each route. Bodies are JSON.
const JOIN: Call<String, Vec<String>> = Call::new(1, "room.join"); // my name, answered with all who are here
const SAY: Notify<String> = Notify::new(2, "room.say");
const LEAVE: Call<(), ()> = Call::new(3, "room.leave");
const SAID: Push<Said> = Push::new(101, "room.said");
const CAME: Push<String> = Push::new(102, "room.came");
const LEFT: Push<String> = Push::new(103, "room.left");
const NAME_TAKEN: Code = Code::new(1001, "this name is taken");

#[derive(Serialize, Deserialize)]
struct Said {
    who: String,
    text: String,
}
/// Who is here. A handler keeps the lock until its end, so all see comings, goings and words in one order.
type Room = Arc<Mutex<HashMap<SessionId, String>>>;

async fn join(me: Session, State(room): State<Room>, to: Cluster, Msg(who): Msg<String>) -> Result<Vec<String>, Fault> {
    let (mut room, who) = (room.lock().await, who.trim().to_owned());
    match who.chars().count() {
        1..=20 if room.values().any(|taken| *taken == who) => return Err(NAME_TAKEN.into()),
        1..=20 => room.insert(me.id(), who.clone()),
        _ => return Err(Fault::new(Code::BAD_REQUEST, "a name has 1 to 20 characters")),
    };
    me.subscribe("room")?;
    to.push(To::Channel("room"), CAME, &who).await?;
    Ok(room.values().cloned().collect())
}

async fn say(me: Session, State(room): State<Room>, to: Cluster, Msg(text): Msg<String>) -> due::Result<()> {
    let room = room.lock().await;
    let Some(who) = room.get(&me.id()).cloned() else { return Ok(()) };
    to.push(To::Channel("room"), SAID, &Said { who, text }).await.map(drop)
}

async fn left(me: Session, State(room): State<Room>, to: Cluster) -> due::Result<()> {
    let mut room = room.lock().await;
    let Some(who) = room.remove(&me.id()) else { return Ok(()) };
    me.unsubscribe("room").ok(); // for one who leaves and stays connected
    to.push(To::Channel("room"), LEFT, &who).await.map(drop)
}

fn app(at: &program::Addresses) -> App {
    let routes = Routes::new().route(JOIN, join).route(SAY, say).route(LEAVE, left).on(Event::Disconnected, left);
    App::new(due::drivers())
        .with(Gate::new("gate").listen(at.ws()).listen(at.tcp()).listen(at.kcp()))
        .with(at.node("chat").routes(routes.with_state(Room::default())))
        .with(Http::new(at.http(), at.page()))
        .with(at.master())
}
fn main() -> due::Result<()> {
    program::run(app)
}
