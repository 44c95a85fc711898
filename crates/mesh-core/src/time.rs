//! Time as an argument: moments of a monotonic clock that somebody else reads.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment, as the time since an arbitrary start that all moments of one clock share.
///
/// The clock is monotonic and belongs to one process or one machine; moments of different clocks
/// must never be compared. What crosses a wire is an age (a [`Duration`]), never a moment.
///
/// It takes eight bytes, and so does an `Option` of it: a controller keeps one for each failure. So it
/// ends 584 years after the start of its clock, and whatever is later is that end.
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "Duration", into = "Duration")]
pub struct Timestamp {
    // Nanoseconds since the start of the clock, and one more.
    nanos: NonZeroU64,
}

impl Timestamp {
    /// The start of the clock.
    pub const START: Self = Self { nanos: NonZeroU64::MIN };

    /// The moment `elapsed` after the start of the clock; the end of time if that is later.
    #[must_use]
    pub const fn from_start(elapsed: Duration) -> Self {
        let nanos = elapsed.as_nanos();
        if nanos >= u64::MAX as u128 {
            return Self { nanos: NonZeroU64::MAX };
        }
        Self { nanos: NonZeroU64::MIN.saturating_add(nanos as u64) }
    }

    /// The time between the start of the clock and this moment.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        Duration::from_nanos(self.nanos.get() - 1)
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanos.get().saturating_sub(earlier.nanos.get()))
    }

    /// The moment `age` before this one, but not before the start of the clock.
    #[must_use]
    pub const fn before(self, age: Duration) -> Self {
        Self::from_start(self.since_start().saturating_sub(age))
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::START
    }
}

/// As the time since the start of the clock.
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timestamp").field(&self.since_start()).finish()
    }
}

impl From<Duration> for Timestamp {
    fn from(elapsed: Duration) -> Self {
        Self::from_start(elapsed)
    }
}

impl From<Timestamp> for Duration {
    fn from(at: Timestamp) -> Self {
        at.since_start()
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    /// Saturates at the end of time: a deadline of `Duration::MAX` is never reached.
    fn add(self, duration: Duration) -> Self {
        Self::from_start(self.since_start().saturating_add(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_moment_takes_no_more_than_a_moment() {
        assert_eq!((size_of::<Timestamp>(), size_of::<Option<Timestamp>>()), (8, 8));
    }

    #[test]
    fn what_is_later_than_the_end_of_time_is_the_end_of_time() {
        let end = Timestamp::from_start(Duration::MAX);
        let last = Duration::from_nanos(u64::MAX - 1);
        assert_eq!(end.since_start(), last);
        assert_eq!(Timestamp::START + Duration::MAX, end);
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(
            Timestamp::from_start(last - Duration::from_nanos(1)).before(last),
            Timestamp::START
        );
    }
}
