//! A process group, and the watchdog that outlives whoever started it.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::Result;

/// Waits for the end of its input, which is the end of the process that holds the other end, however it ended.
/// `PR_SET_PDEATHSIG` would do with the thread that started the server, which is a worker that comes and goes.
const WATCHDOG: &str = r#"read -r _; kill -s KILL -- "-$1"; rm -rf -- "$2""#;

/// How long a server may take to end when asked.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server and all processes it started.
pub(crate) struct Group {
    leader: Child,
    watchdog: Option<Child>,
}

impl Group {
    /// Starts the command as the leader of a new group, with its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let output = || File::options().create(true).append(true).open(log);
        let mut spawn = || command.stdin(Stdio::null()).stdout(output()?).stderr(output()?).process_group(0).spawn();
        let leader = spawn().map_err(|e| format!("cannot start {name}: {e}"))?;
        Ok(Self { leader, watchdog: None })
    }

    /// From now on the group ends, and `folder` goes, when this process ends.
    pub(crate) fn watched(mut self, folder: &Path) -> Result<Self> {
        let mut sh = Command::new("sh");
        sh.args(["-c", WATCHDOG, "watchdog", &self.leader.id().to_string()]).arg(folder).process_group(0);
        // Nothing of the terminal or pipe of the test: it would be kept open after the test's end.
        let watchdog = sh.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match watchdog {
            Ok(child) => self.watchdog = Some(child),
            Err(e) => {
                self.kill();
                return Err(format!("cannot start sh: {e}"));
            }
        }
        Ok(self)
    }

    /// From now on the group stays when this process ends, and when this value goes.
    pub(crate) fn release(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.leader.id()
    }

    /// How the leader ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.leader.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Ends all processes of the group at once and reaps the leader. The second time does nothing.
    pub(crate) fn kill(&mut self) {
        if self.leader.try_wait().is_ok_and(|ended| ended.is_some()) && self.watchdog.is_none() {
            return;
        }
        self.signal(Signal::KILL);
        let _ = self.leader.wait();
        self.release();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // A group that has ended is no error: the caller wanted it to or will find out.
        let _ = signal_group(self.leader.id(), signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.watchdog.is_some() {
            self.kill();
        }
    }
}

/// A process as it can be found again: a number is used again, a number with its start time is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Number of the process, and of the group it leads.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    pub started: u64,
}

impl Alive {
    /// The process of this number, unless it has ended. One that has ended and waits for its parent has ended.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold spaces.
        let mut words = stat.rsplit_once(')')?.1.split_whitespace();
        let state = words.next()?;
        let started = words.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Self { pid, started })
    }

    /// Whether this very process still runs.
    #[must_use]
    pub fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Asks the group of a process to end, waits up to 20 s, then kills it. One that has ended is left alone.
///
/// # Errors
/// When it cannot be signalled, or does not end.
pub fn stop(process: Alive) -> Result {
    if !process.runs() {
        return Ok(());
    }
    for signal in [Signal::TERM, Signal::KILL] {
        if !process.runs() {
            break;
        }
        signal_group(process.pid, signal).map_err(|e| format!("cannot stop the process {}: {e}", process.pid))?;
        let begin = Instant::now();
        while process.runs() && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(20));
        }
    }
    if process.runs() {
        return Err(format!("the process {} does not end", process.pid));
    }
    // Whom its leader left behind. None is no error.
    let _ = signal_group(process.pid, Signal::KILL);
    Ok(())
}

fn signal_group(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process_group(pid, signal)?)
}
