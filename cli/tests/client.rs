//! `due client` against a real server, as a process of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod common;

use std::{path::PathBuf, process::Stdio};

use common::{Ran, due};
use due::{app::Running, prelude::*};
use serde_json::{Value, json};
use tokio::process::Command;

const ECHO: Call<String, String> = Call::new(1, "echo");
const FAIL: Call<(), ()> = Call::new(2, "fail");
/// Pushes the numbers up to this.
const COUNT: Notify<u32> = Notify::new(3, "count");
const NUMBER: Push<u32> = Push::new(101, "number");
const CLOSED_TODAY: Code = Code::new(1001, "closed today");

async fn server() -> Running {
    let count = |me: Session, Msg(n): Msg<u32>| (1..=n).try_for_each(|i| me.push(NUMBER, &i)).map_err(Fault::from);
    let routes = Routes::new()
        .route(ECHO, |Msg(text): Msg<String>| text)
        .route(FAIL, || Err::<(), Fault>(CLOSED_TODAY.into()))
        .route(COUNT, count);
    let gate = ["tcp", "ws", "kcp"]
        .iter()
        .fold(Gate::new("gate"), |gate, scheme| gate.listen(format!("{scheme}://127.0.0.1:0")));
    App::new(due::drivers()).with(gate).with(Node::new("node").routes(routes)).start().await.unwrap()
}

const STOP: std::time::Duration = std::time::Duration::from_secs(5);

const NAMES: [&str; 8] = ["--route", "echo=1", "--route", "fail=2", "--route", "count=3", "--route", "number=101"];

async fn client(url: &str, more: &[&str], input: &str) -> Ran {
    due(&[&["client", url], &NAMES[..], more].concat(), input, &[]).await
}

#[tokio::test]
async fn routes_are_called_by_name_and_pushes_are_waited_for_on_every_network() {
    let server = server().await;
    for scheme in ["tcp", "ws", "kcp"] {
        let url = server.url(&format!("gate:{scheme}")).unwrap().to_string();
        let script = "# all at once\ncall echo \"hi\"\nexpect \"hi\"\nnotify count 3\nwait number\nexpect 1\nwait 101 5s\nexpect 2\nwait number\n";
        let ran = client(&url, &["--json"], script).await;
        assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{scheme}: {}", ran.out);
        let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["answer"], &lines[0]["route"]), (&json!("hi"), &json!(1)), "{scheme}");
        let pushed: Vec<&Value> = lines.iter().filter(|l| l["name"] == "number").map(|l| &l["push"]).collect();
        assert_eq!(pushed, [&json!(1), &json!(2), &json!(3)], "{scheme}");
    }
    server.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn a_script_ends_at_its_first_failure_and_says_which_line_it_was() {
    let server = server().await;
    let url = server.url("gate:tcp").unwrap().to_string();
    let script = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("failing.due");
    for (lines, said) in [
        ("echo \"a\"\n\nfail\necho \"b\"", "3: refused: closed today (1001)"),
        ("echo \"a\"\nexpect \"b\"", "2: expected \"b\", got \"a\""),
        ("nobody 1", "1: no route is called \"nobody\""),
        ("echo hello", "1: the body \"hello\" is not JSON"),
        ("wait number 10ms", "1: no push of number within 10ms"),
        ("999 1", "1: NoRoute: refused"),
        ("sleep long", "1: "),
    ] {
        std::fs::write(&script, lines).unwrap();
        let ran = client(&url, &["--script", script.to_str().unwrap()], "").await;
        assert_eq!(ran.code, Some(1), "{lines}: {}", ran.out);
        assert!(ran.err.contains(&format!("failing.due {said}")), "{lines}: {}", ran.err);
        assert!(!ran.out.contains("\"b\""), "nothing is done after it: {}", ran.out);
    }
    server.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn bodies_are_text_or_bytes_where_they_are_said_to_be() {
    let server = server().await;
    let url = server.url("gate:tcp").unwrap().to_string();
    let ran = client(&url, &["--bodies", "hex"], "echo 22 6869 22").await;
    assert!(ran.out.starts_with("2268692 ") || ran.out.starts_with("22686922 "), "{}", ran.out);
    let ran = client(&url, &["--bodies", "text"], "echo \"hi\"").await;
    assert!(ran.out.starts_with("\"hi\" "), "{}", ran.out);
    server.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn an_old_client_is_understood_and_waits_for_an_answer_that_does_not_come() {
    let server = server().await;
    let url = server.url("gate:tcp").unwrap().to_string();
    let ran = client(&url, &["--old", "--timeout", "200ms"], "echo \"hi\"\nexpect \"hi\"\n999 1").await;
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("line 3: no answer in time"), "{}", ran.err);
    server.stop(STOP).await.unwrap();
}

#[tokio::test]
async fn the_end_of_the_connection_ends_the_command_with_its_reason() {
    let server = server().await;
    let url = server.url("gate:tcp").unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_due"));
    command
        .args(["client", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let open = child.stdin.take().unwrap();
    while server.snapshot().await.connections["gate"] == 0 {
        tokio::task::yield_now().await;
    }
    server.stop(STOP).await.unwrap();
    let done = child.wait_with_output().await.unwrap();
    drop(open);
    assert_eq!(done.status.code(), Some(1), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!done.stderr.is_empty());
}

#[tokio::test]
async fn what_is_wrong_at_the_start_is_named() {
    let nobody = due(&["client", "tcp://127.0.0.1:9"], "", &[]).await;
    assert!(nobody.code == Some(1) && nobody.err.contains("127.0.0.1:9"), "{}", nobody.err);
    let scheme = due(&["client", "http://127.0.0.1:9"], "", &[]).await;
    assert!(scheme.code == Some(1) && scheme.err.contains("http"), "{}", scheme.err);
    let payload = due(&["client", "tcp://127.0.0.1:9", "--payload", "x"], "", &[]).await;
    assert!(payload.err.contains("--payload \"x\" is not JSON"), "{}", payload.err);
    let file = due(&["client", "tcp://127.0.0.1:9", "--routes", "/nowhere/routes.json"], "", &[]).await;
    assert!(file.err.contains("/nowhere/routes.json"), "{}", file.err);
    assert_eq!(due(&["client"], "", &[]).await.code, Some(2), "the usage");
    assert!(due(&["completion", "bash"], "", &[]).await.out.contains("_due"));
}
