//! Played with an echo server of our own.

use std::time::{Duration, Instant};

use due_testkit::server::{Direction, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Says back what it hears, until the connection ends.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    address
}

async fn says(stream: &mut TcpStream, word: &str) -> bool {
    let mut back = vec![0; word.len()];
    stream.write_all(word.as_bytes()).await.is_ok() && hears(stream, &mut back).await && back == word.as_bytes()
}

async fn hears(stream: &mut TcpStream, back: &mut [u8]) -> bool {
    stream.read_exact(back).await.is_ok()
}

/// Nothing came in a moment; a wrong "nothing" makes no test fail, only one pass that should not.
async fn silent(stream: &mut TcpStream) -> bool {
    tokio::time::timeout(Duration::from_millis(50), stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn bytes_pass_both_ways_and_so_does_the_end() {
    let way = Proxy::to(echo().await).await;
    let mut stream = TcpStream::connect(way.address()).await.unwrap();
    assert!(says(&mut stream, &"long ".repeat(100_000)).await);
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_cut_way_closes_all_and_refuses_until_it_is_mended() {
    let way = Proxy::to(echo().await).await;
    let mut stream = TcpStream::connect(way.address()).await.unwrap();
    assert!(says(&mut stream, "a").await);
    way.cut();
    assert!(!says(&mut stream, "b").await);
    assert!(TcpStream::connect(way.address()).await.is_err());
    way.mend();
    assert!(says(&mut TcpStream::connect(way.address()).await.unwrap(), "c").await);
}

#[tokio::test]
async fn closing_all_refuses_nobody() {
    let way = Proxy::to(echo().await).await;
    let mut stream = TcpStream::connect(way.address()).await.unwrap();
    assert!(says(&mut stream, "a").await);
    way.close_all();
    assert!(!says(&mut stream, "b").await);
    assert!(says(&mut TcpStream::connect(way.address()).await.unwrap(), "c").await);
}

#[tokio::test]
async fn silence_is_one_way_and_what_it_held_arrives_after_it() {
    for direction in [Direction::ToServer, Direction::ToClient] {
        let way = Proxy::to(echo().await).await;
        let mut stream = TcpStream::connect(way.address()).await.unwrap();
        assert!(says(&mut stream, "a").await);
        way.swallow(direction);
        stream.write_all(b"b").await.unwrap();
        assert!(silent(&mut stream).await, "{direction:?}");
        way.mend();
        let mut back = [0];
        assert!(hears(&mut stream, &mut back).await && back == *b"b", "{direction:?}");
    }
}

#[tokio::test]
async fn silence_to_the_client_lets_the_server_hear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let way = Proxy::to(listener.local_addr().unwrap().to_string()).await;
    way.swallow(Direction::ToClient);
    let mut client = TcpStream::connect(way.address()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    client.write_all(b"a").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'a');
}

#[tokio::test]
async fn delay_is_the_least_that_a_byte_takes_each_way() {
    let way = Proxy::to(echo().await).await;
    let mut stream = TcpStream::connect(way.address()).await.unwrap();
    way.delay(Duration::from_millis(20));
    let begin = Instant::now();
    assert!(says(&mut stream, "a").await);
    assert!(begin.elapsed() >= Duration::from_millis(40), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_the_connection() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let way = Proxy::to(gone).await;
    let mut stream = TcpStream::connect(way.address()).await.unwrap();
    assert!(!says(&mut stream, "a").await);
}

#[tokio::test]
async fn a_dropped_proxy_is_gone() {
    let way = Proxy::to(echo().await).await;
    let mut stream = TcpStream::connect(way.address()).await.unwrap();
    let address = way.address().to_owned();
    assert!(says(&mut stream, "a").await);
    drop(way);
    assert!(!says(&mut stream, "b").await);
    assert!(TcpStream::connect(address).await.is_err());
}
