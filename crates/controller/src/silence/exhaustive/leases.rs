//! The real [`Lease`], tabulated: what it makes of every moment and of every renewal.

use std::time::Duration;

use mesh_core::{BeatSeq, Epoch, Timestamp};

use super::model::{Grid, Variant};
use crate::lease::Lease;

/// One rank and its lease, as small as it can be told: two leases of the same `Kept` are equal, but
/// for the moment that is called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It runs, without a lease. Only [`Variant::ArmedLate`] has this.
    Unarmed,
    /// It was armed at this moment: no beat was sent since.
    Armed(Epoch),
    /// Its end is counted from the moment so many steps ago, and a beat was sent at each step since.
    Counted(u8, Epoch),
    /// It has run out: what was started is dead.
    Culled,
}

/// What one agent's lease does, for each state that it can be in.
#[derive(Debug)]
pub(super) struct Leases {
    n_ages: usize,
    passed: Vec<Kept>,
    /// By state, epoch and age of the beat that is echoed.
    renewed: Vec<Kept>,
    /// By state, epoch and age of the beat that an order to start echoes; last, of one that echoes none.
    admitted: Vec<Option<Kept>>,
}

/// How to make a real lease of a [`Kept`], and back.
struct Bench<'a> {
    grid: &'a Grid,
    variant: Variant,
    step: Duration,
}

impl Kept {
    /// Whether the rank runs, if it was started.
    pub(super) const fn is_alive(self) -> bool {
        matches!(self, Self::Unarmed | Self::Armed(_) | Self::Counted(..))
    }

    /// The epoch obeyed, if there is a lease.
    pub(super) const fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Armed(epoch) | Self::Counted(_, epoch) => Some(epoch),
            Self::Unarmed | Self::Culled => None,
        }
    }

    /// How many steps ago the moment is from which the end is counted.
    pub(super) const fn counted(self) -> Option<u8> {
        match self {
            Self::Armed(_) => Some(0),
            Self::Counted(age, _) => Some(age),
            Self::Unarmed | Self::Culled => None,
        }
    }

    /// What a renewal must make of it so that the search may forget how old the echo is: nothing, but
    /// that a higher epoch is adopted. `None` if the search does not forget it.
    fn if_forgotten(self, epoch: Epoch, age: u8) -> Option<Self> {
        match self {
            Self::Armed(obeyed) | Self::Counted(_, obeyed) if epoch < obeyed => Some(self),
            Self::Armed(_) => Some(Self::Armed(epoch)),
            Self::Counted(counted, _) if age >= counted => Some(Self::Counted(counted, epoch)),
            Self::Unarmed | Self::Counted(..) | Self::Culled => None,
        }
    }

    /// Its kind, which is not zero, and its age.
    pub(super) const fn key(self) -> [u8; 2] {
        match self {
            Self::Unarmed => [2, 0],
            Self::Culled => [3, 0],
            Self::Armed(epoch) => [4 + epoch_index(epoch) as u8, 0],
            Self::Counted(age, epoch) => [6 + epoch_index(epoch) as u8, age],
        }
    }

    const fn index(self, n_ages: usize) -> usize {
        match self {
            Self::Unarmed => 0,
            Self::Culled => 1,
            Self::Armed(epoch) => 2 + epoch_index(epoch),
            Self::Counted(age, epoch) => 4 + n_ages * epoch_index(epoch) + age as usize,
        }
    }
}

impl Leases {
    /// The table of an agent whose clock runs at `rate` percent.
    ///
    /// # Panics
    ///
    /// If the real lease is not what its `Kept` says; if it lives longer than ages are told apart; or
    /// if an echo that is older than what it is counted from, or an epoch that is lower than the one
    /// obeyed, changes what the search takes for unchanged.
    pub(super) fn of(grid: &Grid, rate: u32, variant: Variant) -> Self {
        let bench = Bench { grid, variant, step: grid.step(rate) };
        let n_ages = usize::from(grid.age_max()) + 1;
        let mut table = Self {
            n_ages,
            passed: vec![Kept::Culled; 4 + 2 * n_ages],
            renewed: vec![Kept::Culled; (4 + 2 * n_ages) * 2 * n_ages],
            admitted: vec![None; (4 + 2 * n_ages) * 2 * (n_ages + 1)],
        };
        table.add(Kept::Culled, &bench);
        table.add(Kept::Unarmed, &bench);
        for epoch in EPOCHS {
            table.add(Kept::Armed(epoch), &bench);
            for age in 0..grid.age_max() {
                table.add(Kept::Counted(age, epoch), &bench);
            }
        }
        table
    }

