//! The probe port through the life of an application.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use due_cluster::{App, Node, Shards, admin::Probes, handler::Routes};
use due_core::{
    Drivers, Url,
    boot::{Address, Settings},
    registry::State,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

async fn ask(url: &Url, path: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(url.host()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn until(url: &Url, path: &str, status: u16) -> String {
    loop {
        match ask(url, path).await {
            (found, body) if found == status => return body,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

fn free_port() -> Url {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap()
}

#[tokio::test]
async fn every_program_gets_probes_by_a_setting_instead_of_those_that_it_names() {
    let told = |url: &str| Settings { probes: Some(Address::new(url).unwrap()), ..Settings::default() };
    let app = || App::new(Drivers::memory()).shards(Shards::Inline).with(Probes::new("127.0.0.1:1"));
    let running = app().args(told("http://127.0.0.1:0")).start().await.unwrap();
    let url = running.url("probes").unwrap().clone();
    assert_eq!((ask(&url, "/livez").await.0, ask(&url, "/startupz").await.0), (200, 200));
    until(&url, "/readyz", 200).await;
    running.stop(Duration::from_secs(5)).await.unwrap();
    for wrong in ["tcp://127.0.0.1:0", "http://localhost"] {
        let error = app().args(told(wrong)).start().await.unwrap_err().to_string();
        assert!(error.contains("probes") && error.contains("http://HOST:PORT"), "{error}");
    }
}

#[tokio::test]
async fn a_process_says_that_it_starts_that_it_runs_and_why_it_takes_no_work() {
    let (url, go) = (free_port(), std::sync::Arc::new(Notify::new()));
    let gate = go.clone();
    let node = Node::new("game").routes(Routes::new()).started(async move |_| {
        gate.notified().await;
        Ok(())
    });
    let app = App::new(Drivers::memory()).shards(Shards::Inline).with(Probes::new(url.host())).with(node);
    let starts = async {
        while TcpStream::connect(url.host()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(ask(&url, "/livez").await.0, 200);
        assert_eq!(ask(&url, "/startupz").await, (503, r#"{"reasons":["starting"]}"#.to_owned()));
        assert!(ask(&url, "/readyz").await.1.contains("starting"));
        go.notify_one();
    };
    let (running, ()) = tokio::join!(app.start(), starts);
    let running = running.unwrap();
    assert_eq!(running.url("probes").unwrap().host(), url.host());
    assert_eq!(ask(&url, "/startupz").await.0, 200);
    until(&url, "/readyz", 200).await;
    running.announce(State::Hang).await.unwrap();
    let why = until(&url, "/readyz", 503).await;
    assert!(why.contains("takes no new work"), "{why}");
    assert_eq!(ask(&url, "/livez").await.0, 200);
    running.announce(State::Work).await.unwrap();
    until(&url, "/readyz", 200).await;
    running.stop(Duration::from_secs(5)).await.unwrap();
    while TcpStream::connect(url.host()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
