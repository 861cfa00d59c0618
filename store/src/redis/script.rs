//! Scripts that run at the server, in one step each.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use due_core::{Error, Kind, Result, Retry};
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    fault,
    line::{Effect, Line},
    settings::Settings,
    target::{Target, bytes},
};

/// Lines for writes that wait for replicas: each such write has one for itself.
const LINES: usize = 4;

/// A script and the name that the server knows it by.
pub(super) struct Script {
    text: &'static str,
    sha: String,
}

impl Script {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, sha: redis::Script::new(text).get_hash().to_owned() }
    }

    fn call(&self, by_name: bool, key: &str, args: &[&[u8]]) -> Cmd {
        let mut call = match by_name {
            true => cmd("EVALSHA"),
            false => cmd("EVAL"),
        };
        call.arg(if by_name { self.sha.as_str() } else { self.text }).arg(1).arg(key);
        for arg in args {
            call.arg(*arg);
        }
        call
    }
}

/// The way to a server: one line, and more for writes that wait for replicas.
pub(super) struct Lines {
    pub(super) line: Line,
    guarded: Option<Guarded>,
}

impl Lines {
    /// Connects, and fails if that is not possible now.
    pub(super) async fn open(target: &Arc<Target>, settings: &Settings) -> Result<Self> {
        let line = Line::open(target.clone()).await?;
        let guarded = match settings.wait_replicas {
            0 => None,
            replicas => Some(Guarded::open(target, replicas, settings.timeout).await?),
        };
        Ok(Self { line, guarded })
    }

    /// Runs a script that writes, and waits for as many replicas as the settings want. The answer is an array; `no` as
    /// its first part says that nothing was written.
    pub(super) async fn write(&self, write: Run<'_>, by: Instant) -> Result<Vec<Value>> {
        match &self.guarded {
            Some(guarded) => guarded.run(write, by).await,
            None => run(&self.line, write, by).await,
        }
    }
}

/// Runs a script that writes; a server that does not know it is told. The answer is an array.
async fn run(line: &Line, run: Run<'_>, by: Instant) -> Result<Vec<Value>> {
    let mut answers = run_with(line, run, None, by).await?;
    array(line, answers.pop_front())
}

/// A script with what it works on.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) script: &'a Script,
    pub(super) key: &'a str,
    pub(super) args: &'a [&'a [u8]],
}

async fn run_with(line: &Line, run: Run<'_>, then: Option<&Cmd>, by: Instant) -> Result<VecDeque<Value>> {
    for by_name in [true, false] {
        let mut requests = Pipeline::new();
        requests.add_command(run.script.call(by_name, run.key, run.args));
        if let Some(then) = then {
            requests.add_command(then.clone());
        }
        let answers = line.ask(&requests, Effect::Repeatable, by).await?;
        let is_unknown = matches!(answers.first(), Some(Value::ServerError(cause)) if cause.code() == "NOSCRIPT");
        if !is_unknown {
            return Ok(answers.into());
        }
    }
    Err(fault::odd("script"))
}

fn array(line: &Line, answer: Option<Value>) -> Result<Vec<Value>> {
    match answer {
        Some(Value::Array(parts)) => Ok(parts),
        Some(Value::ServerError(cause)) => Err(fault::refused(line.target().url(), &cause)),
        _ => Err(fault::odd("script")),
    }
}

/// Writes that are acknowledged when enough replicas have them.
struct Guarded {
    replicas: u32,
    wait: Duration,
    free: Semaphore,
    lines: Mutex<Vec<Line>>,
}

impl Guarded {
    /// Opens the lines; `timeout` is that of one operation.
    async fn open(target: &Arc<Target>, replicas: u32, timeout: Duration) -> Result<Self> {
        let mut lines = Vec::with_capacity(LINES);
        for _ in 0..LINES {
            lines.push(Line::open(target.clone()).await?);
        }
        Ok(Self { replicas, wait: timeout / 2, free: Semaphore::new(LINES), lines: Mutex::new(lines) })
    }

    /// As [`run`], and then waits for the replicas. `no` as first part of the answer says that nothing was written.
    async fn run(&self, run: Run<'_>, by: Instant) -> Result<Vec<Value>> {
        let busy = || Error::new(Kind::Unavailable, "all writes wait for replicas").retry_as(Retry::Safe);
        let permit = tokio::time::timeout_at(by, self.free.acquire()).await;
        let _permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let held = Held { lines: &self.lines, line: self.lines().pop() };
        let line = held.line.as_ref().ok_or_else(busy)?;
        let mut wait = cmd("WAIT");
        wait.arg(self.replicas).arg(self.wait.as_millis() as u64);
        let mut answers = run_with(line, run, Some(&wait), by).await?;
        let parts = array(line, answers.pop_front())?;
        let have = match answers.pop_front() {
            Some(Value::Int(have)) => have,
            _ => 0,
        };
        if parts.first().and_then(bytes) != Some(b"no") && have < i64::from(self.replicas) {
            let why = format!("{have} of {} replicas have it after {:?}", self.replicas, self.wait);
            return Err(fault::unheard(line.target().url(), &why));
        }
        Ok(parts)
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Puts its line back, also when the write is given up half-way.
struct Held<'a> {
    lines: &'a Mutex<Vec<Line>>,
    line: Option<Line>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(line);
        }
    }
}