    /// One step later, after the lease was asked whether it has run out, and a beat was sent.
    pub(super) fn passed(&self, kept: Kept) -> Kept {
        self.passed[kept.index(self.n_ages)]
    }

    /// After a renewal of this epoch that echoes the beat sent so many steps ago.
    pub(super) fn renewed(&self, kept: Kept, epoch: Epoch, age: u8) -> Kept {
        self.renewed[self.renewal(kept, epoch, age)]
    }

    /// After an order to start of this epoch that echoes the beat sent so many steps ago, if any; `None`
    /// if nothing is started.
    pub(super) fn admitted(&self, kept: Kept, epoch: Epoch, echoed: Option<u8>) -> Option<Kept> {
        self.admitted[self.admission(kept, epoch, echoed)]
    }

    fn admission(&self, kept: Kept, epoch: Epoch, echoed: Option<u8>) -> usize {
        let echoed = echoed.map_or(self.n_ages, usize::from);
        (kept.index(self.n_ages) * 2 + epoch_index(epoch)) * (self.n_ages + 1) + echoed
    }

    const fn renewal(&self, kept: Kept, epoch: Epoch, age: u8) -> usize {
        (kept.index(self.n_ages) * 2 + epoch_index(epoch)) * self.n_ages + age as usize
    }

    fn add(&mut self, kept: Kept, bench: &Bench<'_>) {
        let index = kept.index(self.n_ages);
        self.passed[index] = bench.passed(kept);
        let oldest = Some(bench.grid.age_max());
        assert!(self.passed[index].counted() < oldest, "{kept:?} outlives all that is told apart");
        for epoch in EPOCHS {
            for echoed in (0..=bench.grid.age_max()).map(Some).chain([None]) {
                let index = self.admission(kept, epoch, echoed);
                self.admitted[index] = bench.admitted(kept, epoch, echoed);
            }
            for age in 0..=bench.grid.age_max() {
                let renewed = bench.renewed(kept, epoch, age);
                let index = self.renewal(kept, epoch, age);
                self.renewed[index] = renewed;
                let expected = kept.if_forgotten(epoch, age).unwrap_or(renewed);
                assert!(
                    renewed == expected || bench.variant == Variant::NoEcho,
                    "{kept:?} became {renewed:?} by the echo of {age} steps ago, epoch {epoch}"
                );
            }
        }
    }
}

