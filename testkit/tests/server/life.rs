//! Played on Redis, which starts at once.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use due_testkit::server::{Program, Server};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_killed_server_is_gone_and_comes_back_with_its_data() {
    let Some(redis) = Server::start(Program::Redis).await else { return };
    let address = redis.address().to_owned();
    assert_eq!(redis.redis("SET a 1").await, "+OK\r\n");
    redis.kill();
    redis.kill();
    assert!(TcpStream::connect(&address).await.is_err());
    redis.restart().await;
    assert_eq!(redis.address(), address);
    assert_eq!(redis.redis("GET a").await, "1\r\n");
}

#[tokio::test]
async fn a_server_that_runs_restarts() {
    let Some(redis) = Server::start(Program::Redis).await else { return };
    assert_eq!(redis.redis("SET a 1").await, "+OK\r\n");
    redis.restart().await;
    assert_eq!(redis.redis("GET a").await, "1\r\n");
}

#[tokio::test]
async fn a_wiped_server_has_forgotten_all() {
    let Some(redis) = Server::start(Program::Redis).await else { return };
    assert_eq!(redis.redis("SET a 1").await, "+OK\r\n");
    redis.wipe().await;
    assert_eq!(redis.redis("GET a").await, "$-1\r\n");
}

#[tokio::test]
async fn a_paused_server_answers_when_it_goes_on() {
    let Some(redis) = Server::start(Program::Redis).await else { return };
    redis.pause();
    let mut answer = Box::pin(redis.redis("PING"));
    // Connected and asked, as far as a client can tell; the answer cannot come.
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), &mut answer).await;
    assert!(early.is_err());
    redis.resume();
    assert_eq!(answer.await, "+PONG\r\n");
}

#[tokio::test]
async fn a_paused_server_can_be_killed() {
    let Some(redis) = Server::start(Program::Redis).await else { return };
    redis.pause();
    redis.kill();
    redis.restart().await;
    assert_eq!(redis.redis("PING").await, "+PONG\r\n");
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let Some(redis) = Server::start(Program::Redis).await else { return };
    let address = redis.address().to_owned();
    drop(redis);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn arguments_reach_the_server() {
    let Some(redis) = Server::start_with(Program::Redis, &["--requirepass", "x"]).await else { return };
    assert!(redis.redis("GET a").await.starts_with("-NOAUTH"));
}

#[tokio::test]
async fn servers_of_one_process_do_not_meet() {
    let Some(a) = Server::start(Program::Redis).await else { return };
    let Some(b) = Server::start(Program::Redis).await else { return };
    assert_ne!(a.address(), b.address());
    assert_eq!(a.redis("SET a 1").await, "+OK\r\n");
    assert_eq!(b.redis("GET a").await, "$-1\r\n");
}

#[tokio::test]
async fn a_shared_server_is_one() {
    let Some(a) = Server::shared(Program::Redis).await else { return };
    let b = Server::shared(Program::Redis).await.unwrap();
    assert_eq!(a.address(), b.address());
    TcpStream::connect(a.address()).await.unwrap();
}

/// Says where the test below finds the part of it that is killed.
const CHILD: &str = "DUE_TEST_SERVER_CHILD";

#[tokio::test]
async fn a_server_ends_with_a_killed_test() {
    if env::var_os(CHILD).is_some() {
        return hold_a_server().await;
    }
    if Program::Redis.installed().is_err() {
        return;
    }
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "life::a_server_ends_with_a_killed_test", "--nocapture"]).env(CHILD, "1");
    let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines.map(Result::unwrap).find_map(|l| Some(l.split_once("address ")?.1.to_owned())).unwrap();
    TcpStream::connect(&address).await.unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

/// Plays the test of this name again, in a process that finds no program.
fn without_programs(variable: &str, value: &str) -> (bool, String) {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "life::a_server_that_is_not_there_is_skipped_unless_it_is_required", "--nocapture"]);
    child.env(CHILD, "1").env("DUE_SERVERS_DIR", "nowhere").env("PATH", "").env_remove("DUE_TEST_SERVERS");
    let output = child.env(variable, value).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_skipped_unless_it_is_required() {
    if env::var_os(CHILD).is_some() {
        assert!(Server::start(Program::Redis).await.is_none());
        return;
    }
    let (passed, said) = without_programs("DUE_TEST_SERVERS", "");
    assert!(passed && said.contains("skipped") && said.contains("cargo xtask servers install redis"), "{said}");
    let (passed, said) = without_programs("DUE_TEST_SERVERS", "required");
    assert!(!passed && said.contains("DUE_TEST_SERVERS=required") && said.contains("redis is not installed"), "{said}");
}

#[allow(clippy::print_stdout)]
async fn hold_a_server() {
    let redis = Server::start(Program::Redis).await.unwrap();
    println!("address {}", redis.address());
    std::future::pending::<()>().await;
}
