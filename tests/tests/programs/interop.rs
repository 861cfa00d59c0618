//! Unmodified clients of due, in Go, with due's own packet codec, against the `echo` example: over tcp, WebSocket and
//! KCP (with forward error correction on the way up), in every shape of frame that such a fleet may have configured.
//!
//! The Go programs are in `tests/interop/go`; a missing Go tool chain is a failure, not a reason to skip.

use std::{path::PathBuf, process::Command, sync::LazyLock};

use crate::program::{Running, build, free_port, scratch, workspace};

/// Frames of a run. KCP with the settings of due's client moves few bytes a second.
const FRAMES: [(&str, u32); 3] = [("tcp", 400), ("ws", 400), ("kcp", 60)];

static ECHO: LazyLock<PathBuf> = LazyLock::new(|| build("echo"));
static CLIENT: LazyLock<PathBuf> = LazyLock::new(build_client);

fn build_client() -> PathBuf {
    let client = scratch().join("interop");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&client)
        .arg(".")
        .current_dir(workspace().join("tests/interop/go"))
        .status()
        .expect("this test plays due's Go client: install Go 1.25 or later, `go` must be on the PATH");
    assert!(status.success(), "go could not build tests/interop/go");
    client
}

/// Runs the client over each network against one `echo`; both sides get their own words for the same shape.
fn check(server: &[&str], client: &[&str]) {
    let addresses = FRAMES.map(|(network, frames)| (network, frames, format!("127.0.0.1:{}", free_port())));
    let mut args: Vec<String> = server.iter().map(|s| s.to_string()).collect();
    for (network, _, address) in &addresses {
        args.extend([format!("--{network}"), address.clone()]);
    }
    let echo = Running::start(&ECHO, &args);
    echo.line("`ready`", |line| line == "ready");
    for (network, frames, address) in &addresses {
        let told = run_client(network, address, *frames, client);
        assert_eq!(told, Ok(format!("ok {frames}")), "{network}, echo {server:?}, client {client:?}");
    }
}

/// What the client printed: `Ok` if it left with 0.
fn run_client(network: &str, address: &str, frames: u32, more: &[&str]) -> Result<String, String> {
    let output = Command::new(&*CLIENT)
        .args(["-network", network, "-addr", address, "-frames", &frames.to_string()])
        .args(more)
        .current_dir(scratch())
        .output()
        .expect("the client runs");
    let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(told) } else { Err(told) }
}

#[test]
// conformance 1, 2, 3, 19
fn a_client_with_defaults_gets_every_frame_back() {
    check(&[], &[]);
}

#[test]
// conformance 7
fn a_little_endian_client_gets_every_frame_back() {
    check(&["--order", "little"], &["-order", "little"]);
}

#[test]
// conformance 3, 6
fn the_widest_route_and_seq_come_back_with_their_signs() {
    check(&["--route-bytes", "4", "--seq-bytes", "4"], &["-route-bytes", "4", "-seq-bytes", "4"]);
}

#[test]
// conformance 5, 6
fn a_client_without_seq_gets_its_answers_in_order() {
    check(&["--route-bytes", "1", "--seq-bytes", "0"], &["-route-bytes", "1", "-seq-bytes", "0"]);
}

#[test]
// conformance 20, 22
fn heartbeats_carry_the_time_in_nanoseconds_when_asked() {
    check(&["--heartbeat-time", "ns"], &["-heartbeat-time", "ns"]);
}

#[test]
// conformance 20
fn a_little_endian_heartbeat_carries_a_little_endian_time() {
    check(&["--order", "little", "--heartbeat-time", "ns"], &["-order", "little", "-heartbeat-time", "ns"]);
}

#[test]
// conformance 34
fn answers_of_a_node_are_those_of_a_gate() {
    check(&["--via", "node"], &[]);
}

#[test]
fn the_client_notices_a_server_of_another_shape() {
    let address = format!("127.0.0.1:{}", free_port());
    let echo = Running::start(&ECHO, &["--tcp".into(), address.clone(), "--heartbeat-time".into(), "ns".into()]);
    echo.line("`ready`", |line| line == "ready");
    let told = run_client("tcp", &address, 8, &[]);
    assert!(told.as_ref().is_err_and(|e| e.contains("heartbeat of 13 bytes, want 5")), "{told:?}");
}
