//! A load of clients of the SDK on one event loop, each calling by a clock: for networks that this program has no client
//! of its own for.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use due_sdk::{Client, EventLoop, Raw};
use futures_util::future::try_join_all;
use tokio::{
    runtime::{Builder, Runtime},
    time::{MissedTickBehavior, interval},
};

use crate::{
    Fallible,
    histogram::Histogram,
    load::{Drive, Outcome},
    shim::Shim,
};

const ECHO: due::core::Call<Bytes, Bytes, Raw> = due::core::Call::new(1, "bench.echo");
/// How long an answer may take on a bad network.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// Clients that connect at the same time.
const AT_ONCE: usize = 100;

/// Sessions behind a network that loses datagrams.
pub(crate) struct Sessions {
    clients: Vec<Client>,
    body: Bytes,
    /// Calls a second of each.
    rate: f64,
    runtime: Runtime,
    _shim: Shim,
}

impl Sessions {
    /// Connects `count` clients over kcp, so many at once that a lost datagram does not hold them all.
    pub(crate) fn connect(to: SocketAddr, count: usize, body: usize, rate: f64, loss: f64) -> Fallible<Self> {
        let shim = Shim::start(to, loss)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let url = format!("kcp://{}", shim.address);
        let clients = runtime.block_on(async {
            let event_loop = EventLoop::start()?;
            let mut clients = Vec::with_capacity(count);
            while clients.len() < count {
                let wanted = AT_ONCE.min(count - clients.len());
                let builder = Client::builder(&url).timeout(ANSWER_LIMIT).on(&event_loop);
                clients.extend(try_join_all((0..wanted).map(|_| builder.clone().connect())).await?);
            }
            Fallible::Ok(clients)
        })?;
        Ok(Self { clients, body: vec![7; body].into(), rate, runtime, _shim: shim })
    }
}

impl Drive for Sessions {
    /// Calls that go out late because the process is busy count as late: latency is from the tick.
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        let latency = Arc::new(Mutex::new(Histogram::new()));
        let begin = Instant::now();
        let period = Duration::from_secs_f64(1.0 / self.rate);
        self.runtime.block_on(async {
            let all: Vec<_> = self
                .clients
                .iter()
                .map(|client| {
                    let (client, body, latency) = (client.clone(), self.body.clone(), latency.clone());
                    tokio::spawn(call(client, body, period, begin + time, latency))
                })
                .collect();
            for one in all {
                one.await??;
            }
            Fallible::Ok(())
        })?;
        let latency = Arc::into_inner(latency).ok_or("a session goes on")?;
        Ok(Outcome { elapsed: begin.elapsed(), latency: latency.into_inner().unwrap_or_else(PoisonError::into_inner) })
    }
}

/// One session: a call at each tick, answers as they come.
async fn call(
    client: Client,
    body: Bytes,
    period: Duration,
    end: Instant,
    latency: Arc<Mutex<Histogram>>,
) -> Fallible<()> {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers = Vec::new();
    loop {
        let due = ticks.tick().await.into_std();
        if due >= end {
            break;
        }
        let (answer, latency, body) = (client.call(ECHO, &body), latency.clone(), body.clone());
        answers.push(tokio::spawn(async move {
            let same = answer.await? == body;
            latency.lock().unwrap_or_else(PoisonError::into_inner).record(due.elapsed().as_nanos() as u64);
            if same { Ok(()) } else { Err("an answer differs from its request".into()) }
        }));
    }
    for answer in answers {
        let end: Fallible<()> = answer.await?;
        end?;
    }
    Ok(())
}
