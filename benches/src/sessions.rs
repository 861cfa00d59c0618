//! A load of clients of the SDK on one event loop, each calling by a clock: for networks that this program has no client
//! of its own for.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use due_sdk::{Client, EventLoop, Raw};
use futures_util::future::try_join_all;
use tokio::{
    runtime::{Builder, Runtime},
    time::{MissedTickBehavior, interval_at},
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
    body: usize,
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
                // Without a hello: kcp-go knows none.
                let builder = Client::builder(&url).hello(false).timeout(ANSWER_LIMIT).on(&event_loop);
                clients.extend(try_join_all((0..wanted).map(|_| builder.clone().connect())).await?);
            }
            Fallible::Ok(clients)
        })?;
        Ok(Self { clients, body, rate, runtime, _shim: shim })
    }
}

impl Drive for Sessions {
    /// Calls that go out late because the process is busy count as late: latency is from the tick. Every answer is waited
    /// for and checked, and counts for latency; the rate is that of answers that came within `time`.
    fn drive(&mut self, time: Duration) -> Fallible<Outcome> {
        let begin = Instant::now();
        let told =
            Arc::new(Told { end: begin + time, latency: Mutex::new(Histogram::new()), within: AtomicU64::new(0) });
        let period = Duration::from_secs_f64(1.0 / self.rate);
        self.runtime.block_on(async {
            let count = self.clients.len().max(1) as f64;
            let all: Vec<_> = (0_u32..)
                .zip(&self.clients)
                .map(|(place, client)| {
                    // Nobody's clients tick together.
                    let first = begin + period.mul_f64(f64::from(place) / count);
                    let session = Session { client: client.clone(), place, body: self.body, told: told.clone() };
                    tokio::spawn(session.call(first, period))
                })
                .collect();
            for one in all {
                one.await??;
            }
            Fallible::Ok(())
        })?;
        let Told { latency, within, .. } = Arc::into_inner(told).ok_or("a session goes on")?;
        let latency = latency.into_inner().unwrap_or_else(PoisonError::into_inner);
        // As if those that came later had come at the same rate.
        let elapsed = time.mul_f64(latency.total().max(1) as f64 / within.into_inner().max(1) as f64);
        Ok(Outcome { elapsed, latency })
    }
}

/// What the answers of a stretch add up to.
struct Told {
    end: Instant,
    latency: Mutex<Histogram>,
    /// Answers before the end.
    within: AtomicU64,
}

impl Told {
    fn answered(&self, due: Instant) {
        let now = Instant::now();
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).record((now - due).as_nanos() as u64);
        self.within.fetch_add(u64::from(now <= self.end), Ordering::Relaxed);
    }
}

/// One client and what it sends.
struct Session {
    client: Client,
    place: u32,
    body: usize,
    told: Arc<Told>,
}

impl Session {
    /// A call at each tick until the stretch ends, answers as they come.
    async fn call(self, first: Instant, period: Duration) -> Fallible<()> {
        let mut ticks = interval_at(first.into(), period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut answers = Vec::new();
        for number in 0.. {
            let due = ticks.tick().await.into_std();
            if due >= self.told.end {
                break;
            }
            let body = self.marked(number);
            let (answer, told) = (self.client.call(ECHO, &body), self.told.clone());
            answers.push(tokio::spawn(async move {
                let same = answer.await? == body;
                told.answered(due);
                if same { Ok(()) } else { Err("an answer differs from its request".into()) }
            }));
        }
        for answer in answers {
            let end: Fallible<()> = answer.await?;
            end?;
        }
        Ok(())
    }

    /// A body that no other call of any session has, as far as it is long enough.
    fn marked(&self, number: u32) -> Bytes {
        let mark = self.place.to_be_bytes().into_iter().chain(number.to_be_bytes());
        mark.chain(std::iter::repeat(7)).take(self.body).collect()
    }
}
