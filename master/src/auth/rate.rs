//! How often a token may ask.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Buckets by token. There are as many as valid tokens, at most so many.
const MOST: usize = 4096;

/// A bucket for each token: it holds `burst` requests and gets `per_second` of them back.
pub(crate) struct Rates {
    per_second: f64,
    burst: f64,
    buckets: Mutex<HashMap<String, (f64, Instant)>>,
}

impl Rates {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, burst: per_second * 2.0, buckets: Mutex::default() }
    }

    /// Takes one request out of the bucket; `false`: it is empty.
    pub(crate) fn take(&self, who: &str) -> bool {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST && !buckets.contains_key(who) {
            let full = Duration::from_secs_f64(self.burst / self.per_second);
            buckets.retain(|_, (_, at)| now.duration_since(*at) < full);
            if buckets.len() >= MOST {
                return false;
            }
        }
        let (left, at) = buckets.entry(who.to_owned()).or_insert((self.burst, now));
        *left = (*left + now.duration_since(*at).as_secs_f64() * self.per_second).min(self.burst);
        *at = now;
        let free = *left >= 1.0;
        *left -= if free { 1.0 } else { 0.0 };
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_is_empty_after_its_burst_and_fills_with_time_and_for_its_token_alone() {
        let rates = Rates::new(5);
        assert_eq!((0..12).filter(|_| rates.take("a")).count(), 10);
        assert!(rates.take("b"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..12).filter(|_| rates.take("a")).count(), 5);
    }
}
