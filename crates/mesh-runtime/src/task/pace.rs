//! How many messages an actor handles before it lets others know, or have their turn.

use std::time::Duration;

/// Where messages take little, many are handled before the mailbox is told that there is room for as many, which costs
/// a lock and wakes those who wait, and before others on the thread have their turn. Where they take longer it is
/// fewer: [`WITHIN`] or so is what anybody waits for either.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many are handled within that time, as far as is known.
    n_within: u16,
}

impl Pace {
    /// It is not known yet how long one takes.
    pub(super) const NEW: Self = Self { n_within: 1 };

    /// One message has taken so long.
    pub(super) fn took(&mut self, time: Duration) {
        let n = WITHIN.as_nanos() / time.as_nanos().max(1);
        self.n_within = u16::try_from(n).unwrap_or(u16::MAX);
    }

    /// After how many messages to tell a mailbox of so much room: after no more than half of it, so that senders have the
    /// other half meanwhile.
    pub(super) fn told_together(&self, capacity: usize) -> usize {
        usize::from(self.n_within.min(TOLD_TOGETHER)).min(capacity / 2).max(1)
    }

    /// After how many steps others on the thread have their turn.
    pub(super) fn steps_in_turn(&self) -> usize {
        usize::from(self.n_within.clamp(STEPS_MIN, STEPS_MAX))
    }
}

const WITHIN: Duration = Duration::from_micros(100);

/// To tell of more together costs no less.
const TOLD_TOGETHER: u16 = 512;

/// A step may be less than a message.
const STEPS_MIN: u16 = 16;

const STEPS_MAX: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_are_told_of_at_once_and_the_fast_together() {
        let mut pace = Pace::NEW;
        assert_eq!((pace.told_together(1024), pace.steps_in_turn()), (1, 16));
        for (nanos, together, steps) in [
            (0, 512, 1024),
            (90, 512, 1024),
            (150, 512, 666),
            (1_000, 100, 100),
            (50_000, 2, 16),
            (u64::MAX, 1, 16),
        ] {
            pace.took(Duration::from_nanos(nanos));
            let found = (pace.told_together(1024), pace.steps_in_turn());
            assert_eq!(found, (together, steps), "{nanos} ns");
        }
    }

    #[test]
    fn senders_have_half_of_the_room_meanwhile() {
        let mut pace = Pace::NEW;
        pace.took(Duration::from_nanos(100));
        for (capacity, together) in [(1, 1), (2, 1), (3, 1), (8, 4), (100, 50)] {
            assert_eq!(pace.told_together(capacity), together);
        }
    }
}
