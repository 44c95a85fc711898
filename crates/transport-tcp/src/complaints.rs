//! What is logged of those who are turned away: enough to see what goes on, and never a flood.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets one through every second, and counts the others: whoever knocks decides how often, and must not fill
/// our disk. Metrics count every one.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<Made>);

#[derive(Debug, Default)]
struct Made {
    last: Option<Instant>,
    held_back: u64,
}

impl Complaints {
    /// Whether to complain now: then how many were held back before.
    pub(crate) fn make(&self, now: Instant) -> Option<u64> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if made.last.is_some_and(|last| now.saturating_duration_since(last) < EVERY) {
            made.held_back = made.held_back.saturating_add(1);
            return None;
        }
        made.last = Some(now);
        Some(std::mem::take(&mut made.held_back))
    }
}

const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_complaint_a_second_is_made_and_says_how_many_were_not() {
        let (complaints, begun) = (Complaints::default(), Instant::now());
        let at = |millis| complaints.make(begun + Duration::from_millis(millis));
        assert_eq!([0, 1, 999].map(at), [Some(0), None, None]);
        assert_eq!([1_000, 1_001].map(at), [Some(2), None]);
        assert_eq!([9_000, 20_000].map(at), [Some(1), Some(0)]);
    }
}
