//! A load of calls between servers: many callers in this process share its links to another one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use due::{handler::Raw, prelude::*};
use tokio::runtime::{Builder, Runtime};

use crate::{
    Fallible,
    histogram::Histogram,
    load::{Drive, Outcome},
};

/// The call that `serve` answers.
const ECHO: Call<Bytes, Bytes, Raw> = Call::new(1, "bench.echo");
/// How long the two processes may take to find each other.
const MEET_LIMIT: Duration = Duration::from_secs(10);
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(50);

/// Callers that ask one thing after the other, each waiting for its answer.
pub(crate) struct Calls {
    runtime: Runtime,
    /// Taken by the drop.
    running: Option<Running>,
    cluster: Cluster,
    callers: usize,
    body: Bytes,
}

impl Calls {
    /// Joins the cluster whose home is `home`, over links of this scheme, and waits until calls are answered.
    pub(crate) fn join(scheme: &str, home: &str, callers: usize, body: usize) -> Fallible<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let peer = format!("peer://{home}");
        let app = App::new(due::drivers())
            .shards(Shards::Count(std::num::NonZeroUsize::MIN))
            .registry(peer.as_str())
            .locator(peer.as_str())
            .eventbus(peer.as_str())
            .transport(format!("{scheme}://127.0.0.1:0").as_str())
            .with(Node::new("caller"));
        let running = runtime.block_on(app.start())?;
        let cluster = running.cluster().clone();
        let calls = Self { runtime, running: Some(running), cluster, callers, body: vec![7; body].into() };
        calls.runtime.block_on(meet(&calls.cluster, &calls.body))?;
        Ok(calls)
    }
}

async fn meet(cluster: &Cluster, body: &Bytes) -> Fallible<()> {
    let begin = Instant::now();
    loop {
        match cluster.call(ECHO, body).await {
            Ok(_) => return Ok(()),
            Err(fault) if begin.elapsed() > MEET_LIMIT => return Err(format!("no call is answered: {fault}").into()),
            Err(_) => tokio::time::sleep(BETWEEN_QUESTIONS).await,
        }
    }
}

impl Drive for Calls {
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        let latency = Arc::new(Mutex::new(Histogram::new()));
        let begin = Instant::now();
        self.runtime.block_on(async {
            let callers: Vec<_> = (0..self.callers)
                .map(|_| {
                    let (cluster, body, latency) = (self.cluster.clone(), self.body.clone(), latency.clone());
                    tokio::spawn(async move { call(&cluster, &body, begin + time, &latency).await })
                })
                .collect();
            for caller in callers {
                caller.await?.map_err(|fault| fault.to_string())?;
            }
            Fallible::Ok(())
        })?;
        let latency = Arc::into_inner(latency).ok_or("a caller goes on")?;
        Ok(Outcome { elapsed: begin.elapsed(), latency: latency.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }
}

/// One caller, until the end.
async fn call(cluster: &Cluster, body: &Bytes, end: Instant, latency: &Mutex<Histogram>) -> Result<(), Fault> {
    loop {
        let asked = Instant::now();
        if asked >= end {
            return Ok(());
        }
        let answer = cluster.call(ECHO, body).await?;
        if answer != *body {
            return Err(Fault::new(Code::BAD_REQUEST, "an answer differs from its request"));
        }
        let nanos = asked.elapsed().as_nanos() as u64;
        latency.lock().unwrap_or_else(PoisonError::into_inner).record(nanos);
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // A cluster that is left late is left all the same.
            let _ = self.runtime.block_on(running.stop(Duration::from_secs(2)));
        }
    }
}
