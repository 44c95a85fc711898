//! When connections on which nothing is said ask whether the other side is there: many of them together, so that who asks
//! is woken once for them, and who is asked, where others want the processor, mostly once for all of its own.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use mesh_core::ProcId;
use tokio::time::Instant;

/// The moments at which a transport asks one peer, as far as it can choose them.
///
/// All connections to a peer have the same: what is asked on all lanes is there when it has a processor. One that sleeps on
/// an idle machine is woken by the first, and again by the next. Those to many peers have one of [`PHASES`], so that the
/// timers of whoever asks thousands go off that often in a period, and they are not all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rhythm {
    began: Instant,
    every: Duration,
    /// In parts of a period.
    phase: u8,
}

impl Rhythm {
    pub(crate) fn new(began: Instant, every: Duration, peer: ProcId) -> Self {
        // Any peer has one, and the same each time.
        let mut hasher = DefaultHasher::new();
        peer.hash(&mut hasher);
        Self { began, every, phase: (hasher.finish() % u64::from(PHASES)) as u8 }
    }

    /// How long to wait until something is said, where something was said now: no longer than a period, and half of it
    /// at least.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let period = u64::try_from(self.every.as_nanos()).unwrap_or(u64::MAX).max(1);
        let offset = u128::from(period / u64::from(PHASES) * u64::from(self.phase));
        let passed = now.saturating_duration_since(self.began).as_nanos() + offset;
        let until = period - (passed % u128::from(period)) as u64;
        // Where that is too soon, a little less than a period: so it is not from the third time on.
        let wait = if until < period.div_ceil(2) { (period / 8 * 5).max(1) } else { until };
        Duration::from_nanos(wait)
    }
}

/// How often somebody is asked in a period.
const PHASES: u8 = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVERY: Duration = Duration::from_millis(200);

    fn peer(number: u128) -> ProcId {
        ProcId::from_random(number)
    }

    /// When it is asked next, and then: each time within a millisecond, as timers are.
    fn asked(rhythm: &Rhythm, mut now: Instant, lates: &[u64]) -> Vec<Instant> {
        let ask = |late: &u64| {
            now += rhythm.wait(now) + Duration::from_micros(*late);
            now
        };
        lates.iter().map(ask).collect()
    }

    proptest! {
        /// However they began: the third time at last they are asked in the same millisecond, and each time in time.
        #[test]
        fn all_connections_to_a_peer_come_together(
            number: u128,
            begins in prop::collection::vec(0..10_000_000_u64, 2..5),
            lates in prop::collection::vec(0..1_000_u64, 4),
        ) {
            let began = Instant::now();
            let rhythm = Rhythm::new(began, EVERY, peer(number));
            let mut last = Vec::new();
            for begin in begins {
                let mut before = began + Duration::from_micros(begin);
                for at in asked(&rhythm, before, &lates) {
                    let waited = at - before;
                    prop_assert!(waited >= EVERY / 2, "{waited:?}");
                    prop_assert!(waited <= EVERY + Duration::from_millis(1), "{waited:?}");
                    before = at;
                }
                let since = before - began;
                last.push((since.as_nanos() % EVERY.as_nanos()) / 1_000_000);
            }
            prop_assert!(last.windows(2).all(|two| two[0].abs_diff(two[1]) <= 1), "{last:?}");
        }

        /// Nor does anything overflow.
        #[test]
        fn any_period_will_do(nanos: u64, secs: u64, number: u128, passed: u32) {
            let began = Instant::now();
            let every = Duration::new(secs, (nanos % 1_000_000_000) as u32);
            let rhythm = Rhythm::new(began, every, peer(number));
            let wait = rhythm.wait(began + Duration::from_secs(u64::from(passed)));
            prop_assert!(wait <= every.max(Duration::from_nanos(1)), "{wait:?} of {every:?}");
        }
    }

    #[test]
    fn many_peers_are_asked_at_few_moments_and_not_all_at_one() {
        let began = Instant::now();
        let of =
            |number| asked(&Rhythm::new(began, EVERY, peer(number)), began, &[0; 4])[3] - began;
        let mut moments: Vec<_> =
            (0..1_000).map(|number| of(number).as_nanos() % EVERY.as_nanos()).collect();
        moments.sort_unstable();
        let most = moments.chunk_by(|a, b| a == b).map(<[_]>::len).max();
        moments.dedup();
        assert_eq!(moments.len(), usize::from(PHASES));
        assert!(most < Some(200), "{most:?}");
    }
}
