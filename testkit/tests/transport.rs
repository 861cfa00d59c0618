//! The memory transport passes the suite, wakes no more than it must, and loses no wake between threads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
};

use due_core::{
    Incarnation, Owner, Url,
    transport::{Acceptor, Batch, Dialer, Head, Link, Part, Refused, Transport, memory::Memory},
};
use due_testkit::transport;

#[tokio::test(start_paused = true)]
async fn memory_does_what_every_transport_does() {
    let report = transport::suite(|| async { transport::memory().unwrap() }).await.unwrap();
    let skipped: Vec<_> = report.skipped.iter().map(|(case, _)| *case).collect();
    assert_eq!(skipped, ["a_link_that_comes_back_loses_and_repeats_nothing"]);
    assert_eq!(report.passed.len() + 1, transport::CASES.len());
}

#[tokio::test]
async fn a_cut_holds_back_what_was_flushed_before() {
    let memory = Memory::default();
    let url = Url::parse("memory://pair").unwrap();
    let owner = |id: &str| Owner { id: id.into(), incarnation: Incarnation(1) };
    let (tell, told) = mpsc::channel();
    let _listening = memory.listen(&url, owner("node"), Arc::new(Tell(tell))).await.unwrap();
    let mut near = memory.connect(&url, Dialer { owner: owner("gate"), shard: 0 }, &owner("node")).await.unwrap();
    let (mut far, mut cx) = (told.recv().unwrap(), Context::from_waker(Waker::noop()));
    near.send(head(1), Part::Copy(b"flushed")).unwrap();
    assert!(near.poll_flush(&mut cx).is_ready());
    memory.faults().cut(&owner("gate").id, &owner("node").id);
    let mut batch = Batch::default();
    assert!(far.poll_recv(&mut cx, &mut batch, 64).is_pending());
    memory.faults().heal(&owner("gate").id, &owner("node").id);
    assert!(far.poll_recv(&mut cx, &mut batch, 64).is_ready() && batch.len() == 1);
}

struct Tell(mpsc::Sender<Box<dyn Link>>);

impl Acceptor for Tell {
    fn accept(&self, _: Dialer, link: Box<dyn Link>) {
        self.0.send(link).unwrap();
    }
}

