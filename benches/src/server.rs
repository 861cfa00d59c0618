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
    time::{Duration, Instant},
};

use crate::{Fallible, exchange::exchange, measure::pin};

/// How long a program may take to say `ready`.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long an answer is waited for before it is asked for again.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(200);
/// What stands for the address in a command.
const ADDRESS: &str = "{tcp}";
/// What stands for another free address, the same in all commands of a subject.
const HOME: &str = "{home}";

/// A program to measure, in one process or more: it echoes frames at the address that replaces `{tcp}`; each process
/// prints `ready`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) commands: Vec<Vec<String>>,
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

    /// The echo example with its handler on a node: in the same process, over links in memory.
    pub(crate) fn memory(program: &Path) -> Self {
        Self::new("memory", [program.display().to_string().as_str(), "--tcp", ADDRESS, "--via", "node"])
    }

    /// The echo example as a gate and a node in two processes, with links of this scheme between them.
    pub(crate) fn split(program: &Path, scheme: &str) -> Self {
        let program = program.display();
        let peers = format!("--registry peer://{HOME} --locator peer://{HOME} --eventbus peer://{HOME}");
        let common = format!("--transport {scheme}://127.0.0.1:0 {peers}");
        let node = format!("{program} --roles node {common}");
        let gate = format!("{program} --tcp {ADDRESS} --via node --roles gate {common}");
        Self { name: scheme.into(), commands: vec![words(&node), words(&gate)] }
    }

    /// `NAME=PROGRAM ARGS`, split at white space; `;` goes between the commands of several processes.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, commands)) if commands.contains(ADDRESS) => {
                Ok(Self { name: name.into(), commands: commands.split(';').map(words).collect() })
            }
            _ => Err(format!("want NAME=PROGRAM ARGS with {ADDRESS} where the address goes")),
        }
    }

    fn new<'a>(name: &str, command: impl IntoIterator<Item = &'a str>) -> Self {
        Self { name: name.into(), commands: vec![command.into_iter().map(String::from).collect()] }
    }
}

fn words(command: &str) -> Vec<String> {
    command.split_whitespace().map(String::from).collect()
}

/// Which core the server gets and which the load generator; `None`: the system decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

/// A running subject; its processes are killed when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    children: Vec<Child>,
}

impl Server {
    /// Starts `subject`, its processes one after the other, and waits until it is ready. Pins it and the calling thread
    /// to their cores.
    pub(crate) fn start(subject: &Subject, cores: Option<Cores>) -> Fallible<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (address, home) = (local(free_port()?), local(free_port()?).to_string());
        let mut server = Self { address, children: Vec::new() };
        for command in &subject.commands {
            let words = command.iter().map(|w| w.replace(ADDRESS, &address.to_string()).replace(HOME, &home));
            server.spawn(words.collect(), cores)?;
            server.wait_ready().map_err(|e| format!("{} did not say `ready`: {e}", subject.name))?;
        }
        if subject.commands.len() > 1 {
            server.wait_answer().map_err(|e| format!("{} does not answer: {e}", subject.name))?;
        }
        Ok(server)
    }

    fn spawn(&mut self, words: Vec<String>, cores: Option<Cores>) -> Fallible<()> {
        let (program, args) = words.split_first().ok_or("an empty command")?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        // A child inherits the cores of the thread that starts it.
        cores.map_or(Ok(()), |cores| pin(cores.server))?;
        let child = command.spawn();
        cores.map_or(Ok(()), |cores| pin(cores.client))?;
        self.children.push(child.map_err(|e| format!("{} does not start: {e}", words.join(" ")))?);
        Ok(())
    }

    fn wait_ready(&mut self) -> Fallible<()> {
        let stdout = self.children.last_mut().and_then(|child| child.stdout.take());
        Ok(wait_ready(stdout.ok_or("standard output is not a pipe")?)?)
    }

    /// Processes that accept may still have to find each other.
    fn wait_answer(&self) -> Fallible<()> {
        let begin = Instant::now();
        loop {
            match exchange(self.address, BETWEEN_QUESTIONS) {
                Err(e) if begin.elapsed() > START_LIMIT => return Err(e),
                Err(_) => thread::sleep(BETWEEN_QUESTIONS),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// The numbers of the processes, in the order of the commands.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.children.iter().map(Child::id)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
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
        let two = Subject::parse("due=./node --home {home};./gate --listen {tcp}").expect("a peer");
        assert_eq!(two.commands, [words("./node --home {home}"), words("./gate --listen {tcp}")]);
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
