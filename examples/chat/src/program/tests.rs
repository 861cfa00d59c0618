//! The room by its own clients, over every network.

use clap::Parser;
use due::{Code, Codec, Json, prelude::Running};
use due_sdk::{CallError, Client, PushStream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use super::{
    options::{self, Options},
    run::open,
    terminal::talk,
};
use crate::{CAME, JOIN, LEAVE, LEFT, NAME_TAKEN, SAID, SAY, app};

/// The room, on ports that are free.
async fn room() -> Running {
    room_with(&[]).await
}

async fn room_with(more: &[&str]) -> Running {
    let ports = ["chat", "--http=0", "--ws=0", "--tcp=0", "--kcp=0"];
    let options = Options::try_parse_from(ports.iter().chain(more)).unwrap();
    open(app, &options.addresses).await.unwrap()
}

#[tokio::test]
async fn an_operator_sees_who_is_here_with_the_token_that_was_told() {
    let options = Options::try_parse_from(["chat", "--http=0", "--ws=0", "--tcp=0", "--kcp=0"]).unwrap();
    let room = open(app, &options.addresses).await.unwrap();
    let ann = connect(&room, "tcp").await;
    join(&ann, "ann").await.unwrap();
    let token = options.addresses.token.get().unwrap();
    let mut socket = TcpStream::connect(room.url("master").unwrap().host()).await.unwrap();
    let request = format!("GET /api/v1/channels/room HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"subscribers\":1"), "{answer}");
}

/// Somebody at a terminal, as the command line describes them.
fn somebody(url: &str, name: &str, more: &[&str]) -> options::Client {
    let args = ["chat", "client", url, "--name", name];
    match Options::try_parse_from(args.iter().chain(more)).unwrap().command {
        Some(options::Command::Client(client)) => client,
        None => panic!("no client"),
    }
}

fn url(room: &Running, network: &str) -> String {
    room.url(&format!("gate:{network}")).unwrap().to_string()
}

async fn connect(room: &Running, network: &str) -> Client {
    Client::connect(&url(room, network)).await.unwrap()
}

/// Joins and gives the names that the server answered, sorted.
async fn join(client: &Client, name: &str) -> Result<Vec<String>, CallError> {
    let mut names = client.call(JOIN, &name.to_owned()).await?;
    names.sort();
    Ok(names)
}

/// What comes next on a stream of pushes.
async fn next<T>(pushes: &mut PushStream<T, Json>) -> T
where
    Json: Codec<T>,
{
    pushes.next().await.expect("the connection stays").expect("it decodes")
}

#[tokio::test]
async fn people_talk_whatever_network_they_come_by() {
    for (one, other) in [("tcp", "ws"), ("ws", "kcp"), ("kcp", "tcp")] {
        let room = room().await;
        let (ann, bob) = (connect(&room, one).await, connect(&room, other).await);
        let (mut came, mut said, mut left) = (ann.pushes(CAME), ann.pushes(SAID), ann.pushes(LEFT));
        assert_eq!(join(&ann, "ann").await.unwrap(), ["ann"]);
        assert_eq!(join(&bob, " bob ").await.unwrap(), ["ann", "bob"]);
        assert_eq!((next(&mut came).await, next(&mut came).await), ("ann".to_owned(), "bob".to_owned()));
        bob.notify(SAY, &"hello".to_owned()).unwrap();
        let heard = next(&mut said).await;
        assert_eq!((heard.who.as_str(), heard.text.as_str()), ("bob", "hello"));
        bob.call(LEAVE, &()).await.unwrap();
        assert_eq!(next(&mut left).await, "bob");
    }
}

#[tokio::test]
async fn a_taken_name_is_refused_with_its_message_until_its_owner_has_left() {
    let room = room().await;
    let (eve, other) = (connect(&room, "tcp").await, connect(&room, "tcp").await);
    let watcher = connect(&room, "ws").await;
    let mut left = watcher.pushes(LEFT);
    join(&watcher, "watcher").await.unwrap();
    join(&eve, "eve").await.unwrap();
    match join(&other, "eve").await {
        Err(CallError::Refused { code, text }) => assert_eq!((code, text.as_str()), (1001, NAME_TAKEN.text())),
        answer => panic!("{answer:?}"),
    }
    eve.close().await;
    assert_eq!(next(&mut left).await, "eve");
    assert_eq!(join(&other, "eve").await.unwrap(), ["eve", "watcher"]);
}

#[tokio::test]
async fn a_name_has_1_to_20_characters_without_the_blanks_around_it() {
    let room = room().await;
    let client = connect(&room, "tcp").await;
    for wrong in ["", "   ", &"x".repeat(21)] {
        assert!(join(&client, wrong).await.is_err_and(|e| e.is(Code::BAD_REQUEST)), "{wrong:?}");
    }
    let longest = "ü".repeat(20);
    assert_eq!(join(&client, &format!(" {longest}\t")).await.unwrap(), [longest]);
}

