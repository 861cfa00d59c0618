//! Every server starts, and keeps its place over a kill.

use due_testkit::server::{Program, Server};
use tokio::net::TcpStream;

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

#[tokio::test]
async fn kafka_comes_back() {
    comes_back(Program::Kafka).await;
}

#[tokio::test]
async fn rabbitmq_comes_back() {
    comes_back(Program::Rabbitmq).await;
}
