//! Time in which this process could have done something: [`own_time`].

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// Waits for `work`, and not for longer than `within`; `None` if that has passed.
///
/// A pause of this very process does not count: while it is stopped, or has no processor, it can do nothing, and
/// nobody else is to blame for that. (Time in which the whole machine is suspended is none to the clock.)
pub(crate) async fn own_time<T>(within: Duration, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut left) = (pin!(work), within);
    let look = (within / 8).clamp(LOOK_MIN, LOOK_MAX);
    loop {
        let (begun, part) = (Instant::now(), left.min(look));
        if let Ok(done) = timeout(part, &mut work).await {
            return Some(done);
        }
        left -= begun.elapsed().min(part);
        if left.is_zero() {
            return None;
        }
    }
}

/// How often it is looked whether we run: so much of a pause counts at most.
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::{advance, sleep};

    use super::*;

    const WITHIN: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_so_long_and_no_longer() {
        let begun = Instant::now();
        assert_eq!(own_time(WITHIN, pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), WITHIN);
        assert_eq!(own_time(WITHIN, sleep(WITHIN / 2)).await, Some(()));
        assert_eq!(own_time(Duration::ZERO, pending::<()>()).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_ours_does_not_count() {
        let begun = Instant::now();
        let waits = tokio::spawn(own_time(WITHIN, pending::<()>()));
        sleep(WITHIN / 2).await;
        // Nothing runs meanwhile.
        advance(100 * WITHIN).await;
        waits.await.unwrap();
        let counted = begun.elapsed() - 100 * WITHIN;
        assert!(WITHIN - LOOK_MAX <= counted && counted <= WITHIN + LOOK_MAX, "{counted:?}");
    }
}
