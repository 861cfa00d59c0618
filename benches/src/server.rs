//! The programs that are measured, each a process of its own.

use std::{
    cell::RefCell,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        atomic::{AtomicU16, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    Fallible,
    exchange::exchange,
    measure::pin,
    subject::{ADDRESS, AWAY, HOME, Subject},
};

/// How long a program may take to say `ready`.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long an answer is waited for before it is asked for again.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(200);

/// How often a subject is started that ends at once.
const STARTS: usize = 5;

/// A subject has ended before it was ready; it has said why.
#[derive(Debug)]
struct Ended(String);

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} did not say `ready`: it has ended", self.0)
    }
}

impl std::error::Error for Ended {}

/// What a server is in a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// What the machine can do: others are given as ratios to it.
    Reference,
    /// This framework.
    Ours,
    /// Another one: ours is given as a ratio to it.
    Peer,
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
    /// What stands for `{home}`.
    pub(crate) home: SocketAddr,
    /// What it was started as, with its addresses.
    subject: Subject,
    cores: Option<Cores>,
    children: RefCell<Vec<Child>>,
    /// Processes that load it for this program.
    helpers: RefCell<Vec<u32>>,
}

impl Server {
    /// Starts `subject`, its processes one after the other, and waits until it answers. Pins it and the calling thread to
    /// their cores. A subject that ends at once is started again with other ports: others may have taken its own.
    pub(crate) fn start(subject: &Subject, cores: Option<Cores>) -> Fallible<Self> {
        for _ in 1..STARTS {
            match Self::start_once(subject, cores) {
                Err(e) if e.is::<Ended>() => {}
                end => return end,
            }
        }
        Self::start_once(subject, cores)
    }

    fn start_once(subject: &Subject, cores: Option<Cores>) -> Fallible<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let (address, home) = (local(free_port()?), local(free_port()?));
        let places = [(ADDRESS, address), (HOME, home), (AWAY, local(free_port()?))];
        let put = |word: &String| places.iter().fold(word.clone(), |w, (name, at)| w.replace(name, &at.to_string()));
        let commands = subject.commands.iter().map(|words| words.iter().map(put).collect()).collect();
        let subject = Subject { commands, ..subject.clone() };
        let server = Self { address, home, subject, cores, children: RefCell::default(), helpers: RefCell::default() };
        server.spawn_all()?;
        Ok(server)
    }

    /// Ends its processes and starts them again at the same addresses: for clients that leave without a goodbye, whose
    /// sessions would go on through the next run.
    pub(crate) fn restart(&self) -> Fallible<()> {
        self.kill();
        self.spawn_all()
    }

    fn spawn_all(&self) -> Fallible<()> {
        let subject = &self.subject;
        for command in &subject.commands {
            self.spawn(command)?;
            self.wait_ready(subject)?;
        }
        if subject.tcp && (subject.commands.len() > 1 || subject.role == Role::Peer) {
            self.wait_answer(subject).map_err(|e| format!("{} does not answer: {e}", subject.name))?;
        }
        Ok(())
    }

    fn spawn(&self, words: &[String]) -> Fallible<()> {
        let (program, args) = words.split_first().ok_or("an empty command")?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        // A child inherits the cores of the thread that starts it.
        self.cores.map_or(Ok(()), |cores| pin(cores.server))?;
        let child = command.spawn();
        self.cores.map_or(Ok(()), |cores| pin(cores.client))?;
        self.children.borrow_mut().push(child.map_err(|e| format!("{} does not start: {e}", words.join(" ")))?);
        Ok(())
    }

    fn kill(&self) {
        for mut child in self.children.take().into_iter().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn wait_ready(&self, subject: &Subject) -> Fallible<()> {
        let stdout = self.children.borrow_mut().last_mut().and_then(|child| child.stdout.take());
        match wait_ready(stdout.ok_or("standard output is not a pipe")?) {
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Ended(subject.name.clone()).into()),
            Err(e) => Err(format!("{} did not say `ready`: {e}", subject.name).into()),
            Ok(()) => Ok(()),
        }
    }

    /// Processes that accept may still have to find each other.
    fn wait_answer(&self, subject: &Subject) -> Fallible<()> {
        let begin = Instant::now();
        loop {
            match exchange(self.address, subject.dialect, subject.content, BETWEEN_QUESTIONS) {
                Err(e) if begin.elapsed() > START_LIMIT => return Err(e),
                Err(_) => thread::sleep(BETWEEN_QUESTIONS),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// The numbers of the processes that run now, in the order of the commands.
    pub(crate) fn pids(&self) -> impl Iterator<Item = u32> {
        self.children.borrow().iter().map(Child::id).collect::<Vec<_>>().into_iter()
    }

    /// The processes that load it for this program: what they use is not foreign.
    pub(crate) fn helpers(&self) -> impl Iterator<Item = u32> {
        self.helpers.borrow().clone().into_iter()
    }

    /// From now on `pid` loads it, and nobody before it.
    pub(crate) fn helped_by(&self, pid: u32) {
        *self.helpers.borrow_mut() = vec![pid];
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
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
    // Programs that start together have numbers that stand together: far apart, they seldom look at the same port.
    let start = (std::process::id().wrapping_mul(251) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let port = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let at = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_at_once_is_an_error() {
        let subject = Subject::parse("none=true {tcp}").expect("a subject");
        let error = Server::start(&subject, None).err().expect("an error").to_string();
        assert!(error.starts_with("none did not say `ready`"), "{error}");
    }
}
