//! S11: a message from one actor to another, in this process, against channels of tokio.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use bytes::Bytes;
use due::{actor::Actor, handler::Raw, prelude::*};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{mpsc, oneshot},
};

use crate::{
    Fallible,
    contest::progress,
    measure::{cores, pin, pss},
    report::{Figure, Spread},
    stage::{Common, PaceArgs, Stage},
};

/// Messages between two looks at whether the other side keeps up.
const BATCH: usize = 512;

const TELL: Notify<Bytes, Raw> = Notify::new(1, "bench.tell");
const ASK: Call<Bytes, Bytes, Raw> = Call::new(2, "bench.ask");
const DRIVE: Call<u64, u64> = Call::new(3, "bench.drive");

/// Of `s11`.
#[derive(clap::Args)]
pub(crate) struct ActorArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    pace: PaceArgs,
    /// Bytes of a message.
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u16).range(0..=4096))]
    body: u16,
    /// Idle actors to weigh, at most a million.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    actors: u32,
}

/// What a run sends, and how it was measured: messages and the time they took.
type Taken = (u64, Duration);

/// S11.
pub(crate) fn run(args: &ActorArgs) -> Fallible<bool> {
    let pace = args.pace.pace();
    let mut stage = Stage::open("s11", &args.common, Some(pace))?.unpinned();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let body = Bytes::from(vec![7; args.body.into()]);
    let world = runtime.block_on(World::start())?;
    let (time, all) = (pace.measure, &world);
    let runs: [(&str, &dyn Fn() -> Fallible<Taken>); 7] = [
        ("tell in a shard, batches of 512", &|| runtime.block_on(all.in_shard(time, Way::Tell))),
        ("ask in a shard, one at a time", &|| runtime.block_on(all.in_shard(time, Way::Ask))),
        ("tell from another thread, batches of 512", &|| runtime.block_on(all.outside(time, Way::Tell, &body))),
        ("ask from another thread, one at a time", &|| runtime.block_on(all.outside(time, Way::Ask, &body))),
        ("tokio mpsc in a thread, batches of 512", &|| channel_batches(time, &body)),
        ("tokio mpsc with a wake in a thread, a round trip's half", &|| channel_wakes(time, &body, Place::Same)),
        ("tokio mpsc with a wake of a thread, a round trip's half", &|| channel_wakes(time, &body, Place::Other)),
    ];
    let mut taken = vec![Vec::new(); runs.len()];
    for turn in 0..pace.repetitions {
        let mut order: Vec<usize> = (0..runs.len()).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let Some((name, run)) = runs.get(at) else { continue };
            progress(&format!("{name}: {}/{}", turn + 1, pace.repetitions));
            let (messages, elapsed) = run()?;
            let nanos = elapsed.as_nanos() as f64 / messages.max(1) as f64;
            taken.get_mut(at).into_iter().for_each(|all: &mut Vec<f64>| all.push(nanos));
        }
    }
    progress("");
    for ((name, _), nanos) in runs.iter().zip(&taken) {
        stage.figure(Figure::new(*name, "ns", Spread::of(nanos.iter().copied())))?;
    }
    if let [tell, .., wake] = &taken[..] {
        let ratio = Spread::of(tell.iter().zip(wake).map(|(tell, wake)| tell / wake));
        stage.figure(Figure::new("tell in a shard / channel with a wake of a thread", "", ratio).at_most(0.1))?;
    }
    let bytes = runtime.block_on(world.weigh(args.actors))?;
    let name = format!("memory of an idle actor, {} of them", args.actors);
    stage.figure(Figure::new(name, "B", Spread::of([bytes])))?;
    runtime.block_on(world.running.stop(Duration::from_secs(5)))?;
    stage.close()
}

/// How a message is sent.
#[derive(Clone, Copy)]
enum Way {
    Tell,
    Ask,
}

/// Counts what it is told, and sends to its neighbour when it is driven.
struct Counter {
    told: u64,
}

impl Actor for Counter {
    const KIND: &'static str = "bench-counter";
    type Key = u64;
}

/// The one who is driven, and the one it talks to.
const DRIVER: u64 = 1;
const NEIGHBOUR: u64 = 2;

impl Counter {
    fn tell(&mut self, Msg(_): Msg<Bytes>) {
        self.told += 1;
    }

    fn ask(&mut self, Msg(body): Msg<Bytes>) -> Bytes {
        body
    }

    /// Talks to the neighbour for some microseconds (the order without its lowest bit, which says how), and says how many
    /// messages were sent.
    async fn drive(&mut self, cx: Cx<Counter>, Msg(order): Msg<u64>) -> Result<u64, Fault> {
        let (micros, way) = (order >> 1, if order & 1 == 0 { Way::Tell } else { Way::Ask });
        let addr = cx.cluster().actor::<Counter>(&NEIGHBOUR);
        talk(&addr, Duration::from_micros(micros), way, &Bytes::from_static(&[7; 48])).await
    }
}

/// Sends for this long; how many messages.
async fn talk(addr: &Addr<Counter>, time: Duration, way: Way, body: &Bytes) -> Result<u64, Fault> {
    let begin = Instant::now();
    let mut sent = 0;
    while begin.elapsed() < time {
        if matches!(way, Way::Tell) {
            for _ in 1..BATCH {
                addr.tell(TELL, body)?;
            }
            sent += BATCH as u64 - 1;
        }
        // In order behind those before it: when it is answered, they were handled.
        addr.call(ASK, body).await?;
        sent += 1;
    }
    Ok(sent)
}

