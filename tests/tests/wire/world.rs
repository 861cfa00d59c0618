//! The application that most tests play against.

use std::num::NonZeroUsize;

use due::{Code, app::Running, prelude::*};

pub(crate) const ECHO_ID: i32 = 1;
pub(crate) const ECHO: Call<String, String> = Call::new(ECHO_ID, "echo");
pub(crate) const LOGIN: Call<String, u64> = Call::new(2, "login");
pub(crate) const LOGOUT: Call<(), ()> = Call::new(3, "logout");
pub(crate) const WHO: Call<(), String> = Call::new(4, "who");
pub(crate) const SECRET: Call<(), ()> = Call::<(), ()>::new(5, "secret").internal();
pub(crate) const MOVE: Call<String, String> = Call::<String, String>::new(6, "move").stateful();
pub(crate) const SIT: Call<(), ()> = Call::new(7, "sit");
pub(crate) const CID: Call<(), u64> = Call::new(8, "cid");
pub(crate) const FAIL: Call<(), ()> = Call::new(9, "fail");
pub(crate) const NOTE: Notify<String> = Notify::new(10, "note");
pub(crate) const NEWS: Push<String> = Push::new(101, "news");
pub(crate) const TAKEN: Code = Code::new(1001, "this name is taken");

/// Where handlers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the connection's own shard.
    Shared,
    /// On a shard of their own, over the memory link.
    Apart,
}

pub(crate) const PLACES: [Place; 2] = [Place::Shared, Place::Apart];

pub(crate) fn echo(Msg(text): Msg<String>) -> String {
    text
}

async fn login(me: Session, Msg(name): Msg<String>) -> Result<u64, Fault> {
    let uid = name.parse::<i64>().map_or_else(|_| Uid::from(name.as_str()), Uid::from);
    Ok(me.bind(uid).await?.0)
}

async fn logout(me: Session) -> Result<(), Fault> {
    Ok(me.unbind().await?)
}

fn who(uid: Uid) -> String {
    uid.to_string()
}

async fn sit(me: Session) -> Result<(), Fault> {
    me.bind_node().await?;
    Ok(())
}

fn cid(me: Session) -> u64 {
    me.cid()
}

fn fail() -> Result<(), Fault> {
    Err(TAKEN.into())
}

/// Echo, login, bindings and a fault.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .route(ECHO, echo)
        .route(LOGIN, login)
        .route(LOGOUT, logout)
        .route(WHO, who)
        .route(SECRET, || {})
        .route(MOVE, echo)
        .route(SIT, sit)
        .route(CID, cid)
        .route(FAIL, fail)
        .route(NOTE, |_: Msg<String>| {})
}

/// An application with one gate of these listeners and one node of these routes.
pub(crate) fn app(place: Place, listeners: &[&str], routes: Routes) -> App {
    let gate = listeners.iter().fold(Gate::new("gate"), |gate, url| gate.listen(*url));
    with(place, gate, Node::new("game").routes(routes))
}

pub(crate) fn with(place: Place, gate: Gate, node: Node) -> App {
    let app = App::new(due::drivers()).shards(shards(4)).with(gate).with(node);
    if place == Place::Shared { app.shared_shards() } else { app }
}

pub(crate) fn shards(n: usize) -> Shards {
    Shards::Count(NonZeroUsize::new(n).expect("more than none"))
}

pub(crate) async fn start(place: Place, listeners: &[&str], routes: Routes) -> Running {
    app(place, listeners, routes).start().await.expect("the application starts")
}

/// The small application on a tcp listener with these keys (`?max-body=1KiB`).
pub(crate) async fn tcp(place: Place, keys: &str) -> Running {
    start(place, &[&format!("tcp://127.0.0.1:0{keys}")], routes()).await
}

/// The small application on tcp and ws.
pub(crate) async fn both(place: Place, keys: &str) -> Running {
    let [tcp, ws] = ["tcp", "ws"].map(|scheme| format!("{scheme}://127.0.0.1:0{keys}"));
    start(place, &[&tcp, &ws], routes()).await
}
