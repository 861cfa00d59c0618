//! Servers by hand: up, status, down. Played on Redis where it is installed.

#![allow(clippy::unwrap_used)]

use std::{
    env, fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
};

use due_servers::{Ports, Program};

fn servers(home: &Path, words: &[&str]) -> Output {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.arg("servers").args(words).env("DUE_SERVERS_DIR", home).output().unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_server_is_up_until_it_is_taken_down() {
    if Program::Redis.installed().is_err() {
        return;
    }
    let home = env::temp_dir().join(format!("due-servers-{}", std::process::id()));
    let ports = Ports::free(1).unwrap();
    let (port, address) = (ports.first().to_string(), format!("127.0.0.1:{}", ports.first()));
    drop(ports);

    let foreign = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
    let refused = servers(&home, &["up", "redis", "--port", &port]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains(&port), "{refused:?}");
    drop(foreign);

    let line = format!("redis {address}\n");
    assert_eq!(said(&servers(&home, &["up", "redis", "--port", &port])), line);
    TcpStream::connect(&address).unwrap();
    assert_eq!(said(&servers(&home, &["up", "redis"])), line, "a second time it is the same one");
    assert_eq!(said(&servers(&home, &["up", "redis", "--env"])), format!("export DUE_TEST_REDIS={address}\n"));
    assert_eq!(said(&servers(&home, &["status", "redis"])), line);
    said(&servers(&home, &["down"]));
    assert!(TcpStream::connect(&address).is_err());
    assert_eq!(said(&servers(&home, &["status", "redis"])), "redis is down\n");
    fs::remove_dir_all(home).unwrap();
}
