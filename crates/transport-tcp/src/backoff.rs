//! How long to wait between attempts.

use std::time::Duration;

/// Delays that double from 1 ms to 1 s, each between half of that and all of it, so that many who lost
/// the same peer do not all come back at once. Endless. The seed comes in, so that a run can be repeated.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    state: u64,
}

impl Backoff {
    pub(crate) const fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Self { next: FIRST, state: seed | 1 }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let full = self.next;
        self.next = (full * 2).min(LAST);
        // xorshift64, Marsaglia 2003.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let half = full / 2;
        Some(half + half.mul_f64((self.state >> 11) as f64 / (1_u64 << 53) as f64))
    }
}

/// A peer that is being killed may still be connected to, for a moment. Whoever waits for it waits that long.
const FIRST: Duration = Duration::from_millis(1);
const LAST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_limit_and_are_spread() {
        for seed in 0..100 {
            let mut full = FIRST;
            for delay in Backoff::new(seed).take(20) {
                assert!(full / 2 <= delay && delay <= full, "{delay:?} of {full:?}");
                full = (full * 2).min(LAST);
            }
        }
        let first = |seed| Backoff::new(seed).nth(5);
        assert_ne!(first(2), first(4));
    }
}
