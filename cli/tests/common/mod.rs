//! The command as a process.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `due` with this standard input and these variables.
pub(crate) async fn due(args: &[&str], input: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_due"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_remove("DUE_TOKEN").env_remove("DUE_MASTER").envs(variables.iter().copied());
    let mut child = command.spawn().unwrap();
    // One that has failed already does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let done = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}

/// A command that goes on until it is ended.
#[allow(dead_code, reason = "not every test has one")]
pub(crate) struct Follower {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

#[allow(dead_code, reason = "not every test has one")]
impl Follower {
    pub(crate) fn new(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_due"));
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        command.env_remove("DUE_TOKEN").env_remove("DUE_MASTER").envs(variables.iter().copied());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that it prints.
    pub(crate) async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().expect("it goes on")
    }

    pub(crate) async fn end(mut self) {
        self.child.kill().await.unwrap();
    }
}
