//! What is searched: the grid of time, the clocks, what is broken, what must hold.

use std::time::Duration;

use mesh_core::Timestamp;

use super::leases::Leases;
use crate::config::Times;

/// A search to be made.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) grid: Grid,
    pub(super) variant: Variant,
    pub(super) goal: Goal,
    pub(super) n_ranks: usize,
    /// Whether orders to start are on their way for any time, and leases from before they arrive.
    pub(super) has_late_starts: bool,
    /// One step of time on the clock of each controller; that of an agent is in its table.
    pub(super) steps: [Duration; 2],
    pub(super) leases: [Leases; 2],
}

/// Time in steps, and how the readings of the clocks are rounded to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub(super) times: Times,
    pub(super) steps_per_lease: u32,
    pub(super) rounding: Rounding,
}

/// How a moment between two steps is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Everything happens at the steps, and the agent culls at once.
    None,
    /// Everything happens at the steps, and the agent culls as late as K2 allows.
    Late,
    /// In favour of two lives: the agent culls a step late and as late as K2 allows on top of that,
    /// and the controller judges a step early.
    Outliving,
    /// In favour of needless harm: the agent culls, and the controller judges, a step early.
    Harming,
}

/// How fast the clocks run, in percent of true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) agents: [u32; 2],
    pub(super) controllers: [u32; 2],
}

/// What is as it is in the product, or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variant {
    /// Nothing is broken.
    Sound,
    /// A renewal extends the lease from its receipt, whatever it echoes.
    NoEcho,
    /// A rank has no lease before the first renewal.
    ArmedLate,
    /// Silence is counted from the sending of the last poll before the beat that was heard.
    CountedFromPoll,
    /// The second controller has never heard anybody, and judges by that (rule 9).
    CountedFromBeginning,
    /// No fencing by death: the first controller goes on when the second has taken over.
    BothReign,
    /// An order to start arms a lease when it arrives, whenever that is.
    ArmedByOrder,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// No rank is given up while it lives.
    OneLife,
    /// No rank is culled or given up while the newest beat whose echo has come through is no older
    /// than so many steps.
    NoHarm(u8),
}

impl Model {
    pub(super) fn new(grid: Grid, rates: Rates, goal: Goal) -> Self {
        Self::broken(grid, rates, goal, Variant::Sound)
    }

    pub(super) fn broken(grid: Grid, rates: Rates, goal: Goal, variant: Variant) -> Self {
        let steps = rates.controllers.map(|rate| grid.step(rate));
        let is_told = |step: Duration| step * u32::from(grid.age_max()) >= grid.times.timeout;
        assert!(steps.into_iter().all(is_told), "the silence is counted until it is too long");
        Self {
            grid,
            variant,
            goal,
            n_ranks: 1,
            has_late_starts: variant == Variant::ArmedByOrder,
            steps,
            leases: rates.agents.map(|rate| Leases::of(&grid, rate, variant)),
        }
    }

    pub(super) fn with_two_ranks(self) -> Self {
        Self { n_ranks: 2, ..self }
    }

    pub(super) fn with_late_starts(self) -> Self {
        Self { has_late_starts: true, ..self }
    }

    /// The time between two polls, on the clock of a controller.
    pub(super) fn check(&self, by: usize) -> Duration {
        self.steps[by] * (self.grid.steps_per_lease / 4)
    }
}

impl Grid {
    /// One step on a clock that runs at `rate` percent.
    pub(super) fn step(&self, rate: u32) -> Duration {
        self.times.lease * rate / 100 / self.steps_per_lease
    }

    /// How many steps a time is.
    ///
    /// # Panics
    ///
    /// If it is not a whole number of them: nothing happens between two steps.
    pub(super) fn steps(time: Duration, step: Duration) -> u8 {
        let (time, step) = (time.as_nanos(), step.as_nanos());
        assert_eq!(time % step, 0, "{time} ns are not a multiple of {step} ns");
        u8::try_from(time / step).expect("ages are bounded")
    }

    /// The age from which on nothing is told apart: older than what any lease that runs is counted
    /// from.
    pub(super) fn age_max(&self) -> u8 {
        u8::try_from(self.steps_per_lease * 3 / 2 + 1).expect("the grid is coarse")
    }

    /// What the agent reads, at worst, when it asks whether a lease has run out.
    pub(super) fn cull_reading(&self, now: Timestamp, step: Duration) -> Timestamp {
        let lateness = (self.times.lease / 10).max(Duration::from_secs(1));
        match self.rounding {
            Rounding::None => now,
            Rounding::Late => now.before(lateness),
            Rounding::Outliving => now.before(lateness + step),
            Rounding::Harming => now + step,
        }
    }

    /// What the controller reads, at worst, when it judges.
    pub(super) fn judge_reading(&self, now: Timestamp, step: Duration) -> Timestamp {
        match self.rounding {
            Rounding::None | Rounding::Late => now,
            Rounding::Outliving | Rounding::Harming => now + step,
        }
    }
}