async fn pair(high: usize) -> (Box<dyn Link>, Box<dyn Link>) {
    let memory = Memory::with_high_water(high);
    let url = Url::parse("memory://pair").unwrap();
    let owner = |id: &str| Owner { id: id.into(), incarnation: Incarnation(1) };
    let (tell, told) = mpsc::channel();
    let _listening = memory.listen(&url, owner("node"), Arc::new(Tell(tell))).await.unwrap();
    let near = memory.connect(&url, Dialer { owner: owner("gate"), shard: 0 }, &owner("node")).await.unwrap();
    (near, told.recv().unwrap())
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn head(seq: i32) -> Head {
    Head { lane: 1, seq, ..Head::default() }
}

#[tokio::test]
async fn a_flush_wakes_the_other_side_at_most_once() {
    let (mut near, mut far) = pair(1 << 20).await;
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let (mut reader, mut cx) = (Context::from_waker(&waker), Context::from_waker(Waker::noop()));
    let mut batch = Batch::default();
    for turn in 1..=10 {
        assert!(far.poll_recv(&mut reader, &mut batch, 64).is_pending());
        for seq in 0..20 {
            near.send(head(seq), Part::Copy(b"frame")).unwrap();
        }
        assert_eq!(woken.0.load(Ordering::SeqCst), turn - 1, "not before the flush");
        for _ in 0..3 {
            assert!(near.poll_flush(&mut cx).is_ready());
            near.send(head(0), Part::Copy(b"late")).unwrap();
        }
        assert_eq!(woken.0.load(Ordering::SeqCst), turn);
        assert!(near.poll_flush(&mut cx).is_ready());
        batch.clear();
        assert!(far.poll_recv(&mut reader, &mut batch, 64).is_ready());
        assert_eq!(batch.len(), 23);
        batch.clear();
    }
}

#[tokio::test]
async fn a_writer_is_woken_once_below_the_low_mark() {
    let (mut near, mut far) = pair(100_000).await;
    let woken = Arc::new(Count::default());
    let waker = Waker::from(woken.clone());
    let (mut writer, mut cx) = (Context::from_waker(&waker), Context::from_waker(Waker::noop()));
    let mut sent = 0;
    while near.send(head(sent), Part::Copy(&[0; 1000])).is_ok() {
        sent += 1;
    }
    assert!(near.poll_flush(&mut cx).is_ready() && near.poll_ready(&mut writer).is_pending());
    let mut batch = Batch::default();
    for received in 1..=sent {
        batch.clear();
        assert!(far.poll_recv(&mut cx, &mut batch, 1).is_ready());
        let low = received > sent / 2;
        assert_eq!(woken.0.load(Ordering::SeqCst), usize::from(low), "{received} of {sent}");
    }
    assert!(near.poll_ready(&mut writer).is_ready());
}

#[tokio::test]
async fn buffers_go_round_instead_of_growing() {
    let (mut near, mut far) = pair(1 << 20).await;
    let mut cx = Context::from_waker(Waker::noop());
    let mut batch = Batch::default();
    let mut seen = std::collections::HashSet::new();
    for turn in 0..1000 {
        for seq in 0..20 {
            near.send(head(seq), Part::Copy(&[7; 100])).unwrap();
        }
        assert!(near.poll_flush(&mut cx).is_ready());
        batch.clear();
        assert!(far.poll_recv(&mut cx, &mut batch, 64).is_ready());
        if turn >= 10 {
            seen.insert((batch.bytes.as_ptr() as usize, batch.bytes.capacity()));
        }
    }
    assert!(seen.len() <= 4, "the same few buffers: {}", seen.len());
}

/// Frames flow both ways between two threads over a link that is nearly always full: a lost wake would stop it for ever.
#[test]
fn no_wake_is_lost_between_two_threads() {
    const FRAMES: i32 = 30_000;
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (near, far) = runtime().block_on(pair(4096));
    let threads = [near, far].map(|link| std::thread::spawn(move || runtime().block_on(exchange(link, FRAMES))));
    for thread in threads {
        assert_eq!(thread.join().unwrap(), FRAMES);
    }
}

/// Sends and receives `frames` frames and says how many came in order.
async fn exchange(mut link: Box<dyn Link>, frames: i32) -> i32 {
    let (mut sent, mut seen, mut batch) = (0, 0, Batch::default());
    poll_fn(|cx| {
        loop {
            let before = (sent, seen);
            while sent < frames {
                match link.send(head(sent), Part::Copy(&[0; 50])) {
                    Ok(()) => sent += 1,
                    Err(Refused::Full) => break,
                    Err(refused @ (Refused::Gone | Refused::TooLarge)) => panic!("{refused:?}"),
                }
            }
            assert!(link.poll_flush(cx).is_ready());
            if sent < frames && link.poll_ready(cx).is_ready() {
                continue;
            }
            batch.clear();
            if seen < frames && link.poll_recv(cx, &mut batch, 16).is_ready() {
                for at in 0..batch.len() {
                    assert_eq!(batch.get(at).unwrap().0.seq, seen);
                    seen += 1;
                }
            }
            match (sent, seen) {
                done if done == (frames, frames) => return Poll::Ready(seen),
                now if now == before => return Poll::Pending,
                _ => {}
            }
        }
    })
    .await;
    // The other side may still read.
    poll_fn(|cx| link.poll_flush(cx)).await.unwrap();
    while poll_fn(|cx| Poll::Ready(link.poll_ready(cx).is_pending())).await {
        std::thread::yield_now();
    }
    seen
}
