//! Milliseconds since the start, and one timer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) struct Clock {
    start: Instant,
    /// The timer and the moment it is set to.
    timer: Option<(Pin<Box<Sleep>>, u64)>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), timer: None }
    }

    /// The moment now, in ms.
    pub(crate) fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Ready when `moment` has come; pending for ever if there is none. Replaces the moment waited for before.
    pub(crate) fn poll_reached(&mut self, cx: &mut Context<'_>, moment: Option<u64>) -> Poll<()> {
        let Some(moment) = moment else { return Poll::Pending };
        let at = self.start + Duration::from_millis(moment);
        let (timer, set) = self.timer.get_or_insert_with(|| (Box::pin(sleep_until(at)), moment));
        if *set != moment {
            timer.as_mut().reset(at);
            *set = moment;
        }
        timer.as_mut().poll(cx)
    }
}
