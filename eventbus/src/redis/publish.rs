//! What is published, in the order of the calls: one batch after the other, each as large as what has come meanwhile.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicUsize, Ordering},
};

use due_core::{
    Error, Kind, Result, Url,
    bus::{Confirm, Receipt},
};
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{fault, line::Line, settings::Settings};

/// Publishes that wait, and their bytes.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 32 * 1024 * 1024;
/// Publishes of one batch, and the bytes after which no more join.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;

/// Makes a receipt of an answer.
pub(super) type Read = fn(&Value) -> Option<Receipt>;

pub(super) struct Publisher {
    line: Arc<Line>,
    jobs: mpsc::Sender<Job>,
    waiting: Arc<AtomicUsize>,
    read: Read,
}

struct Job {
    request: Cmd,
    weight: Weight,
    tell: oneshot::Sender<Result<Value>>,
}

/// Counts the bytes of a publish for as long as it waits.
struct Weight {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Publisher {
    /// `script` is what unknown scripts are.
    pub(super) fn new(line: Arc<Line>, settings: &Settings, script: Option<&'static str>, read: Read) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let url = line.url().clone();
        let work = Work { line: Arc::downgrade(&line), timeout: settings.timeout, script, url };
        tokio::spawn(work.run(queue));
        Self { line, jobs, waiting: Arc::default(), read }
    }

    /// Takes its place behind all earlier ones.
    pub(super) fn send(&self, request: Cmd, bytes: usize) -> Result<Confirm> {
        self.line.check_up()?;
        let full = || Error::new(Kind::Full, "too much waits to be published");
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let weight = Weight { bytes, waiting: self.waiting.clone() };
        if before > 0 && before + bytes > QUEUE_BYTES {
            return Err(full());
        }
        let (tell, told) = oneshot::channel();
        self.jobs.try_send(Job { request, weight, tell }).map_err(|_| full())?;
        let read = self.read;
        Ok(Box::pin(async move {
            let gone = || Error::new(Kind::Timeout, "the event bus was closed meanwhile");
            let answer = told.await.map_err(|_| gone())??;
            read(&answer).ok_or_else(|| fault::odd("publish"))
        }))
    }
}

struct Work {
    line: Weak<Line>,
    timeout: std::time::Duration,
    script: Option<&'static str>,
    url: Url,
}

impl Work {
    async fn run(self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.recv().await {
            let mut bytes = first.weight.bytes;
            let mut batch = vec![first];
            while batch.len() < BATCH && bytes < BATCH_BYTES {
                let Ok(job) = queue.try_recv() else { break };
                bytes += job.weight.bytes;
                batch.push(job);
            }
            let Some(line) = self.line.upgrade() else { return };
            self.publish(&line, batch).await;
        }
    }

    async fn publish(&self, line: &Line, batch: Vec<Job>) {
        let by = Instant::now() + self.timeout;
        let mut requests = Pipeline::new();
        batch.iter().for_each(|job| _ = requests.add_command(job.request.clone()));
        let mut answers = line.ask(&requests, by).await;
        if let (Ok(known), Some(script)) = (&answers, self.script)
            && known.iter().any(is_unknown)
        {
            answers = again((line, by), &batch, answers.unwrap_or_default(), script).await;
        }
        match answers {
            Ok(answers) => {
                for (job, answer) in batch.into_iter().zip(answers) {
                    let outcome = match answer {
                        Value::ServerError(cause) => Err(fault::refused(&self.url, &cause)),
                        answer => Ok(answer),
                    };
                    let _ = job.tell.send(outcome);
                }
            }
            Err(error) => {
                for job in batch {
                    let told = Error::new(error.kind(), error.text().to_owned()).retry_as(error.retry());
                    let _ = job.tell.send(Err(told.context("url", &self.url)));
                }
            }
        }
    }
}

fn is_unknown(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(cause) if cause.code() == "NOSCRIPT")
}

/// Tells a server that has forgotten the script, and asks for what it did not do.
async fn again(
    (line, by): (&Line, Instant),
    batch: &[Job],
    mut answers: Vec<Value>,
    script: &'static str,
) -> Result<Vec<Value>> {
    let mut load = cmd("SCRIPT");
    load.arg("LOAD").arg(script);
    let mut requests = Pipeline::new();
    requests.add_command(load);
    for (job, _) in batch.iter().zip(&answers).filter(|(_, answer)| is_unknown(answer)) {
        requests.add_command(job.request.clone());
    }
    let mut second = line.ask(&requests, by).await?.into_iter().skip(1);
    for answer in answers.iter_mut().filter(|answer| is_unknown(answer)) {
        *answer = second.next().unwrap_or(Value::Nil);
    }
    Ok(answers)
}
