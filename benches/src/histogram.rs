//! Latencies in buckets of constant relative width.

/// Buckets for each power of two; their width is at most 1/64 of the value (1.6 %).
const SUB: usize = 1 << SUB_BITS;
const SUB_BITS: u32 = 6;
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUB;

/// Counts of durations in nanoseconds; any `u64` fits. 30 KB, recording is a few instructions.
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Histogram {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, max: 0 }
    }

    /// So many durations that nobody took: all quantiles are 0.
    pub(crate) fn unmeasured(total: u64) -> Self {
        Self { total, ..Self::new() }
    }

    /// Counts one duration.
    pub(crate) fn record(&mut self, nanos: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// The duration that the share `q` (0 to 1) of all does not exceed, in nanoseconds; 0 when nothing was recorded.
    pub(crate) fn quantile(&self, q: f64) -> u64 {
        let rank = ((self.total as f64 * q).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (i, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(i).min(self.max);
            }
        }
        0
    }

    /// The longest one, in nanoseconds.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// How many were recorded.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

fn bucket(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let shift = 63 - value.leading_zeros() - SUB_BITS;
    (shift as usize + 1) * SUB + (value >> shift) as usize - SUB
}

/// The highest value of a bucket.
fn highest(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64;
    }
    let shift = bucket / SUB - 1;
    let lowest = ((SUB + bucket % SUB) as u64) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_gapless_and_narrow() {
        for i in 1..BUCKETS {
            let lowest = highest(i - 1) + 1;
            assert_eq!(bucket(lowest), i);
            assert_eq!(bucket(highest(i)), i);
            assert!(highest(i) - lowest <= lowest / 64, "bucket {i}");
        }
        assert_eq!(highest(BUCKETS - 1), u64::MAX);
    }

    #[test]
    fn quantiles_of_an_even_spread_are_within_the_width() {
        let mut histogram = Histogram::new();
        (1..=100_000).for_each(|v| histogram.record(v));
        for (q, exact) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0), (1.0, 100_000.0)] {
            let found = histogram.quantile(q) as f64;
            assert!((found / exact - 1.0).abs() < 0.017, "{q}: {found}");
        }
        assert_eq!((histogram.total(), histogram.max()), (100_000, 100_000));
    }

    #[test]
    fn an_empty_one_says_zero() {
        assert_eq!(Histogram::new().quantile(0.99), 0);
    }
}
