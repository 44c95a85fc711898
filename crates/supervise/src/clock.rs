//! The one clock of a process: moments for the pure core, from tokio's monotonic clock.

use mesh_core::Timestamp;
use tokio::time::Instant;

/// What waits in a queue, and since when: an age that is told grows while it waits.
#[derive(Clone, Debug)]
pub(crate) struct Queued<T> {
    pub(crate) since: Timestamp,
    pub(crate) item: T,
}

/// Reads time for the machines of one process. Copies agree with each other.
///
/// It is tokio's clock, so that it can be paused in tests; a step of the wall clock does not touch it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The current moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_start(self.start.elapsed())
    }

    /// What is put into a queue now.
    pub(crate) fn queued<T>(&self, item: T) -> Queued<T> {
        Queued { since: self.now(), item }
    }

    /// The instant of a moment, for tokio's timers. A moment too far to be an instant is a year away.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        const YEAR: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);
        self.start.checked_add(at.since_start()).unwrap_or_else(|| Instant::now() + YEAR)
    }
}
