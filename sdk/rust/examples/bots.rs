//! Connects many bots from one process and prints what one costs:
//! `cargo run --release -p due-sdk --example bots -- tcp://127.0.0.1:3553 10000 1 10`
//! for 10,000 bots on one event loop, each of which makes 10 calls. The server echoes, as the example `echo` does.
//! More bots than files may be open need a higher limit first: `ulimit -n`.

use std::{
    env,
    error::Error,
    io::{Write, stdout},
    time::Instant,
};

use bytes::Bytes;
use due_core::Call;
use due_sdk::{Builder, Client, EventLoop, Raw};
use futures_util::{StreamExt, stream};

const ECHO: Call<Bytes, Bytes, Raw> = Call::new(1, "echo");
/// Bots that connect at the same time.
const AT_ONCE: usize = 200;

/// What the command line asks for.
struct Order {
    url: String,
    bots: usize,
    loops: usize,
    calls: usize,
}

impl Order {
    fn read() -> Result<Self, Box<dyn Error>> {
        let mut words = env::args().skip(1);
        let url = words.next().unwrap_or_else(|| "tcp://127.0.0.1:3553".to_owned());
        let mut number = |otherwise: usize| words.next().map_or(Ok(otherwise), |word| word.parse());
        Ok(Self { url, bots: number(1000)?, loops: number(1)?.max(1), calls: number(10)? })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let order = Order::read()?;
    let loops = (0..order.loops).map(|_| EventLoop::start()).collect::<Result<Vec<_>, _>>()?;
    let builder = Client::builder(&order.url);
    // The first takes what all share.
    drop(builder.clone().connect().await?);

    let (before, start) = (resident(), Instant::now());
    let bots = connect(&builder, &loops, order.bots).await?;
    let took = start.elapsed();
    writeln!(stdout(), "{} bots connected in {took:.2?}", bots.len())?;
    if let (Some(before), Some(after)) = (before, resident()) {
        writeln!(stdout(), "{} bytes of memory for each idle bot", after.saturating_sub(before) / bots.len().max(1))?;
    }
    let start = Instant::now();
    let answered = play(&bots, order.calls).await?;
    let rate = answered as f64 / start.elapsed().as_secs_f64();
    writeln!(stdout(), "{answered} calls answered, {rate:.0} a second")?;
    futures_util::future::join_all(bots.iter().map(Client::close)).await;
    Ok(())
}

async fn connect(builder: &Builder, loops: &[EventLoop], bots: usize) -> Result<Vec<Client>, due_core::Error> {
    let opening = loops.iter().cycle().take(bots).map(|on| builder.clone().on(on).connect());
    let opened: Vec<_> = stream::iter(opening).buffer_unordered(AT_ONCE).collect().await;
    opened.into_iter().collect()
}

/// All bots call at once, again and again.
async fn play(bots: &[Client], rounds: usize) -> Result<usize, due_sdk::CallError> {
    let body = Bytes::from_static(b"ping");
    for _ in 0..rounds {
        let answers: Vec<_> = bots.iter().map(|bot| bot.call(ECHO, &body)).collect();
        for answer in answers {
            answer.await?;
        }
    }
    Ok(bots.len() * rounds)
}

/// Memory of this process in bytes, where the system tells.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: usize = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}
