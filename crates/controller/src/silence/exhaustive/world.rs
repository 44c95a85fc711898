//! The world between two events: who reigns, and what has become of each rank. And every event.

use super::leases::{EPOCHS, Kept};
use super::model::{Goal, Model, Variant};
use super::rank::Rank;

/// Everything that decides what may happen next. Time is not in it: only ages are, so that a run may
/// be as long as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct World {
    reign: Reign,
    /// `None`: whatever still happens to it breaks nothing.
    ranks: [Option<Rank>; 2],
}

/// Which controller lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reign {
    First,
    Nobody,
    Second,
}

/// What may happen. `by` is the index of a controller, an age is in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An order to start reaches the agent, which echoes the beat of that age, or none.
    Start { rank: usize, by: usize, echoed: Option<u8> },
    /// The controller hears the beat of that age.
    Hear { rank: usize, by: usize, age: u8 },
    /// The agent reads a renewal that echoes the beat of that age.
    Renew { rank: usize, by: usize, age: u8 },
    /// The first controller dies.
    Crash,
    /// The second controller starts.
    TakeOver,
    /// A step of time passes.
    Pass,
    /// A step of time passes, and the controller sleeps through it.
    Pause,
}

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// It was given up and may live elsewhere, but it lives here.
    TwoLives { rank: usize },
    /// It was culled or given up, though its echoes came through.
    Harmed { rank: usize },
}

impl World {
    /// Everything was just started.
    pub(super) fn start(model: &Model) -> Self {
        let kept = match model.variant {
            Variant::ArmedLate => Kept::Unarmed,
            Variant::Sound
            | Variant::NoEcho
            | Variant::CountedFromPoll
            | Variant::CountedFromBeginning
            | Variant::BothReign
            | Variant::ArmedByOrder => Kept::Armed(EPOCHS[0]),
        };
        let rank = Rank::new(kept, !model.has_late_starts);
        Self { reign: Reign::First, ranks: [Some(rank), (model.n_ranks == 2).then_some(rank)] }
    }

    /// Every event that may happen next and change anything, the plainest first.
    pub(super) fn events(&self, model: &Model) -> Vec<Event> {
        let mut events = Vec::new();
        if self.ranks == [None; 2] {
            return events;
        }
        for (rank, of) in self.ranks.iter().enumerate() {
            let Some(of) = of else { continue };
            for by in (0..2).filter(|by| self.is_listening(*by, model)) {
                events.extend(of.audible(by, model).map(|age| Event::Hear { rank, by, age }));
            }
            for by in 0..2 {
                let ages = of.echoes(by, model, &model.leases[rank]);
                events.extend(ages.map(|age| Event::Renew { rank, by, age }));
            }
            for by in 0..2 {
                let orders = of.orders(by, model, &model.leases[rank]);
                events.extend(orders.map(|echoed| Event::Start { rank, by, echoed }));
            }
        }
        events.push(Event::Pass);
        events.extend_from_slice(match self.reign {
            Reign::First if model.variant == Variant::BothReign => &[Event::TakeOver, Event::Pause],
            Reign::First => &[Event::Crash, Event::Pause],
            Reign::Nobody => &[Event::TakeOver],
            Reign::Second => &[Event::Pause],
        });
        events
    }

    /// The world after `event`.
    pub(super) fn after(mut self, event: Event, model: &Model) -> Result<Self, Broken> {
        let reigns = self.reign.index();
        match event {
            Event::Start { rank, by, echoed } => {
                let leases = &model.leases[rank];
                self.with(rank, |of| of.start(by, echoed, leases));
            }
            Event::Hear { rank, by, age } => {
                self.with(rank, |of| of.hear(by, age, reigns == Some(by), model));
            }
            Event::Renew { rank, by, age } => {
                let leases = &model.leases[rank];
                self.with(rank, |of| of.renew(by, age, leases, model.goal));
            }
            Event::Crash => self.reign = Reign::Nobody,
            Event::TakeOver => self.reign = Reign::Second,
            Event::Pass | Event::Pause => {
                for (rank, leases) in model.leases.iter().enumerate() {
                    self.with(rank, |of| {
                        of.age(leases, model);
                        if let Some(by) = reigns {
                            of.be_judged(by, event == Event::Pause, model);
                        }
                    });
                }
            }
        }
        if matches!(event, Event::Crash | Event::TakeOver) {
            for rank in 0..2 {
                self.with(rank, |of| of.change_reign(event == Event::TakeOver, model));
            }
        }
        self.settle(model)
    }

    /// Judges the new world, and forgets what breaks nothing any more.
    fn settle(mut self, model: &Model) -> Result<Self, Broken> {
        let is_first_over = !self.is_listening(0, model) && self.reign != Reign::First;
        for rank in 0..2 {
            let Some(of) = &mut self.ranks[rank] else { continue };
            if of.is_alive() && of.is_given_up {
                return Err(Broken::TwoLives { rank });
            }
            let is_fed = matches!(model.goal, Goal::NoHarm(within) if of.echoed <= within);
            if is_fed && (of.kept == Kept::Culled || of.is_given_up) {
                return Err(Broken::Harmed { rank });
            }
            let is_starved = matches!(model.goal, Goal::NoHarm(_)) && !is_fed;
            if (of.kept == Kept::Culled && of.is_started) || is_starved {
                self.ranks[rank] = None;
            } else {
                of.forget(is_first_over, model);
            }
        }
        Ok(self)
    }

    /// The world as one number, which is quick to compare.
    pub(super) fn key(&self) -> u128 {
        let ranks = self.ranks.map(|rank| rank.map_or(0, |rank| u128::from(rank.key())));
        (ranks[0] << 64 | ranks[1]) << 2 | self.reign as u128
    }

    fn with(&mut self, rank: usize, change: impl FnOnce(&mut Rank)) {
        if let Some(rank) = &mut self.ranks[rank] {
            change(rank);
        }
    }

    /// Whether the controller hears what reaches it.
    fn is_listening(&self, by: usize, model: &Model) -> bool {
        let is_zombie = model.variant == Variant::BothReign && self.reign == Reign::Second;
        self.reign.index() == Some(by) || is_zombie
    }
}

impl Reign {
    const fn index(self) -> Option<usize> {
        match self {
            Self::First => Some(0),
            Self::Nobody => None,
            Self::Second => Some(1),
        }
    }
}
