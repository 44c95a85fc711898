//! What actors tell of themselves, the same for everybody: that they have started, and that they panic.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::Failed;

static STARTED: AtomicUsize = AtomicUsize::new(0);
static PANICKED: AtomicU64 = AtomicU64::new(0);
static EPOCH: OnceLock<Instant> = OnceLock::new();

/// An actor has started.
pub fn started() {
    STARTED.fetch_add(1, Ordering::Release);
}

/// Waits until so many have started, since the process has.
pub(super) async fn all_started(n: usize) -> Result<(), Failed> {
    while STARTED.load(Ordering::Acquire) < n {
        tokio::task::yield_now().await;
    }
    match STARTED.load(Ordering::Acquire) {
        found if found == n => Ok(()),
        found => Err(format!("{found} actors have started, and not {n}").into()),
    }
}

/// Panics, and keeps the moment.
pub fn panic_now() -> ! {
    PANICKED.store(now(), Ordering::Release);
    panic!("told to panic");
}

/// Nanoseconds since the last panic.
#[must_use]
pub fn since_panic() -> u64 {
    now() - PANICKED.load(Ordering::Acquire)
}

fn now() -> u64 {
    let since = EPOCH.get_or_init(Instant::now).elapsed();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
