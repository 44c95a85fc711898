//! How many restarts are too many.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many restarts of its children an actor may decide on: more than `max_restarts` within any `period`
/// is a failure of the actor itself.
///
/// A restart of many children together counts once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use mesh_runtime::Intensity;
///
/// let patient = Intensity::new(10, Duration::from_secs(60));
/// assert!(patient.max_restarts > Intensity::DEFAULT.max_restarts);
/// ```
///
/// # Source
///
/// `intensity` and `period` of a supervisor of Erlang/OTP, whose defaults are these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// The restarts allowed. None: the first one is too many.
    pub max_restarts: u32,
    /// Within what time. Zero: restarts at different moments are never too many.
    pub period: Duration,
}

impl Intensity {
    /// One restart in five seconds.
    pub const DEFAULT: Self = Self::new(1, Duration::from_secs(5));

    /// So many restarts within such a time.
    #[must_use]
    pub const fn new(max_restarts: u32, period: Duration) -> Self {
        Self { max_restarts, period }
    }
}

/// The restarts that still count. Pure: time comes in as an argument.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// When each one was, oldest first. Bound: `max_restarts`.
    at: VecDeque<Instant>,
}

impl Window {
    /// Whether one more restart is allowed, which is counted then. One that is a whole period ago counts no
    /// more.
    pub(crate) fn admits(&mut self, intensity: Intensity, now: Instant) -> bool {
        let is_over = |at: &Instant| now.saturating_duration_since(*at) >= intensity.period;
        while self.at.front().is_some_and(is_over) {
            self.at.pop_front();
        }
        let is_allowed = self.at.len() < intensity.max_restarts as usize;
        if is_allowed {
            self.at.push_back(now);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// RS3, for the children of an actor: against a window that remembers everything.
        #[test]
        fn a_window_admits_so_many_in_each_period_and_no_fewer(
            max_restarts in 0_u32..5,
            period in 0_u64..20,
            gaps in proptest::collection::vec(0_u64..10, 1..40),
        ) {
            let period = Duration::from_secs(period);
            let intensity = Intensity::new(max_restarts, period);
            let mut now = Instant::now();
            let (mut window, mut all) = (Window::default(), Vec::<Instant>::new());
            for gap in gaps {
                now += Duration::from_secs(gap);
                let recent = all.iter().filter(|at| now - **at < period).count();
                let is_admitted = window.admits(intensity, now);
                prop_assert_eq!(is_admitted, recent < max_restarts as usize);
                if is_admitted {
                    all.push(now);
                }
                prop_assert!(window.at.len() <= max_restarts as usize);
            }
        }
    }
}
