//! Time as an argument: moments of a monotonic clock that somebody else reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, as the time since an arbitrary start that all moments of one clock share.
///
/// The clock is monotonic and belongs to one process or one machine; moments of different clocks
/// must never be compared. What crosses a wire is an age (a [`Duration`]), never a moment.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mesh_core::Timestamp;
///
/// let start = Timestamp::from_start(Duration::from_secs(5));
/// let later = start + Duration::from_secs(2);
/// assert_eq!(later.since(start), Duration::from_secs(2));
/// assert_eq!(start.since(later), Duration::ZERO, "never negative");
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(Duration);

impl Timestamp {
    /// The start of the clock.
    pub const START: Self = Self(Duration::ZERO);

    /// The moment `elapsed` after the start of the clock.
    #[must_use]
    pub const fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time between the start of the clock and this moment.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `age` before this one, but not before the start of the clock.
    #[must_use]
    pub const fn before(self, age: Duration) -> Self {
        Self(self.0.saturating_sub(age))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the end of time: a deadline of `Duration::MAX` is never reached.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}
