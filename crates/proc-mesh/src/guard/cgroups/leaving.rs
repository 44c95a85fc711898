//! `Leaving`: what is to be removed as soon as that is possible.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::Timestamp;

/// Things that are tried to be removed, each the more seldom the longer it cannot be. Pure: it reads no
/// clock and removes nothing.
#[derive(Debug)]
pub(super) struct Leaving<T> {
    by_time: BTreeMap<(Timestamp, u64), Attempt<T>>,
    /// How many there were: of those of one moment, the first to come is the first to be tried.
    n: u64,
}

/// One that is being tried.
#[derive(Debug)]
pub(super) struct Attempt<T> {
    pub(super) what: T,
    /// How long it is left alone if it cannot be removed now.
    pause: Duration,
}

impl<T> Default for Leaving<T> {
    fn default() -> Self {
        Self { by_time: BTreeMap::new(), n: 0 }
    }
}

impl<T> Leaving<T> {
    /// It is to be removed, now if possible.
    pub(super) fn push(&mut self, what: T, now: Timestamp) {
        self.insert(now, Attempt { what, pause: PAUSE_MIN });
    }

    /// The next that is to be tried by now.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Attempt<T>> {
        let entry = self.by_time.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// It could not be removed now.
    pub(super) fn put_off(&mut self, attempt: Attempt<T>, now: Timestamp) {
        let pause = (attempt.pause * 2).min(PAUSE_MAX);
        self.insert(now + attempt.pause, Attempt { pause, ..attempt });
    }

    /// When the next is to be tried.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.by_time.keys().next().map(|(at, _)| *at)
    }

    /// All of them, whenever they are to be tried.
    pub(super) fn take(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.by_time).into_values().map(|attempt| attempt.what)
    }

    fn insert(&mut self, at: Timestamp, attempt: Attempt<T>) {
        self.n += 1;
        self.by_time.insert((at, self.n), attempt);
    }
}

/// How long what could not be removed is left alone at first.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// And how long at most: something in it waits in the kernel.
const PAUSE_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_start(Duration::from_millis(millis))
    }

    #[test]
    fn what_cannot_be_removed_is_tried_ever_more_seldom() {
        let mut leaving = Leaving::default();
        leaving.push('a', at(0));
        let mut tries = Vec::new();
        for now in 0..4_000 {
            while let Some(attempt) = leaving.pop(at(now)) {
                tries.push(now);
                leaving.put_off(attempt, at(now));
            }
        }
        assert_eq!(tries, [0, 20, 60, 140, 300, 620, 1_260, 2_260, 3_260]);
    }

    #[test]
    fn the_first_to_come_is_the_first_to_be_tried() {
        let mut leaving = Leaving::default();
        for what in ['a', 'b', 'c'] {
            leaving.push(what, at(5));
        }
        assert_eq!(leaving.pop(at(4)).map(|it| it.what), None);
        assert_eq!(leaving.pop(at(5)).map(|it| it.what), Some('a'));
        let attempt = leaving.pop(at(5)).unwrap();
        leaving.put_off(attempt, at(5));
        assert_eq!(leaving.pop(at(6)).map(|it| it.what), Some('c'));
        assert_eq!(
            (leaving.pop(at(6)).map(|it| it.what), leaving.next_deadline()),
            (None, Some(at(25)))
        );
        assert_eq!(leaving.take().collect::<Vec<_>>(), ['b']);
    }
}
