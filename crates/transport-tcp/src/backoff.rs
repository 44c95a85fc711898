//! How long to wait between attempts.

use std::time::Duration;

use crate::handshake::SessionId;

/// Delays that double from 1 ms to 1 s, each between half of that and all of it, so that many who lost
/// the same peer do not all come back at once. What they are spread by is the session, so that a run can be
/// repeated.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    state: u64,
}

impl Backoff {
    pub(crate) fn new(session: SessionId) -> Self {
        let seed = session.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // Zero would stay zero.
        Self { next: FIRST, state: seed | 1 }
    }

    pub(crate) fn next_delay(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(LAST);
        // xorshift64, Marsaglia 2003.
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let half = full / 2;
        half + half.mul_f64((self.state >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

/// A peer that is being killed may still be connected to, for a moment. Whoever waits for it waits that long.
const FIRST: Duration = Duration::from_millis(1);
const LAST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded(seed: u8) -> Backoff {
        Backoff::new(SessionId([seed; 16]))
    }

    #[test]
    fn delays_double_up_to_a_limit_and_are_spread() {
        for seed in 0..100 {
            let (mut backoff, mut full) = (seeded(seed), FIRST);
            for _ in 0..20 {
                let delay = backoff.next_delay();
                assert!(full / 2 <= delay && delay <= full, "{delay:?} of {full:?}");
                full = (full * 2).min(LAST);
            }
        }
        // Of many that lose one peer at the same time, no tenth of the span sees more than its share twice over.
        let mut tenths = [0; 10];
        for session in 0..1_000_u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&session.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            let mut backoff = Backoff::new(SessionId(id));
            let delay = (0..8).map(|_| backoff.next_delay()).last().unwrap_or_default();
            let full = FIRST * 128;
            let at = (delay - full / 2).as_secs_f64() / (full / 2).as_secs_f64();
            tenths[((at * 10.0) as usize).min(9)] += 1;
        }
        assert!(tenths.iter().all(|n| (50..=200).contains(n)), "{tenths:?}");
    }
}
