//! A subscriber's side of silence: when a controller that says nothing is taken for lost (N10).

use std::time::Duration;

use mesh_core::{News, Timestamp};

/// Watches one controller on behalf of a subscriber: it is lost after three of the periods that it has
/// promised, told once, and cleared by the next message (N10).
///
/// Whoever is called long after the deadline that was named was paused, or had no processor: that time
/// is nobody's silence.
///
/// # State
///
/// Nothing is missed before a period was promised, after the [last](News::is_last) message, and while the controller is
/// taken for lost. The moments are of the subscriber's own clock.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use controller::Watchdog;
/// use mesh_core::{News, Timestamp};
///
/// let at = |seconds| Timestamp::from_start(Duration::from_secs(seconds));
/// let mut watchdog = Watchdog::new();
/// watchdog.heard(at(0), &News::Heartbeat { period: Duration::from_secs(2) });
/// let told: Vec<bool> = [2, 4, 6, 8].map(|seconds| watchdog.tick(at(seconds))).into();
/// assert_eq!(told, [false, false, true, false], "once, after three periods");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watchdog {
    /// `None` while nothing is promised.
    watch: Option<Watch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watch {
    period: Duration,
    /// Moved on by every pause of our own.
    heard_at: Timestamp,
    /// When this side last looked, or heard something.
    looked_at: Timestamp,
    is_lost: bool,
}

impl Watchdog {
    /// After how many periods of silence a controller is lost.
    pub const PERIODS: u32 = 3;

    /// Nothing has been promised.
    #[must_use]
    pub const fn new() -> Self {
        Self { watch: None }
    }

    /// The controller has said this.
    pub fn heard(&mut self, now: Timestamp, news: &News) {
        let promised = match news {
            News::Snapshot(snapshot) => Some(snapshot.period),
            News::Heartbeat { period } => Some(*period),
            _ if news.is_last() => None,
            News::Closed
            | News::Changed(_)
            | News::Trouble(_)
            | News::Escalated(_)
            | News::Recalled { .. }
            | News::Withdrawn(_)
            | News::Stopping { .. } => self.watch.map(|watch| watch.period),
        };
        let watch = |period| Watch { period, heard_at: now, looked_at: now, is_lost: false };
        self.watch = promised.map(watch);
    }

    /// Looks whether the controller is lost: true once in each silence.
    #[must_use = "it is said only once"]
    pub fn tick(&mut self, now: Timestamp) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        let late = now.since(watch.due());
        if late > watch.period / 4 {
            watch.heard_at = (watch.heard_at + late).min(now);
        }
        watch.looked_at = watch.looked_at.max(now);
        let is_silent = now.since(watch.heard_at) >= watch.period.saturating_mul(Self::PERIODS);
        let is_news = is_silent && !watch.is_lost;
        watch.is_lost |= is_silent;
        is_news
    }

    /// When to look next: every period, so that a pause of our own shows. `None` while nothing can be
    /// missed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.watch.filter(|watch| !watch.is_lost).map(|watch| watch.due())
    }
}

impl Watch {
    fn due(&self) -> Timestamp {
        self.looked_at + self.period
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: Duration = Duration::from_millis(1_000);

    /// What happens next to a subscriber.
    #[derive(Clone, Copy, Debug)]
    enum Deed {
        /// It hears a heartbeat, so long after the last deed.
        Hear(u64),
        /// It looks when it is to, or so much later.
        Look(u64),
        /// It looks too early, so long after the last deed.
        Early(u64),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            1 => (0_u64..1_000).prop_map(Deed::Hear),
            4 => prop_oneof![Just(0), 0_u64..250, 250_u64..9_000].prop_map(Deed::Look),
            1 => (0_u64..900).prop_map(Deed::Early),
        ]
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    proptest! {
        /// N10, rule 6. In any history: lost is told at most once in a silence; never of a controller
        /// that was silent for less than three periods, pauses of our own left out; and always of one
        /// that was silent for longer, as soon as this side looks in time.
        #[test]
        fn a_controller_is_lost_after_three_periods_that_this_side_was_awake(
            deeds in prop::collection::vec(deed(), 0..60),
        ) {
            let mut watchdog = Watchdog::new();
            let mut now = Timestamp::START;
            watchdog.heard(now, &News::Heartbeat { period: PERIOD });
            // The silence that this side was awake for, and what it may have slept of it.
            let (mut awake, mut is_told, mut looked_at) = (Duration::ZERO, false, now);
            for deed in deeds {
                let told = match deed {
                    Deed::Hear(after) => {
                        now = now + millis(after);
                        watchdog.heard(now, &News::Heartbeat { period: PERIOD });
                        (awake, is_told, looked_at) = (Duration::ZERO, false, now);
                        continue;
                    }
                    Deed::Look(late) => {
                        now = looked_at + PERIOD + millis(late);
                        let slept = if millis(late) > PERIOD / 4 { millis(late) } else { Duration::ZERO };
                        awake += now.since(looked_at) - slept;
                        watchdog.tick(now)
                    }
                    Deed::Early(after) => {
                        now = now + millis(after).min((looked_at + PERIOD).since(now));
                        awake += now.since(looked_at);
                        watchdog.tick(now)
                    }
                };
                looked_at = now;
                prop_assert_eq!(told, awake >= PERIOD * 3 && !is_told, "after {:?}", awake);
                is_told |= told;
                let due = (!is_told).then(|| now + PERIOD);
                prop_assert_eq!(watchdog.next_deadline(), due);
            }
        }
    }

    /// N4, N10: nothing is missed before anything was promised, and after the last word.
    #[test]
    fn nothing_is_missed_before_a_promise_and_after_the_last_word() {
        let at = |seconds| Timestamp::from_start(Duration::from_secs(seconds));
        let mut watchdog = Watchdog::new();
        watchdog.heard(at(0), &News::Stopping { reason: None });
        assert_eq!((watchdog.next_deadline(), watchdog.tick(at(99))), (None, false));
        watchdog.heard(at(100), &News::Heartbeat { period: PERIOD });
        watchdog.heard(at(101), &News::Closed);
        assert_eq!((watchdog.next_deadline(), watchdog.tick(at(999))), (None, false));
    }

    /// N10: any message counts, and keeps the period that was promised.
    #[test]
    fn any_message_ends_a_silence() {
        let at = |seconds| Timestamp::from_start(Duration::from_secs(seconds));
        let mut watchdog = Watchdog::new();
        watchdog.heard(at(0), &News::Heartbeat { period: PERIOD });
        assert_eq!(
            [1, 2, 3, 4].map(|seconds| watchdog.tick(at(seconds))),
            [false, false, true, false]
        );
        watchdog.heard(at(5), &News::Stopping { reason: None });
        assert_eq!(watchdog.next_deadline(), Some(at(6)));
        assert_eq!([6, 7, 8].map(|seconds| watchdog.tick(at(seconds))), [false, false, true]);
    }
}
