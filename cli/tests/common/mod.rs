//! The command as a process.

use std::process::Stdio;

use tokio::{io::AsyncWriteExt, process::Command};

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