impl Bench<'_> {
    fn passed(&self, kept: Kept) -> Kept {
        let Some(mut lease) = self.lease(kept, NOW, FIRST_BEAT) else { return kept };
        let now = NOW + self.step;
        if lease.expire(self.grid.cull_reading(now, self.step)) {
            return Kept::Culled;
        }
        lease.beat_sent(now, FIRST_BEAT.next());
        let ends_at = lease.ends_at().expect("it has not run out");
        let passed = Kept::Counted(self.counted(now, ends_at), lease.epoch());
        assert_eq!(Some(&lease), self.lease(passed, now, FIRST_BEAT.next()).as_ref());
        passed
    }

    fn renewed(&self, kept: Kept, epoch: Epoch, age: u8) -> Kept {
        if kept == Kept::Unarmed {
            return Kept::Armed(epoch);
        }
        let Some(mut lease) = self.lease(kept, NOW, FIRST_BEAT) else { return kept };
        let echoed = BeatSeq::new(FIRST_BEAT.number() - u64::from(age));
        if lease.renewed(NOW, epoch, echoed).is_err() {
            return kept;
        }
        if self.variant == Variant::NoEcho {
            return Kept::Armed(epoch);
        }
        let ends_at = lease.ends_at().expect("a renewal ends nothing");
        let renewed = match (kept, self.counted(NOW, ends_at)) {
            (Kept::Armed(_), 0) => Kept::Armed(lease.epoch()),
            (_, counted) => Kept::Counted(counted, lease.epoch()),
        };
        assert_eq!(Some(&lease), self.lease(renewed, NOW, FIRST_BEAT).as_ref());
        renewed
    }

    /// The agent reads an order to start, at worst as late as it culls.
    fn admitted(&self, kept: Kept, epoch: Epoch, echoed: Option<u8>) -> Option<Kept> {
        if self.variant == Variant::ArmedByOrder {
            return Some(Kept::Armed(epoch));
        }
        let mut lease = match kept {
            Kept::Unarmed => return Some(kept),
            Kept::Culled => self.culled(epoch),
            Kept::Armed(_) | Kept::Counted(..) => self.lease(kept, NOW, FIRST_BEAT)?,
        };
        let echoed = echoed.map(|age| BeatSeq::new(FIRST_BEAT.number() - u64::from(age)));
        let now = self.grid.cull_reading(NOW, self.step).min(NOW);
        if !lease.admit(now, epoch, echoed).ok()? {
            return None;
        }
        let ends_at = lease.ends_at().expect("something begins under it");
        let admitted = match (kept, self.counted(NOW, ends_at)) {
            (Kept::Armed(_), 0) => Kept::Armed(lease.epoch()),
            (_, counted) => Kept::Counted(counted, lease.epoch()),
        };
        if kept != Kept::Culled {
            assert_eq!(Some(&lease), self.lease(admitted, NOW, FIRST_BEAT).as_ref());
        }
        Some(admitted)
    }

    /// A lease that has run out long ago. All beats since are remembered that a real one remembers.
    fn culled(&self, epoch: Epoch) -> Lease {
        let n_beats = u32::from(self.grid.age_max());
        let began = NOW.before(self.step * n_beats);
        let mut lease =
            Lease::armed(began.before(self.grid.times.lease * 2), self.grid.times.lease, epoch);
        assert!(lease.expire(began), "it has run out");
        for age in (0..=n_beats).rev() {
            let beat = BeatSeq::new(FIRST_BEAT.number() - u64::from(age));
            lease.beat_sent(NOW.before(self.step * age), beat);
        }
        lease
    }

    /// The real lease, if there is one, when it is `now` and `newest` is the beat of this step.
    fn lease(&self, kept: Kept, now: Timestamp, newest: BeatSeq) -> Option<Lease> {
        let (age, epoch) = (u32::from(kept.counted()?), kept.epoch()?);
        let mut lease = Lease::armed(now.before(self.step * age), self.grid.times.lease, epoch);
        for age in (0..age).rev() {
            let beat = BeatSeq::new(newest.number() - u64::from(age));
            lease.beat_sent(now.before(self.step * age), beat);
        }
        if kept == Kept::Counted(0, epoch) {
            lease.beat_sent(now, newest);
            assert_eq!(lease.renewed(now, epoch, newest), Ok(()));
        }
        Some(lease)
    }

    fn counted(&self, now: Timestamp, ends_at: Timestamp) -> u8 {
        let from = ends_at.before(self.grid.times.lease);
        Grid::steps(now.since(from), self.step)
    }
}

/// The epoch of controller 1, and that of controller 2.
pub(super) const EPOCHS: [Epoch; 2] = [Epoch::new(1), Epoch::new(2)];

/// The moment that is called now, late enough for everything that is remembered to be before it.
pub(super) const NOW: Timestamp = Timestamp::from_start(Duration::from_secs(1_000));

const FIRST_BEAT: BeatSeq = BeatSeq::new(1_000);

const fn epoch_index(epoch: Epoch) -> usize {
    (epoch.number() == EPOCHS[1].number()) as usize
}
