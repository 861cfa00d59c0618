//! What every transport does.
//!
//! A bench is one transport and an address to listen at; each case listens anew. [`Faults`] are optional: a case that
//! needs one which the bench cannot play is skipped and reported.

mod ends;
mod faults;
mod flow;
mod link;
#[cfg(feature = "servers")]
mod wire;

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use due_core::{
    Error, Incarnation, InstanceId, Kind, Owner, Result, Url,
    transport::{Acceptor, Batch, Dialer, Head, Link, Listening, Part, Refused, Transport, memory},
};
use tokio::sync::mpsc;

use crate::suite::{self, Case, Ran, Report, case, within};

#[cfg(feature = "servers")]
pub use wire::Wire;

/// What a network does to the links of a bench, on command. Each command has happened when its method returns.
#[async_trait]
pub trait Faults: Send + Sync + 'static {
    /// The address by which the dialer reaches `url`, where the server listens.
    async fn way(&self, url: &Url) -> Url {
        url.clone()
    }

    /// Do links get a lost connection back without a loss?
    fn come_back(&self) -> bool {
        false
    }

    /// From now on nothing that `from` sends arrives at `to`, not even the end of a link, and neither can connect to the
    /// other.
    fn cut(&self, from: &InstanceId, to: &InstanceId);

    /// Ends a cut, both ways: what was held back arrives.
    fn heal(&self, a: &InstanceId, b: &InstanceId);

    /// Resets every connection between the two.
    fn reset(&self, a: &InstanceId, b: &InstanceId);

    /// `id` stops reading.
    fn stall(&self, id: &InstanceId);

    /// `id` reads again.
    fn resume(&self, id: &InstanceId);

    /// Connects to `id` are refused.
    fn refuse(&self, id: &InstanceId);

    /// Connects to `id` are possible again.
    fn welcome(&self, id: &InstanceId);
}

impl Faults for memory::Faults {
    fn cut(&self, from: &InstanceId, to: &InstanceId) {
        self.cut(from, to);
    }

    fn heal(&self, a: &InstanceId, b: &InstanceId) {
        self.heal(a, b);
    }

    fn reset(&self, a: &InstanceId, b: &InstanceId) {
        self.reset(a, b);
    }

    fn stall(&self, id: &InstanceId) {
        self.stall(id);
    }

    fn resume(&self, id: &InstanceId) {
        self.resume(id);
    }

    fn refuse(&self, id: &InstanceId) {
        self.refuse(id);
    }

    fn welcome(&self, id: &InstanceId) {
        self.welcome(id);
    }
}

/// A transport and an address.
#[derive(Clone)]
pub struct Bench {
    /// The transport under test.
    pub transport: Arc<dyn Transport>,
    /// Where to listen: an address that stands for a free one (port 0).
    pub url: Url,
    /// What can go wrong here.
    pub faults: Option<Arc<dyn Faults>>,
}

impl Bench {
    async fn way(&self, url: &Url) -> Url {
        match &self.faults {
            Some(faults) => faults.way(url).await,
            None => url.clone(),
        }
    }
}

/// The bench of the memory transport, with links of 256 KiB.
pub fn memory() -> Result<Bench> {
    let transport = memory::Memory::with_high_water(256 * 1024);
    let faults: Option<Arc<dyn Faults>> = Some(Arc::new(transport.faults()));
    Ok(Bench { transport: Arc::new(transport), url: Url::parse("memory://")?, faults })
}

/// All cases.
pub const CASES: &[Case<Bench>] = &[
    case!(link::frames_keep_their_order_heads_and_bodies),
    case!(link::both_sides_talk_at_once),
    case!(link::a_large_frame_arrives_whole),
    case!(link::a_receive_takes_no_more_than_it_is_told),
    case!(link::received_frames_are_appended),
    case!(flow::a_full_link_takes_nothing_until_there_is_room),
    case!(flow::control_frames_pass_a_full_link_and_are_bounded),
    case!(flow::small_frames_are_not_free),
    case!(flow::links_do_not_disturb_each_other),
    case!(ends::a_dropped_end_ends_the_other_after_what_was_flushed),
    case!(ends::the_acceptor_learns_who_dials),
    case!(ends::nobody_and_somebody_else_are_unavailable),
    case!(ends::a_busy_address_is_a_setting_to_change),
    case!(ends::live_links_stay_when_listening_ends),
    case!(faults::a_cut_holds_back_and_heals_in_order),
    case!(faults::a_cut_is_one_way),
    case!(faults::a_stalled_reader_fills_its_link),
    case!(faults::a_reset_ends_both_ends),
    case!(faults::a_link_that_comes_back_loses_and_repeats_nothing),
    case!(faults::a_refused_connect_is_unavailable),
];

/// Runs all cases.
pub async fn suite<F: Future<Output = Bench>>(make: impl Fn() -> F) -> Result<Report> {
    suite::run(CASES, make).await
}

const SOON: Duration = Duration::from_secs(8);

fn owner(id: &str) -> Owner {
    Owner { id: InstanceId::from(id), incarnation: Incarnation(id.len() as u64) }
}

fn dialer() -> Dialer {
    Dialer { owner: owner("gate-1"), shard: 3 }
}

fn server() -> Owner {
    owner("node-1")
}

/// Hands accepted links to the case.
struct Inbox(mpsc::UnboundedSender<(Dialer, Box<dyn Link>)>);

