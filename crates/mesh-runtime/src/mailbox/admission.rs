//! Who may put a message into a data lane: its bound, and those who wait for their turn.

use std::collections::BTreeMap;
use std::task::Waker;

/// Places that are free, and who waits for one, in the order in which they came. Pure; under the lock of the mailbox.
// In this order: first what each message touches.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Admission {
    /// None is free where somebody waits.
    free: u32,
    /// The reader lets go of many at once.
    is_quick: bool,
    capacity: u32,
    /// The number of the next one who waits.
    next: u64,
    waiting: BTreeMap<u64, Waker>,
}

/// What has become of one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is a place for it.
    Now,
    /// It waits, under this number.
    Later(u64),
}

impl Admission {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = number(capacity);
        Self { free: capacity, is_quick: false, capacity, next: 0, waiting: BTreeMap::new() }
    }

    /// Takes at most `n` places. Returns how many.
    pub(super) fn take(&mut self, n: usize) -> usize {
        let n = number(n).min(self.free);
        self.free -= n;
        n as usize
    }

    /// Takes one place, or waits for it; `before` is the number under which it waits already.
    pub(super) fn take_or_wait(&mut self, before: Option<u64>, waker: &Waker) -> Turn {
        match before {
            None if self.take(1) == 1 => Turn::Now,
            None => {
                let number = self.next;
                self.next += 1;
                self.waiting.insert(number, waker.clone());
                Turn::Later(number)
            }
            Some(number) => match self.waiting.get_mut(&number) {
                Some(known) => {
                    known.clone_from(waker);
                    Turn::Later(number)
                }
                None => Turn::Now,
            },
        }
    }

    /// Who waits under this number goes away; a place that was kept for it is free again. Returns who has it then.
    pub(super) fn give_up(&mut self, number: u64) -> Vec<Waker> {
        match self.waiting.remove(&number) {
            Some(_) => Vec::new(),
            None => self.release(1),
        }
    }

    /// So many places are free again. Returns those who waited, and have one each.
    pub(super) fn release(&mut self, n: usize) -> Vec<Waker> {
        if n >= QUICK {
            self.is_quick = true;
        } else if (1..=SLOW).contains(&n) {
            self.is_quick = false;
        }
        // Then nobody waits, which it would take another line of memory to see.
        if self.free > 0 {
            self.free += number(n);
            return Vec::new();
        }
        let admitted = n.min(self.waiting.len());
        self.free += number(n - admitted);
        if admitted == 0 {
            return Vec::new();
        }
        let mut wakers = Vec::with_capacity(admitted);
        wakers
            .extend((0..admitted).filter_map(|_| self.waiting.pop_first()).map(|(_, waker)| waker));
        wakers
    }

    /// Nobody is admitted any more. Returns all who wait.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.waiting).into_values()
    }

    /// Whether whoever waits may do so for some microseconds only.
    pub(super) const fn is_quick(&self) -> bool {
        self.is_quick
    }

    /// How many places are taken, or kept for somebody.
    pub(super) const fn n_taken(&self) -> usize {
        (self.capacity - self.free) as usize
    }
}

/// No mailbox has room for more.
fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A reader that lets go of so many at once handles each in a few microseconds, or less.
const QUICK: usize = 32;

/// One that lets go of no more may take long for each. What is between may be the rest of many.
const SLOW: usize = 4;

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What can be done; a waiter is meant by its place among all who have ever waited.
    #[derive(Clone, Copy, Debug)]
    enum Deed {
        Take(usize),
        Wait,
        AskAgain(usize),
        GiveUp(usize),
        Release(usize),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            (0..4_usize).prop_map(Deed::Take),
            Just(Deed::Wait),
            (0..20_usize).prop_map(Deed::AskAgain),
            (0..20_usize).prop_map(Deed::GiveUp),
            (0..4_usize).prop_map(Deed::Release),
        ]
    }

    /// The same, one by one: who waits in a row, and whose place is kept.
    #[derive(Debug, Default)]
    struct Naive {
        free: usize,
        row: VecDeque<u64>,
        kept: Vec<u64>,
    }

    impl Naive {
        fn release(&mut self, n: usize) -> usize {
            self.free += n;
            let mut admitted = 0;
            while self.free > 0
                && let Some(first) = self.row.pop_front()
            {
                self.free -= 1;
                self.kept.push(first);
                admitted += 1;
            }
            admitted
        }

        fn remove(&mut self, number: u64) -> usize {
            if let Some(at) = self.kept.iter().position(|kept| *kept == number) {
                self.kept.remove(at);
                return self.release(1);
            }
            self.row.retain(|waits| *waits != number);
            0
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Those who wait have their turn in the order in which they came, nobody overtakes them, and what was kept
        /// for one who has gone is the next one's.
        #[test]
        fn it_admits_as_a_row_of_people_would(
            capacity in 1..5_usize,
            deeds in vec(deed(), 0..80),
        ) {
            let mut admission = Admission::new(capacity);
            let mut naive = Naive { free: capacity, ..Naive::default() };
            // Those that wait, or have a place kept; and how many places are in use.
            let (mut numbers, mut n_used) = (Vec::new(), 0);
            for deed in deeds {
                match deed {
                    Deed::Take(n) => {
                        let taken = n.min(naive.free);
                        naive.free -= taken;
                        n_used += taken;
                        prop_assert_eq!(admission.take(n), taken);
                    }
                    Deed::Wait => match admission.take_or_wait(None, Waker::noop()) {
                        Turn::Now => {
                            prop_assert!(naive.free > 0);
                            naive.free -= 1;
                            n_used += 1;
                        }
                        Turn::Later(number) => {
                            prop_assert_eq!(naive.free, 0);
                            naive.row.push_back(number);
                            numbers.push(number);
                        }
                    },
                    Deed::AskAgain(nth) => {
                        let Some(&number) = numbers.get(nth) else { continue };
                        let is_kept = naive.kept.contains(&number);
                        let turn = if is_kept { Turn::Now } else { Turn::Later(number) };
                        prop_assert_eq!(admission.take_or_wait(Some(number), Waker::noop()), turn);
                        if is_kept {
                            naive.kept.retain(|kept| *kept != number);
                            numbers.remove(nth);
                            n_used += 1;
                        }
                    }
                    Deed::GiveUp(nth) => {
                        if nth < numbers.len() {
                            let number = numbers.remove(nth);
                            prop_assert_eq!(admission.give_up(number).len(), naive.remove(number));
                        }
                    }
                    Deed::Release(n) => {
                        let n = n.min(n_used);
                        n_used -= n;
                        prop_assert_eq!(admission.release(n).len(), naive.release(n));
                    }
                }
                prop_assert_eq!(admission.n_taken(), n_used + naive.kept.len());
                prop_assert!(admission.n_taken() <= capacity);
            }
            prop_assert_eq!(admission.close().count(), naive.row.len());
        }
    }
}
