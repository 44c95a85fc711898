//! The clock of the guard: one that also counts suspend.

use std::time::Duration;

use mesh_core::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Now, on `CLOCK_BOOTTIME`.
pub(crate) fn now() -> Timestamp {
    let now = clock_gettime(ClockId::Boottime);
    // The time since boot is never negative.
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    Timestamp::from_start(Duration::new(seconds, nanos))
}
