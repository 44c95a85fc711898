//! How long it takes until the peer has answered: [`RoundTrip`].

use tokio::time::Instant;

use crate::metrics::SessionMetrics;

/// Times one envelope until it is acknowledged, and then none for some writes; and each question until it is
/// answered.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    /// When the first of the envelopes before this number went out that are timed.
    timed: Option<(u64, Instant)>,
    asked: Option<Instant>,
    n_writes: u32,
}

impl RoundTrip {
    /// All envelopes before this number have gone out.
    pub(crate) fn wrote(&mut self, next: u64) {
        if self.timed.is_none() {
            if self.n_writes.is_multiple_of(TIMED_ONE_IN) {
                self.timed = Some((next, Instant::now()));
            }
            self.n_writes = self.n_writes.wrapping_add(1);
        }
    }

    /// All envelopes before this number have arrived.
    pub(crate) fn acknowledged(&mut self, first_unacked: u64, metrics: &SessionMetrics) {
        if let Some((_, since)) = self.timed.take_if(|(next, _)| *next <= first_unacked) {
            metrics.round_trip(since.elapsed());
        }
    }

    /// The peer is asked whether it is there.
    pub(crate) fn asked(&mut self) {
        self.asked.get_or_insert_with(Instant::now);
    }

    /// It says that it is.
    pub(crate) fn answered(&mut self, metrics: &SessionMetrics) {
        if let Some(since) = self.asked.take() {
            metrics.round_trip(since.elapsed());
        }
    }
}

/// Of so many writes one is timed.
const TIMED_ONE_IN: u32 = 16;
