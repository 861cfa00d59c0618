//! Slots of futures: used again, and clean after a panic.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use super::fixture::{ADD, Shard};
use crate::handler::{Msg, Routes, State};

/// A future that notes where it stands and answers `n` after `waits` polls; 13 panics instead.
struct Placed {
    n: u32,
    waits: u32,
    seen: Seen,
    alive: Alive,
}

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<usize>>>);

#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

struct Alive(Count);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Future for Placed {
    type Output = u32;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<u32> {
        let this = self.get_mut();
        let place = std::ptr::from_ref(this) as usize;
        this.seen.0.lock().unwrap().push(place);
        assert!(this.n != 13 || this.waits > 0, "thirteen");
        assert!(this.alive.0.0.load(Ordering::SeqCst) > 0);
        match this.waits {
            0 => Poll::Ready(this.n),
            _ => {
                this.waits -= 1;
                Poll::Pending
            }
        }
    }
}

type Both = (Seen, Count);

fn placed(State((seen, count)): State<Both>, Msg(n): Msg<u32>) -> Placed {
    count.0.fetch_add(1, Ordering::SeqCst);
    Placed { n: n % 100, waits: n / 100, seen, alive: Alive(count) }
}

fn shard() -> (Shard, Seen, Count) {
    let both = Both::default();
    (Shard::new(Routes::new().route(ADD, placed).with_state(both.clone())), both.0, both.1)
}

#[test]
fn a_handler_ready_at_its_first_poll_uses_the_slot_of_the_one_before() {
    let (mut shard, seen, count) = shard();
    for n in ["1", "2", "3"] {
        assert_eq!(shard.call(ADD.def(), n).reply(), n);
        assert_eq!(count.0.load(Ordering::SeqCst), 0, "the future is dropped when it ends");
    }
    let seen = seen.0.lock().unwrap();
    assert!(seen.len() == 3 && seen.iter().all(|place| *place == seen[0]), "{seen:?}");
}

#[test]
fn a_slot_that_waited_is_used_again_after_it_was_given_back() {
    let (mut shard, seen, _) = shard();
    let running = shard.wait(ADD.def(), "101");
    assert_eq!(shard.go_on(ADD.def(), running).reply(), "1");
    assert_eq!(shard.call(ADD.def(), "2").reply(), "2");
    let seen = seen.0.lock().unwrap();
    assert!(seen.iter().all(|place| *place == seen[0]), "{seen:?}");
}

#[test]
fn handlers_of_one_route_that_wait_at_the_same_time_do_not_meet() {
    let (mut shard, ..) = shard();
    let one = shard.wait(ADD.def(), "101");
    let two = shard.wait(ADD.def(), "102");
    assert_eq!(shard.call(ADD.def(), "3").reply(), "3");
    assert_eq!(shard.go_on(ADD.def(), two).reply(), "2");
    assert_eq!(shard.go_on(ADD.def(), one).reply(), "1");
}

#[test]
fn a_panic_leaves_no_half_filled_slot() {
    let (mut shard, _, count) = shard();
    assert_eq!(shard.call(ADD.def(), "1").reply(), "1");
    assert!(catch_unwind(AssertUnwindSafe(|| shard.call(ADD.def(), "13"))).is_err());
    assert_eq!(count.0.load(Ordering::SeqCst), 0, "the panicked future is dropped");
    assert_eq!(shard.call(ADD.def(), "2").reply(), "2");
}

#[test]
fn a_panic_after_a_wait_costs_one_request() {
    let (mut shard, _, count) = shard();
    let running = shard.wait(ADD.def(), "113");
    assert!(catch_unwind(AssertUnwindSafe(|| shard.go_on(ADD.def(), running))).is_err());
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    assert_eq!(shard.call(ADD.def(), "2").reply(), "2");
}

#[test]
fn what_waits_and_is_dropped_drops_its_future() {
    let (mut shard, _, count) = shard();
    let running = shard.wait(ADD.def(), "101");
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    drop(running);
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
}