#[tokio::test]
async fn who_has_not_joined_is_not_heard() {
    let room = room().await;
    let (ann, stranger) = (connect(&room, "tcp").await, connect(&room, "tcp").await);
    let mut said = ann.pushes(SAID);
    join(&ann, "ann").await.unwrap();
    stranger.notify(SAY, &"let me in".to_owned()).unwrap();
    // The answer says that the words before it were taken, too.
    assert!(join(&stranger, "ann").await.is_err());
    ann.notify(SAY, &"quiet here".to_owned()).unwrap();
    assert_eq!(next(&mut said).await.text, "quiet here");
}

#[tokio::test]
async fn a_terminal_says_what_is_typed_and_shows_what_happens() {
    let room = room().await;
    let ann = connect(&room, "tcp").await;
    let (mut came, mut said, mut left) = (ann.pushes(CAME), ann.pushes(SAID), ann.pushes(LEFT));
    join(&ann, "ann").await.unwrap();
    assert_eq!(next(&mut came).await, "ann");
    let (type_line, typed) = mpsc::channel(1);
    let (show, mut shown) = mpsc::unbounded_channel();
    let bob = somebody(&url(&room, "kcp"), "bob", &[]);
    let terminal = tokio::spawn(async move { talk(&bob, typed, move |line| show.send(line).unwrap()).await });
    assert!(shown.recv().await.unwrap().starts_with("here: "));
    assert_eq!(next(&mut came).await, "bob");
    type_line.send("typed".to_owned()).await.unwrap();
    assert_eq!(next(&mut said).await.text, "typed");
    ann.notify(SAY, &"heard".to_owned()).unwrap();
    while shown.recv().await.unwrap() != "ann: heard" {}
    drop(type_line);
    terminal.await.unwrap().unwrap();
    assert_eq!(next(&mut left).await, "bob");
}

#[tokio::test]
async fn a_terminal_is_told_why_it_may_not_come_in() {
    let room = room().await;
    let ann = connect(&room, "tcp").await;
    join(&ann, "ann").await.unwrap();
    let (_type_line, typed) = mpsc::channel(1);
    let refused = talk(&somebody(&url(&room, "ws"), "ann", &[]), typed, |_| {}).await.unwrap_err();
    assert!(refused.to_string().contains(NAME_TAKEN.text()), "{refused}");
}

#[tokio::test]
async fn with_keys_a_terminal_talks_in_a_room_that_others_do_not_understand() {
    let folder = std::env::temp_dir().join(format!("chat-keys-{}", std::process::id()));
    let keys = format!("--keys={}", folder.display());
    let room = room_with(&[&keys]).await;
    let (type_line, typed) = mpsc::channel(1);
    let (show, mut shown) = mpsc::unbounded_channel();
    let bob = somebody(&url(&room, "tcp"), "bob", &[&keys]);
    let terminal = tokio::spawn(async move { talk(&bob, typed, move |line| show.send(line).unwrap()).await });
    assert_eq!(shown.recv().await.unwrap(), "here: bob");
    let plain = connect(&room, "tcp").await;
    assert!(join(&plain, "eve").await.is_err_and(|e| e.is(Code::BAD_REQUEST)));
    type_line.send("typed".to_owned()).await.unwrap();
    while shown.recv().await.unwrap() != "bob: typed" {}
    // The page gets what it needs: three keys, the server's private one not among them.
    let page = fetch(&room, "/").await;
    let given = page.split("data-keys=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(given.split(' ').count(), 3, "{given}");
    let private = std::fs::read_to_string(folder.join("server.pem")).unwrap();
    assert!(!given.contains(private.lines().nth(1).unwrap()));
    // The next start takes the keys that are there.
    drop(type_line);
    terminal.await.unwrap().unwrap();
    let again = room_with(&[&keys]).await;
    assert!(fetch(&again, "/").await.contains(given));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn the_page_knows_where_to_connect_and_its_icon_is_no_error() {
    let room = room().await;
    let port = url(&room, "ws").rsplit(':').next().unwrap().to_owned();
    let page = fetch(&room, "/").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains(&format!("data-ws-port=\"{port}\"")) && page.contains(&url(&room, "tcp")), "{page}");
    assert!(!page.contains("{{"), "a placeholder is left");
    assert!(fetch(&room, "/favicon.ico").await.starts_with("HTTP/1.1 204"));
    assert!(fetch(&room, "/other").await.starts_with("HTTP/1.1 404"));
}

async fn fetch(room: &Running, path: &str) -> String {
    let mut socket = TcpStream::connect(room.url("http").unwrap().host()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}