impl Acceptor for Inbox {
    fn accept(&self, from: Dialer, link: Box<dyn Link>) {
        // The case may be over already.
        let _ = self.0.send((from, link));
    }
}

/// A listening server.
struct Server {
    listening: Listening,
    /// How the dialer reaches it.
    way: Url,
    accepted: mpsc::UnboundedReceiver<(Dialer, Box<dyn Link>)>,
}

impl Server {
    async fn listen(bench: &Bench) -> Result<Self> {
        let (tell, accepted) = mpsc::unbounded_channel();
        let listening = bench.transport.listen(&bench.url, server(), Arc::new(Inbox(tell))).await?;
        let way = bench.way(&listening.url).await;
        Ok(Self { listening, way, accepted })
    }

    /// A link, seen from the dialer and from the server.
    async fn pair(&mut self, bench: &Bench) -> Result<(End, End)> {
        let near = within(SOON, "a link", bench.transport.connect(&self.way, dialer(), &server())).await??;
        let accepted = within(SOON, "the accepted link", self.accepted.recv()).await?;
        let (_, far) = accepted.ok_or_else(|| Error::new(Kind::Gone, "the listener is gone"))?;
        Ok((End::new(near), End::new(far)))
    }
}

/// A server and one link to it.
async fn pair(bench: &Bench) -> Result<(Server, End, End)> {
    let mut server = Server::listen(bench).await?;
    let (near, far) = server.pair(bench).await?;
    Ok((server, near, far))
}

/// One end of a link, with what a shard does around it.
struct End {
    link: Box<dyn Link>,
    batch: Batch,
}

impl End {
    fn new(link: Box<dyn Link>) -> Self {
        Self { link, batch: Batch::default() }
    }

    fn send(&mut self, head: Head, body: &[u8]) -> Result<(), Refused> {
        self.link.send(head, Part::Copy(body))
    }

    fn share(&mut self, head: Head, body: &Bytes) -> Result<(), Refused> {
        self.link.send(head, Part::Shared(body))
    }

    async fn flush(&mut self) -> Result<()> {
        within(SOON, "a flush", poll_fn(|cx| self.link.poll_flush(cx))).await?
    }

    /// Flushes as far as it goes now.
    async fn try_flush(&mut self) -> Result<()> {
        poll_fn(|cx| match self.link.poll_flush(cx) {
            std::task::Poll::Pending => std::task::Poll::Ready(Ok(())),
            ready => ready,
        })
        .await
    }

    async fn is_ready_now(&mut self) -> bool {
        poll_fn(|cx| std::task::Poll::Ready(self.link.poll_ready(cx).is_ready())).await
    }

    /// Waits for room, flushing meanwhile as a shard does.
    async fn ready(&mut self) -> Result<(), Refused> {
        poll_fn(|cx| {
            let _ = self.link.poll_flush(cx);
            self.link.poll_ready(cx)
        })
        .await
    }

    /// Receives at least one frame into the batch, which is cleared before; 0 at the end.
    async fn recv(&mut self, max: usize) -> Result<usize> {
        self.batch.clear();
        within(SOON, "a frame", poll_fn(|cx| self.link.poll_recv(cx, &mut self.batch, max))).await?
    }

    /// Receives `count` frames.
    async fn frames(&mut self, count: usize) -> Result<Vec<(Head, Vec<u8>)>> {
        let mut frames = Vec::new();
        while frames.len() < count {
            if self.recv(64).await? == 0 {
                return Err(Error::new(Kind::Gone, format!("the link ended after {} of {count} frames", frames.len())));
            }
            frames.extend((0..self.batch.len()).filter_map(|i| self.batch.get(i)).map(|(h, b)| (h, b.to_vec())));
        }
        assert_eq!(frames.len(), count);
        Ok(frames)
    }

    /// Receives `count` frames, and goes on with its link as long as the other of two ends waits for its own, as shards
    /// do: what a cut has lost comes again only if somebody sends it. `have_all` counts the ends that have theirs.
    async fn frames_of_two(&mut self, count: usize, have_all: &AtomicU8) -> Result<Vec<(Head, Vec<u8>)>> {
        let frames = self.frames(count).await?;
        have_all.fetch_add(1, Ordering::Relaxed);
        poll_fn(|cx| {
            if have_all.load(Ordering::Relaxed) == 2 {
                // Both are polled by one task: the other one looks again.
                cx.waker().wake_by_ref();
                return std::task::Poll::Ready(());
            }
            self.batch.clear();
            let _ = self.link.poll_recv(cx, &mut self.batch, 64);
            assert_eq!(self.batch.len(), 0, "more than was sent");
            let _ = self.link.poll_flush(cx);
            std::task::Poll::Pending
        })
        .await;
        Ok(frames)
    }

    /// Is there nothing to receive now?
    async fn is_quiet(&mut self) -> bool {
        self.batch.clear();
        poll_fn(|cx| std::task::Poll::Ready(self.link.poll_recv(cx, &mut self.batch, 64).is_pending())).await
    }
}

fn message(lane: u64, seq: i32) -> Head {
    Head { kind: due_core::transport::FrameKind::Message, lane, seq, ..Head::default() }
}

fn refused(refused: Refused) -> Error {
    Error::new(Kind::Full, format!("{refused:?}"))
}
