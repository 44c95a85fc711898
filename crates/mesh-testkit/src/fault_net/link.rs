//! One way between two sites, pure: what becomes of each packet.

use std::time::Duration;

use super::faults::{Faults, LONGEST};
use super::rng::SplitMix64;

/// A link. Each has a stream of random numbers of its own, so that what others carry changes nothing here.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    rng: SplitMix64,
    faults: Faults,
    cut: Cut,
    /// When the packet arrives that arrives last of those that keep their order.
    last: Duration,
}

/// Whether anything gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    No,
    Until(Duration),
    ForGood,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Carried {
    /// It is lost.
    Lost,
    /// It is lost, since nothing gets through.
    Cut,
    /// It arrives then; a second time, too, if there is a second time.
    Arrives(Duration, Option<Duration>),
}

impl Link {
    pub(crate) const fn new(rng: SplitMix64, faults: Faults) -> Self {
        Self { rng, faults, cut: Cut::No, last: Duration::ZERO }
    }

    pub(crate) const fn set_cut(&mut self, cut: Cut) {
        self.cut = cut;
    }

    pub(crate) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// A packet sets out.
    pub(crate) fn carry(&mut self, now: Duration) -> Carried {
        // All are drawn for each packet, whatever becomes of it: so a cut shifts nothing that comes after.
        let is_lost = self.rng.chance(self.faults.loss);
        let is_repeated = self.rng.chance(self.faults.duplication);
        let is_held_back = self.rng.chance(self.faults.reordering);
        let delays = [self.delay(), self.delay(), self.delay()];
        if self.is_cut(now) {
            return Carried::Cut;
        }
        if is_lost {
            return Carried::Lost;
        }
        let mut first = now + delays[0];
        if is_held_back {
            first += delays[1] + (*self.faults.delay.end()).min(LONGEST);
        } else {
            first = first.max(self.last);
            self.last = first;
        }
        Carried::Arrives(first, is_repeated.then(|| first + delays[2]))
    }

    fn delay(&mut self) -> Duration {
        self.rng.within(&self.faults.delay).min(LONGEST)
    }

    fn is_cut(&self, now: Duration) -> bool {
        match self.cut {
            Cut::No => false,
            Cut::Until(end) => now < end,
            Cut::ForGood => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(faults: Faults) -> Link {
        Link::new(SplitMix64::new(42), faults)
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn without_faults_each_packet_arrives_once_after_the_delay() {
        let mut link = link(Faults::none());
        assert_eq!(link.carry(at(5)), Carried::Arrives(at(6), None));
    }

    #[test]
    fn nothing_gets_through_a_cut_until_it_is_over() {
        let mut link = link(Faults::none());
        link.set_cut(Cut::Until(at(10)));
        assert_eq!(link.carry(at(9)), Carried::Cut);
        assert_eq!(link.carry(at(10)), Carried::Arrives(at(11), None));
        link.set_cut(Cut::ForGood);
        assert_eq!(link.carry(at(1_000_000)), Carried::Cut);
        link.set_cut(Cut::No);
        assert_eq!(link.carry(at(1_000_001)), Carried::Arrives(at(1_000_002), None));
    }

    #[test]
    fn packets_keep_their_order_unless_it_is_a_fault() {
        let arrivals = |reordering| {
            let mut link =
                link(Faults { loss: 0.0, duplication: 0.0, reordering, ..Faults::heavy() });
            let carried = (0..200).map(|n| link.carry(at(n)));
            let arrivals = carried.map(|carried| match carried {
                Carried::Arrives(at, None) => at,
                other => panic!("{other:?}"),
            });
            arrivals.collect::<Vec<_>>()
        };
        assert!(arrivals(0.0).is_sorted());
        assert!(!arrivals(0.25).is_sorted());
    }

    /// So a shorter cut is the same run up to where it ends.
    #[test]
    fn a_cut_does_not_shift_what_comes_after_it() {
        let after = |cut| {
            let mut link = link(Faults::moderate());
            link.set_cut(cut);
            (0..100).for_each(|n| _ = link.carry(at(n)));
            link.set_cut(Cut::No);
            // Late enough that nothing of before is in the way.
            (1_000..1_100).map(|n| link.carry(at(n))).collect::<Vec<_>>()
        };
        assert_eq!(after(Cut::No), after(Cut::ForGood));
    }
}
