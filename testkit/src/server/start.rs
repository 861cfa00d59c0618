use std::{
    env,
    fmt::Display,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use due_servers::{Program, Running, Start};

/// A server of one test: a process group with ports and data of its own, killed when this is dropped or the test
/// process ends, however it ends.
///
/// # Panics
/// The methods that start it panic when it does not start, with the end of its output: a test without its server has
/// nothing to say.
pub struct Server {
    address: String,
    running: Arc<Mutex<Running>>,
}

impl Server {
    /// Starts one and waits until it serves. `None`, after saying so on stderr, where it is not installed.
    pub async fn start(program: Program) -> Option<Self> {
        Self::start_with::<&str>(program, &[]).await
    }

    /// Like [`Server::start`] with more arguments on its command line: `&["--requirepass", "x"]`.
    pub async fn start_with<T: AsRef<str>>(program: Program, args: &[T]) -> Option<Self> {
        Self::run(program, Start::new(program), args).await
    }

    async fn run<T: AsRef<str>>(program: Program, start: Start, args: &[T]) -> Option<Self> {
        installed(program).then_some(())?;
        let start = start.args(args.iter().map(AsRef::as_ref));
        let running = blocking(move || start.run()).await;
        Some(Self { address: running.address(), running: Arc::new(Mutex::new(running)) })
    }

    /// Like [`Server::start_with`], on this port and the few after it that it takes: for a server that must be told of
    /// ways to it before it starts.
    pub async fn start_at<T: AsRef<str>>(program: Program, port: u16, args: &[T]) -> Option<Self> {
        Self::run(program, Start::new(program).port(port), args).await
    }

    /// `127.0.0.1:port`, the same for its whole life.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Kills it (SIGKILL) and returns when it has ended.
    pub fn kill(&self) {
        self.running().kill();
    }

    /// Starts it again, on the same port with the same data; kills it first if it runs.
    pub async fn restart(&self) {
        let running = self.running.clone();
        blocking(move || lock(&running).restart()).await;
    }

    /// Kills it, removes its data, and starts it again on the same port.
    pub async fn wipe(&self) {
        let running = self.running.clone();
        blocking(move || lock(&running).wipe()).await;
    }

    /// Stops it where it is (SIGSTOP): connections stay open, even new ones are taken by the kernel, nothing answers.
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Lets a paused one go on.
    pub fn resume(&self) {
        self.running().resume();
    }

    /// The last lines it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.running().log()
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        lock(&self.running)
    }
}

fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Off the runtime, so that the clients of a starting server go on; paused time stands meanwhile.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> due_servers::Result<T> + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    wanted(done.unwrap_or_else(|e| Err(e.to_string())))
}

/// The thing, or the end of the test.
#[track_caller]
#[allow(clippy::panic)]
pub(super) fn wanted<T, E: Display>(found: Result<T, E>) -> T {
    found.unwrap_or_else(|why| panic!("{why}"))
}

/// Whether the program can be started here.
pub(super) fn installed(program: Program) -> bool {
    let Err(why) = program.installed() else { return true };
    let required = env::var("DUE_TEST_SERVERS").is_ok_and(|v| v == "required");
    wanted(if required { Err(format!("{why} (DUE_TEST_SERVERS=required)")) } else { Ok(()) });
    // Not `eprintln`, which the test harness hides when the test passes.
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(io::stderr(), "skipped {test}: {why}");
    false
}
