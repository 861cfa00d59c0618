//! One process of the fleet.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

/// How long anything may take. A limit against hanging, not a measure.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// Lines of a process's log that a failed test shows.
const SHOWN: usize = 60;

static FLEET: LazyLock<PathBuf> = LazyLock::new(|| crate::program::build_with("fleet", &["--features", "etcd"]));

/// Kills the process when whoever started this ends, however it ends.
const WATCHDOG: &str = r#"read -r _; kill -s KILL -- "$1""#;

/// A process; it is killed when this is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    pid: u32,
    lines: mpsc::UnboundedReceiver<String>,
    /// Parts and where they listen.
    urls: Vec<(String, String)>,
    log: Log,
    /// Ends with the last line of the log.
    logged: JoinHandle<()>,
    _watchdog: Child,
}

/// The last lines that a process wrote to standard error.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    fn add(&self, line: String) {
        let mut lines = self.0.lock().unwrap();
        if lines.len() == SHOWN {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

impl Process {
    /// Starts one of the fleet.
    pub(crate) fn spawn(name: &str, args: &[String]) -> Self {
        Self::of(&FLEET, name, args)
    }

    /// Starts one of another program.
    pub(crate) fn of(program: &Path, name: &str, args: &[String]) -> Self {
        let mut fleet = Command::new(program);
        fleet.args(args).current_dir(crate::program::scratch()).env_remove("DUE_SERVERS_DIR");
        let pipes = fleet.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = pipes.spawn().unwrap_or_else(|e| panic!("{} does not start: {e}", program.display()));
        let pid = child.id().unwrap();
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let (tell, lines) = mpsc::unbounded_channel();
        read(child.stdout.take().unwrap(), move |line| drop(tell.send(line)));
        let log = Log::default();
        let (lines_of, shown) = (log.clone(), std::env::var_os("FLEET_LOG").map(|_| name.to_owned()));
        let logged = read(child.stderr.take().unwrap(), move |line| {
            shown.iter().for_each(|name| eprintln!("{name}: {line}"));
            lines_of.add(line);
        });
        Self { name: name.to_owned(), child, pid, lines, urls: Vec::new(), log, logged, _watchdog: watchdog.unwrap() }
    }

    /// Waits until it serves.
    pub(crate) async fn ready(mut self) -> Self {
        loop {
            match self.line("`ready`").await {
                line if line == "ready" => return self,
                line => self.urls.extend(line.split_once(' ').map(|(part, url)| (part.to_owned(), url.to_owned()))),
            }
        }
    }

    /// The next line of its output.
    pub(crate) async fn line(&mut self, what: &str) -> String {
        match timeout(LIMIT, self.lines.recv()).await {
            Ok(Some(line)) => line,
            Ok(None) => panic!("{} ended before {what}:\n{}", self.name, self.log()),
            Err(_) => panic!("{} did not print {what}:\n{}", self.name, self.log()),
        }
    }

    /// Where its tcp clients go.
    pub(crate) fn tcp(&self) -> String {
        self.first(|_, url| url.starts_with("tcp://"))
    }

    /// The first address of this part.
    pub(crate) fn of_part(&self, part: &str) -> String {
        self.first(|of, _| of == part)
    }

    fn first(&self, wanted: impl Fn(&str, &str) -> bool) -> String {
        let found = self.urls.iter().find(|(part, url)| wanted(part, url));
        found.unwrap_or_else(|| panic!("{} listens at {:?}", self.name, self.urls)).1.trim_end_matches('/').to_owned()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid.try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Kills it (SIGKILL) and returns when it has ended.
    pub(crate) async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// How it ended, once it has.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        match timeout(LIMIT, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("{} does not end:\n{}", self.name, self.log()),
        }
    }

    /// All it printed from now on until it ended, and how it ended.
    pub(crate) async fn finish(mut self) -> (ExitStatus, Vec<String>, String) {
        let status = self.ended().await;
        let mut lines = Vec::new();
        while let Some(line) = self.lines.recv().await {
            lines.push(line);
        }
        let _ = timeout(LIMIT, &mut self.logged).await;
        (status, lines, self.log())
    }

    /// The end of what it logged.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().unwrap().iter().map(|line| format!("  {line}\n")).collect()
    }
}

/// Reads to the end: a full pipe would stop the program.
fn read(
    from: impl AsyncRead + Unpin + Send + 'static,
    mut tell: impl FnMut(String) + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            tell(line);
        }
    })
}
