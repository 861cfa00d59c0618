//! A server of our own and what can be done to it.

use std::{
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use crate::{
    Program, Result,
    folder::Folder,
    group::{Alive, Group},
    ports::Ports,
    recipe::{self, Recipe, Site},
};

/// How long a server may take to be ready. Long, because a busy machine is no fault; a server that ends is seen at once.
const READY: Duration = Duration::from_secs(120);

/// How long the ports of a killed server may take to be free.
const VACANT: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Start {
    program: Program,
    port: Option<u16>,
    folder: Option<PathBuf>,
    args: Vec<String>,
    detached: bool,
}

impl Start {
    /// On free ports, with a temporary folder, ended with this process.
    #[must_use]
    pub fn new(program: Program) -> Self {
        Self { program, port: None, folder: None, args: Vec::new(), detached: false }
    }

    /// On this port of loopback; some servers take the few after it too.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// With more arguments on its command line, after ours.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// In this folder, which is emptied first and stays; the server stays too when this process ends.
    #[must_use]
    pub fn detached(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self.detached = true;
        self
    }

    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// When it is not installed, a port is taken, it ends, or it is not ready within two minutes: with the end of its
    /// output.
    pub fn run(self) -> Result<Running> {
        self.program.installed()?;
        let recipe = recipe::of(self.program);
        let ports = self.port.map_or_else(|| Ports::free(recipe.ports), |port| Ports::at(port, recipe.ports));
        let ports = ports.map_err(|why| format!("cannot start {}: {why}", self.program))?;
        let folder = match self.folder.clone() {
            Some(path) => Folder::given(path)?,
            None => Folder::temporary(self.program.name())?,
        };
        let mut running = Running { start: self, recipe, group: None, folder, ports };
        running.begin_fresh()?;
        Ok(running)
    }
}

/// A server of our own. Dropping it kills it and removes its data, unless it is detached.
pub struct Running {
    start: Start,
    recipe: Recipe,
    group: Option<Group>,
    // These are dropped in this order.
    folder: Folder,
    ports: Ports,
}

impl Running {
    /// What it is.
    #[must_use]
    pub fn program(&self) -> Program {
        self.start.program
    }

    /// `127.0.0.1:port`; the same for its whole life.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports.first())
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<Alive> {
        Alive::of(self.group.as_ref()?.id())
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.folder.tail()
    }

    /// Kills it and all it started (SIGKILL), and returns when nobody listens on its ports. A killed one stays killed.
    pub fn kill(&mut self) {
        if let Some(mut group) = self.group.take() {
            group.kill();
            // Grandchildren are not ours to reap. If a port is not free in time, the next start says so.
            let _ = self.vacant();
        }
    }

    /// Kills it if it runs, and starts it again on the same ports with the same data.
    ///
    /// # Errors
    /// As for [`Start::run`].
    pub fn restart(&mut self) -> Result {
        self.kill();
        self.begin()
    }

    /// Like [`Running::restart`] without its data.
    ///
    /// # Errors
    /// As for [`Start::run`].
    pub fn wipe(&mut self) -> Result {
        self.kill();
        self.folder.empty()?;
        self.begin_fresh()
    }

    /// Stops all its processes where they are (SIGSTOP): connections stay open and nothing answers.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused one go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = &self.group {
            group.signal(signal);
        }
    }

    fn begin_fresh(&mut self) -> Result {
        (self.recipe.prepare)(&self.site()).map_err(|why| format!("cannot start {}: {why}", self.start.program))?;
        self.begin()
    }

    fn begin(&mut self) -> Result {
        self.vacant()?;
        let group = Group::start(&mut (self.recipe.command)(&self.site()), &self.folder.log())?;
        self.group = Some(group.watched(self.folder.path())?);
        self.ready()?;
        if self.start.detached {
            self.group.iter_mut().for_each(Group::release);
        }
        Ok(())
    }

    /// Waits until nobody listens on our ports: the grandchildren of a killed server may take a moment to end.
    fn vacant(&self) -> Result {
        let begin = Instant::now();
        loop {
            match self.ports.vacant() {
                Err(_) if begin.elapsed() < VACANT => thread::sleep(PAUSE),
                end => return end.map_err(|why| format!("cannot start {}: {why}", self.start.program)),
            }
        }
    }

    fn ready(&mut self) -> Result {
        let begin = Instant::now();
        loop {
            let not_yet = match (self.recipe.ready)(&self.site()) {
                Ok(true) => return Ok(()),
                Ok(false) => "it answers, but not as a ready one does".to_owned(),
                Err(e) => e.to_string(),
            };
            if let Some(how) = self.group.as_mut().and_then(Group::ended) {
                return Err(self.failed(&format!("ended while it started ({how})")));
            }
            if begin.elapsed() > READY {
                return Err(self.failed(&format!("is not ready after {} s: {not_yet}", READY.as_secs())));
            }
            thread::sleep(PAUSE);
        }
    }

    fn failed(&self, what: &str) -> String {
        format!("{} on {} {what}; its last output:\n{}", self.start.program, self.address(), self.log())
    }

    fn site(&self) -> Site<'_> {
        Site { folder: self.folder.path(), port: self.ports.first(), args: &self.start.args }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Before its folder goes: a server that still runs would fill it again.
        if !self.start.detached {
            self.kill();
        }
    }
}
