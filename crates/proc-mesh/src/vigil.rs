//! Waits for somebody to be heard again and again: pure.

use std::time::Duration;

use tokio::time::Instant;

/// Whether somebody is heard of often enough.
///
/// Who was suspended is not blamed for that, nor is he for a pause of our own: if we come late to a
/// deadline, he is given all the time again. Time is an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vigil {
    within: Duration,
    heard: Instant,
    deadline: Instant,
    /// How often he had been suspended and let go on when the deadline was set.
    changes: u64,
    is_overdue: bool,
    is_told: bool,
}

impl Vigil {
    /// He is to be heard within so long, from now on.
    pub(crate) fn new(within: Duration, now: Instant) -> Self {
        let deadline = after(now, within);
        Self { within, heard: now, deadline, changes: 0, is_overdue: false, is_told: false }
    }

    /// He was heard. Returns whether he was told as overdue.
    pub(crate) fn heard(&mut self, now: Instant) -> bool {
        self.heard = now;
        self.deadline = after(now, self.within);
        self.is_overdue = false;
        std::mem::take(&mut self.is_told)
    }

    /// When he is to be looked at. Of one who is overdue, whether he was suspended and let go on since.
    pub(crate) const fn next_deadline(&self) -> Instant {
        self.deadline
    }

    /// It may be time. Returns for how long he has been silent, once, if he is to blame for it; and once more
    /// if he was suspended since: what is told of one who has just been is not believed. `changes`: how
    /// often he was suspended and let go on in all; odd while he is suspended.
    pub(crate) fn on_due(&mut self, now: Instant, changes: u64) -> Option<Duration> {
        if now < self.deadline {
            return None;
        }
        let is_late = now - self.deadline > PAUSE_MIN;
        self.deadline = after(now, self.within);
        if changes % 2 == 1 || changes != self.changes {
            (self.changes, self.is_overdue) = (changes, false);
            return None;
        }
        if is_late || self.is_overdue {
            return None;
        }
        (self.is_overdue, self.is_told) = (true, true);
        Some(now - self.heard)
    }
}

/// The moment so long after another; one that never comes if it is too late to be counted.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or_else(|| now + NEVER)
}

/// Thirty years.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Who comes later than that was not merely busy.
const PAUSE_MIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(1);

    fn vigil() -> (Vigil, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Vigil::new(WITHIN, start), move |millis| start + Duration::from_millis(millis))
    }

    #[test]
    fn a_silence_is_told_once_and_is_over_when_he_is_heard() {
        let (mut vigil, at) = vigil();
        assert_eq!(vigil.on_due(at(999), 0), None);
        assert_eq!(vigil.on_due(at(1_001), 0), Some(Duration::from_millis(1_001)));
        assert_eq!(vigil.on_due(at(5_000), 0), None);
        assert!(vigil.heard(at(6_000)));
        assert!(!vigil.heard(at(6_100)));
        assert_eq!(vigil.next_deadline(), at(7_100));
    }

    #[test]
    fn our_own_pause_is_not_his_silence() {
        let (mut vigil, at) = vigil();
        assert_eq!(vigil.on_due(at(9_000), 0), None);
        assert_eq!(vigil.next_deadline(), at(10_000));
        assert_eq!(vigil.on_due(at(10_000), 0), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_time_that_is_too_long_to_count_is_never_over() {
        let now = Instant::now();
        let mut vigil = Vigil::new(Duration::MAX, now);
        assert_eq!(vigil.on_due(now + WITHIN, 0), None);
        assert!(!vigil.heard(now) && vigil.next_deadline() > now + WITHIN);
    }

    /// What is told of one who has just been suspended is not believed (H4): he hangs all the same.
    #[test]
    fn a_silence_is_told_again_to_who_was_suspended_since() {
        let (mut vigil, at) = vigil();
        assert_eq!(vigil.on_due(at(1_000), 0), Some(WITHIN));
        assert_eq!(vigil.on_due(at(2_000), 1), None, "he is suspended");
        assert_eq!(vigil.on_due(at(3_000), 2), None, "he has gone on since");
        assert_eq!(vigil.on_due(at(4_000), 2), Some(Duration::from_secs(4)));
        assert_eq!(vigil.on_due(at(5_000), 2), None, "that is known");
        assert!(vigil.heard(at(5_500)));
    }

    /// H4: who was suspended is silent for that, and has all the time again when he goes on.
    #[test]
    fn a_suspension_is_not_his_silence() {
        let (mut vigil, at) = vigil();
        assert_eq!(vigil.on_due(at(1_000), 1), None);
        assert_eq!(vigil.on_due(at(2_000), 1), None, "he is still");
        assert_eq!(vigil.on_due(at(3_000), 2), None, "he has gone on since");
        assert_eq!(vigil.on_due(at(4_000), 2), Some(Duration::from_secs(4)));
    }

    proptest! {
        /// Whoever is heard in time, as we look in time, is never overdue; whoever is not is, at most once
        /// for each silence.
        #[test]
        fn who_is_heard_in_time_is_never_blamed(
            steps in prop::collection::vec((1..400_u64, any::<bool>()), 1..200)
        ) {
            let (mut vigil, at) = vigil();
            let (mut now, mut heard, mut is_told) = (0, 0, false);
            for (step, is_heard) in steps {
                // We look at every deadline on our way.
                let until = now + step;
                let due = vigil.next_deadline();
                if due <= at(until) {
                    let told = vigil.on_due(due, 0);
                    prop_assert!(told.is_none() == is_told && until - heard >= 1_000);
                    is_told = true;
                }
                now = until;
                if is_heard {
                    prop_assert_eq!(vigil.heard(at(now)), is_told);
                    (heard, is_told) = (now, false);
                }
                prop_assert_eq!(is_told, now - heard >= 1_000);
            }
        }
    }
}
