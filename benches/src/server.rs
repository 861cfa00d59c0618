//! The programs that are measured, each a process of its own.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::{Fallible, measure::pin};

/// How long a program may take to say `ready`.
const START_LIMIT: Duration = Duration::from_secs(20);
/// What stands for the address in a command.
const ADDRESS: &str = "{tcp}";

/// A program to measure: it echoes frames at the address that replaces `{tcp}` and prints `ready` when it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
}

impl Subject {
    /// This very program as the reference.
    pub(crate) fn reference() -> Fallible<Self> {
        let program = std::env::current_exe()?.display().to_string();
        Ok(Self::new("reference", [program.as_str(), "reference", "--tcp", ADDRESS]))
    }

    /// The echo example.
    pub(crate) fn echo(program: &Path) -> Self {
        Self::new("echo", [program.display().to_string().as_str(), "--tcp", ADDRESS])
    }

    /// `NAME=PROGRAM ARGS`, split at white space.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, command)) if command.contains(ADDRESS) => Ok(Self::new(name, command.split_whitespace())),
            _ => Err(format!("want NAME=PROGRAM ARGS with {ADDRESS} where the address goes")),
        }
    }

    fn new<'a>(name: &str, command: impl IntoIterator<Item = &'a str>) -> Self {
        Self { name: name.into(), command: command.into_iter().map(String::from).collect() }
    }
}

/// Which core the server gets and which the load generator; `None`: the system decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

/// A running subject; it is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts `subject` and waits until it is ready. Pins it and the calling thread to their cores.
    pub(crate) fn start(subject: &Subject, cores: Option<Cores>) -> Fallible<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut words = subject.command.iter().map(|word| word.replace(ADDRESS, &address.to_string()));
        let mut command = Command::new(words.next().ok_or("an empty command")?);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::piped());
        // A child inherits the cores of the thread that starts it.
        cores.map_or(Ok(()), |cores| pin(cores.server))?;
        let child = command.spawn();
        cores.map_or(Ok(()), |cores| pin(cores.client))?;
        let child = child.map_err(|e| format!("{} does not start: {e}", subject.command.join(" ")))?;
        let mut server = Self { address, child };
        let stdout = server.child.stdout.take().ok_or("standard output is not a pipe")?;
        wait_ready(stdout).map_err(|e| format!("{} did not say `ready`: {e}", subject.name))?;
        Ok(server)
    }

    /// The number of the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_ready(stdout: ChildStdout) -> Result<(), mpsc::RecvTimeoutError> {
    let (ready, told) = mpsc::channel();
    // Reads to the end: a full pipe would stop the program.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if line == "ready" {
                let _ = ready.send(());
            }
        }
    });
    told.recv_timeout(START_LIMIT)
}

/// A port below those that the system hands out by itself: a client's own port must never take it.
fn free_port() -> Fallible<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_a_name_and_a_command_with_an_address() {
        let peer = Subject::parse("due=./server --listen {tcp}").expect("a peer");
        assert_eq!(peer, Subject::new("due", ["./server", "--listen", "{tcp}"]));
        assert!(Subject::parse("due=./server").is_err());
        assert!(Subject::parse("./server {tcp}").is_err());
    }

    #[test]
    fn a_program_that_ends_at_once_is_an_error() {
        let subject = Subject::parse("none=true {tcp}").expect("a subject");
        let error = Server::start(&subject, None).err().expect("an error").to_string();
        assert!(error.starts_with("none did not say `ready`"), "{error}");
    }
}