/// A node with actors, on a shard of its own.
struct World {
    running: Running,
}

impl World {
    async fn start() -> Fallible<Self> {
        let routes = Routes::new()
            .actor_by(TELL, |_| NEIGHBOUR, Counter::tell)
            .actor_by(ASK, |_| NEIGHBOUR, Counter::ask)
            .actor_by(DRIVE, |_| DRIVER, Counter::drive);
        let node = Node::new("bench").routes(routes).actors(|_: u64, _| async { Ok(Counter { told: 0 }) });
        let app = App::new(due::drivers()).shards(Shards::Count(NonZeroUsize::MIN)).with(node);
        Ok(Self { running: app.start().await? })
    }

    /// One actor to another on the same shard.
    async fn in_shard(&self, time: Duration, way: Way) -> Fallible<Taken> {
        let driver = self.running.cluster().actor::<Counter>(&DRIVER).within(time + Duration::from_secs(10));
        let order = (time.as_micros() as u64) << 1 | u64::from(matches!(way, Way::Ask));
        let begin = Instant::now();
        let sent = driver.call(DRIVE, &order).await.map_err(|fault| fault.to_string())?;
        Ok((sent, begin.elapsed()))
    }

    /// A task of tokio to an actor.
    async fn outside(&self, time: Duration, way: Way, body: &Bytes) -> Fallible<Taken> {
        let addr = self.running.cluster().actor::<Counter>(&NEIGHBOUR);
        let body = body.clone();
        let task = tokio::spawn(async move {
            let begin = Instant::now();
            talk(&addr, time, way, &body).await.map(|sent| (sent, begin.elapsed()))
        });
        Ok(task.await?.map_err(|fault| fault.to_string())?)
    }

    /// Bytes of an actor that was asked once and then left alone.
    async fn weigh(&self, count: u32) -> Fallible<f64> {
        let cluster = self.running.cluster();
        let before = pss(std::process::id())?;
        for key in 0..u64::from(count) {
            if key % 10_000 == 0 {
                progress(&format!("{key} of {count} actors are open"));
            }
            cluster.actor::<Counter>(&(key + 10)).call(ASK, &Bytes::new()).await.map_err(|fault| fault.to_string())?;
        }
        progress("");
        Ok(pss(std::process::id())?.saturating_sub(before) as f64 / f64::from(count))
    }
}

/// Where the other end of a channel is.
#[derive(Clone, Copy)]
enum Place {
    Same,
    Other,
}

fn single() -> Fallible<Runtime> {
    Ok(Builder::new_current_thread().build()?)
}

/// Two tasks of one thread; the sender waits after each batch until all was received.
fn channel_batches(time: Duration, body: &Bytes) -> Fallible<Taken> {
    single()?.block_on(async {
        let (tx, mut rx) = mpsc::channel::<(Bytes, Option<oneshot::Sender<()>>)>(1024);
        let receiver = tokio::spawn(async move {
            while let Some((_, last)) = rx.recv().await {
                last.map(|last| last.send(()));
            }
        });
        let (begin, mut sent) = (Instant::now(), 0);
        while begin.elapsed() < time {
            for _ in 1..BATCH {
                tx.send((body.clone(), None)).await?;
            }
            let (last, all) = oneshot::channel();
            tx.send((body.clone(), Some(last))).await?;
            all.await?;
            sent += BATCH as u64;
        }
        let elapsed = begin.elapsed();
        drop(tx);
        receiver.await?;
        Ok((sent, elapsed))
    })
}

/// Two tasks that answer each other: every send wakes the other side.
fn channel_wakes(time: Duration, body: &Bytes, place: Place) -> Fallible<Taken> {
    let (there, mut rx) = mpsc::channel::<Bytes>(1024);
    let (back, mut answers) = mpsc::channel::<Bytes>(1024);
    let echo = async move {
        while let Some(body) = rx.recv().await {
            if back.send(body).await.is_err() {
                return;
            }
        }
    };
    let body = body.clone();
    let ask = async move {
        let (begin, mut sent) = (Instant::now(), 0);
        while begin.elapsed() < time {
            there.send(body.clone()).await?;
            answers.recv().await.ok_or("the other side is gone")?;
            sent += 2;
        }
        Fallible::Ok((sent, begin.elapsed()))
    };
    match place {
        Place::Same => single()?.block_on(async {
            tokio::spawn(echo);
            ask.await
        }),
        Place::Other => {
            let other = on_core(1, echo)?;
            let taken = on_core(0, ask)?.join().map_err(|_| "a thread panicked")?;
            other.join().map_err(|_| "the other thread panicked")?;
            taken
        }
    }
}

/// A thread for a future, on a core of its own where there are as many.
fn on_core<T: Send + 'static>(
    at: usize,
    run: impl Future<Output = T> + Send + 'static,
) -> Fallible<std::thread::JoinHandle<T>> {
    let (runtime, core) = (single()?, cores()?.get(at).copied());
    Ok(std::thread::spawn(move || {
        // Where it cannot be pinned it runs all the same.
        let _ = core.map(pin);
        runtime.block_on(run)
    }))
}
