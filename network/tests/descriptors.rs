//! Accepting goes on when the process has no descriptor left. The server runs in a child with few of them.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may; the child talks through its output")]

mod common;

use std::process::Stdio;

use common::{Echo, Peer, networks, url};
use due_core::net::Network;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};

const ROLE: &str = "DUE_TEST_SERVE";
const LIMIT: usize = 64;

/// proves P24
#[tokio::test]
async fn without_descriptors_clients_are_sent_away_and_later_ones_are_served() {
    if let Ok(at) = std::env::var(ROLE) {
        return serve(&at).await;
    }
    for (network, at) in networks() {
        let (mut child, mut lines) = limited_server(at).await;
        let host = line(&mut lines, "url ").await;
        let url = url(&host);
        let mut held = Vec::new();
        for _ in 0..2 * LIMIT {
            held.push(TcpStream::connect(url.host()).await.unwrap());
        }
        assert!(line(&mut lines, "short ").await.parse::<usize>().unwrap() > 0);
        let (sent_away, answer) = first_sent_away(&mut held).await;
        assert_eq!(answer.starts_with("HTTP/1.1 503 "), at.starts_with("ws"), "{answer}");
        // The reset of all others gives their descriptors back.
        drop((sent_away, held));
        served(network.as_ref(), &url).await;
        child.start_kill().unwrap();
        child.wait().await.unwrap();
    }
}

/// The child: serves until it is killed, and tells its address and the first lack of descriptors.
async fn serve(at: &str) {
    let network = networks().into_iter().find(|(_, own)| *own == at).unwrap().0;
    let mut server = Echo::start(network.as_ref(), at).await;
    println!("\nurl {}", server.url);
    let log = server.until(|log| log.accept_errors > 0).await;
    println!("\nshort {}", log.accept_errors);
    std::future::pending().await
}

/// This very test in a child with few descriptors.
async fn limited_server(at: &str) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -n {LIMIT} && exec \"$0\" --nocapture --test-threads=1")])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, at)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>, start: &str) -> String {
    loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some(rest) = line.strip_prefix(start) {
            return rest.to_owned();
        }
    }
}

/// The server sends nothing to those it has accepted, so whoever can read was sent away.
async fn first_sent_away(clients: &mut Vec<TcpStream>) -> (TcpStream, String) {
    let readable = clients.iter().map(|c| Box::pin(c.readable()));
    let (_, at, _) = futures_util::future::select_all(readable).await;
    let mut client = clients.remove(at);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    (client, answer)
}

/// Tries until the server has its descriptors back; each try ends by itself.
async fn served(network: &dyn Network, url: &due_core::Url) {
    loop {
        let Ok(conn) = network.connect(url).await else { continue };
        let mut client = Peer::new(conn);
        if client.send(b"hello").await.is_ok() && client.read().await.is_ok() && client.payload() == b"hello" {
            return;
        }
    }
}
