//! How many messages an actor handles before it lets others know, or have their turn.

use std::time::Duration;

use tokio::time::Instant;

/// Where messages take little, many are handled before the mailbox is told that there is room for as many, which costs
/// a lock and wakes those who wait, and before others on the thread have their turn. Where they take longer it is
/// fewer: [`WITHIN`] or so is what anybody waits for either, or one message.
#[derive(Debug)]
pub(super) struct Pace {
    /// How many are handled within that time, as far as is known.
    n_within: u16,
    /// When the last look was, if the actor has not rested since.
    looked: Option<Instant>,
}

impl Pace {
    /// It is not known yet how long one takes.
    pub(super) const NEW: Self = Self { n_within: 64, looked: None };

    /// So many messages were handled since the last look, all of whatever kinds they are. The first look tells nothing.
    pub(super) fn look(&mut self, now: Instant, n: u8) {
        if let Some(before) = self.looked.replace(now) {
            let time = now.saturating_duration_since(before);
            let n = WITHIN.as_nanos() * u128::from(n) / time.as_nanos().max(1);
            self.n_within = u16::try_from(n).unwrap_or(u16::MAX);
        }
    }

    /// Others have their turn, for however long; so many messages were handled since the last look.
    pub(super) fn pause(&mut self, n: u8) {
        if self.looked.is_some() {
            self.look(Instant::now(), n);
            self.rest();
        }
    }

    /// The actor rests, for however long.
    pub(super) const fn rest(&mut self) {
        self.looked = None;
    }

    /// After how many messages to tell a mailbox of so much room: after no more than a quarter of it, so that little of
    /// it is neither free nor has a message in it.
    pub(super) fn told_together(&self, capacity: usize) -> u32 {
        let quarter = u32::try_from(capacity / 4).unwrap_or(u32::MAX);
        u32::from(self.n_within).min(quarter).max(1)
    }

    /// After how many steps others on the thread have their turn.
    pub(super) fn steps_in_turn(&self) -> u32 {
        u32::from(self.n_within.clamp(1, STEPS_MAX))
    }
}

const WITHIN: Duration = Duration::from_micros(100);

const STEPS_MAX: u16 = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_are_told_of_at_once_and_the_fast_together() {
        let (mut pace, mut now) = (Pace::NEW, Instant::now());
        for (nanos, together, steps) in [
            (0, 2048, 2048),
            (90, 1111, 1111),
            (150, 666, 666),
            (1_000, 100, 100),
            (50_000, 2, 2),
            (5_000_000_000, 1, 1),
        ] {
            pace.look(now, 64);
            now += 64 * Duration::from_nanos(nanos);
            pace.look(now, 64);
            let found = (pace.told_together(8 * 1024), pace.steps_in_turn());
            assert_eq!(found, (together, steps), "{nanos} ns");
            pace.rest();
        }
    }

    #[test]
    fn what_it_rests_does_not_count() {
        let (mut pace, now) = (Pace::NEW, Instant::now());
        pace.look(now, 64);
        pace.rest();
        pace.look(now + Duration::from_secs(5), 64);
        assert_eq!(pace.steps_in_turn(), 64);
    }

    #[test]
    fn most_of_the_room_is_for_senders_meanwhile() {
        let pace = Pace::NEW;
        for (capacity, together) in [(1, 1), (8, 2), (16, 4), (100, 25), (1024, 64)] {
            assert_eq!(pace.told_together(capacity), together);
        }
    }
}
