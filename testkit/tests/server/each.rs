//! Every server starts, and keeps its place over a kill.

use due_testkit::server::{Program, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn comes_back(program: Program) {
    let Some(server) = Server::start(program).await else { return };
    TcpStream::connect(server.address()).await.unwrap();
    server.kill();
    assert!(TcpStream::connect(server.address()).await.is_err(), "{program} outlives its kill");
    server.restart().await;
    TcpStream::connect(server.address()).await.unwrap();
    server.wipe().await;
    TcpStream::connect(server.address()).await.unwrap();
}

#[tokio::test]
async fn redis_comes_back() {
    comes_back(Program::Redis).await;
}

#[tokio::test]
async fn nats_comes_back() {
    comes_back(Program::Nats).await;
}

#[tokio::test]
async fn etcd_comes_back() {
    comes_back(Program::Etcd).await;
}

#[tokio::test]
async fn consul_comes_back() {
    comes_back(Program::Consul).await;
}

async fn http(address: &str, question: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(question.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The one that has a mode in which it would not.
#[tokio::test]
async fn consul_keeps_its_data_over_a_kill() {
    let Some(consul) = Server::start(Program::Consul).await else { return };
    let put = http(consul.address(), "PUT /v1/kv/a HTTP/1.0\r\nContent-Length: 4\r\n\r\nkept").await;
    assert!(put.ends_with("true"), "{put}");
    consul.restart().await;
    assert!(http(consul.address(), "GET /v1/kv/a?raw HTTP/1.0\r\n\r\n").await.ends_with("kept"));
    consul.wipe().await;
    assert!(http(consul.address(), "GET /v1/kv/a?raw HTTP/1.0\r\n\r\n").await.contains("404"));
}

#[tokio::test]
async fn kafka_comes_back() {
    comes_back(Program::Kafka).await;
}

#[tokio::test]
async fn rabbitmq_comes_back() {
    comes_back(Program::Rabbitmq).await;
}
