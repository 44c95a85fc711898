//! What runs of ranks are, each kept once: a run names its cell by a number of four bytes.

use mesh_core::{Generation, Incarnation, Stall, Status, Timestamp};

use crate::pool::{Id, Pool, Pooled};
use crate::silence::Contact;

/// What is known of one rank.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) status: Status,
    pub(crate) contact: Contact,
    pub(crate) incarnation: Incarnation,
    pub(crate) generation: Generation,
    /// Whether its agent has spoken of this life: the order to start it has arrived.
    pub(crate) is_begun: bool,
    /// Whether no other life can begin where this one was, as its agent said last.
    pub(crate) is_barred: bool,
    /// When the evidence of its failure was seen; the start of time if it has not failed, so that
    /// ranks which end well at different times are alike.
    pub(crate) failed_at: Timestamp,
}

impl Cell {
    /// Nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        status: Status::NotExist,
        contact: Contact::Heard,
        incarnation: Incarnation::FIRST,
        generation: Generation::FIRST,
        is_begun: false,
        is_barred: false,
        failed_at: Timestamp::START,
    };

    /// The status that others see: silence covers what was last reported, except where there is
    /// nothing to doubt (an end, a stop that is asked for, a process that the kernel has suspended:
    /// H3, H4).
    pub(crate) fn view(&self) -> Status {
        match self.doubt() {
            Contact::Heard => self.status.clone(),
            Contact::Suspect => Status::Suspect,
            Contact::Unreachable => Status::Unreachable,
        }
    }

    /// Whether nobody has spoken of the rank since its mesh was adopted, nor has it been taken for
    /// forgotten: that its agent was silent for too long says nothing of its life.
    pub(crate) fn is_unheard(&self) -> bool {
        let is_open = matches!(self.status, Status::NotExist | Status::Timeout { .. });
        is_open && !self.is_begun && self.incarnation == Incarnation::FIRST
    }

    /// How far the silence of its agent is a reason to doubt what was last reported.
    fn doubt(&self) -> Contact {
        let is_doubtful = matches!(
            self.status,
            Status::Initializing
                | Status::Running
                | Status::Stalled(Stall::Handler { .. } | Stall::DumpingCore)
                // Of what it lives in: its own agent may be silent for longer.
                | Status::Suspect
        );
        if is_doubtful { self.contact } else { Contact::Heard }
    }
}

/// The number of a cell in its [`Cells`].
pub(crate) type CellId = Id;

/// The cells in use. Equal cells mostly have one number, but need not: only neighbouring runs must
/// (see [`Health`](crate::health::Health)).
///
/// Ranks that fail each with a cause of its own mostly do so in the same life, so lives are kept apart.
#[derive(Clone, Debug)]
pub(crate) struct Cells {
    seen: Pool<Seen>,
    lives: Pool<Life>,
}

/// What was seen of a life.
#[derive(Clone, Debug)]
struct Seen {
    status: Status,
    failed_at: Timestamp,
    life: Id,
    n_users: u32,
}

/// What a life is called, and how well it is known.
#[derive(Clone, Debug)]
struct Life {
    incarnation: Incarnation,
    generation: Generation,
    contact: Contact,
    is_begun: bool,
    is_barred: bool,
    n_users: u32,
}

impl Cells {
    pub(crate) const fn new() -> Self {
        Self { seen: Pool::new(), lives: Pool::new() }
    }

    pub(crate) fn get(&self, id: CellId) -> Cell {
        #[cfg(test)]
        visits::count(1);
        let seen = self.seen.get(id);
        let life = self.lives.get(seen.life);
        Cell {
            status: seen.status.clone(),
            contact: life.contact,
            incarnation: life.incarnation,
            generation: life.generation,
            is_begun: life.is_begun,
            is_barred: life.is_barred,
            failed_at: seen.failed_at,
        }
    }

    /// Whether two numbers are of equal cells.
    pub(crate) fn is_like(&self, one: CellId, other: CellId) -> bool {
        let (one, other) = (self.seen.get(one), self.seen.get(other));
        one.status == other.status
            && one.failed_at == other.failed_at
            && self.lives.get(one.life).is_like(self.lives.get(other.life))
    }

    /// The number of a cell that equals this one, for one more user.
    pub(crate) fn take(&mut self, cell: Cell) -> CellId {
        let Cell { status, contact, incarnation, generation, is_begun, is_barred, failed_at } =
            cell;
        let life = Life { incarnation, generation, contact, is_begun, is_barred, n_users: 0 };
        let life = self.lives.take(life);
        let id = self.seen.take(Seen { status, failed_at, life, n_users: 0 });
        let is_new = self.seen.get(id).n_users == 1;
        if !is_new {
            self.lives.release(life);
        }
        id
    }

    /// One more user.
    pub(crate) fn share(&mut self, id: CellId) {
        self.seen.share(id);
    }

    /// One user less.
    pub(crate) fn release(&mut self, id: CellId) {
        if let Some(unused) = self.seen.release(id) {
            self.lives.release(unused.life);
        }
    }
}

impl Pooled for Seen {
    const NOTHING: Self =
        Self { status: Status::NotExist, failed_at: Timestamp::START, life: Id::NONE, n_users: 0 };

    fn n_users(&mut self) -> &mut u32 {
        &mut self.n_users
    }

    fn is_like(&self, other: &Self) -> bool {
        self.life == other.life && self.failed_at == other.failed_at && self.status == other.status
    }
}

impl Pooled for Life {
    const NOTHING: Self = Self {
        incarnation: Incarnation::FIRST,
        generation: Generation::FIRST,
        contact: Contact::Heard,
        is_begun: false,
        is_barred: false,
        n_users: 0,
    };

    fn n_users(&mut self) -> &mut u32 {
        &mut self.n_users
    }

    fn is_like(&self, other: &Self) -> bool {
        let words = |life: &Self| (life.is_begun, life.is_barred);
        let parts = |life: &Self| (life.incarnation, life.generation, life.contact, words(life));
        parts(self) == parts(other)
    }
}

/// How many cells, and other things that are kept for each rank, were looked at on this thread: what a
/// step costs, without a clock.
#[cfg(test)]
pub(crate) mod visits {
    use std::cell::Cell;

    thread_local! {
        static N: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn count(n: usize) {
        N.set(N.get() + n);
    }

    /// How many `act` looks at.
    pub(crate) fn of(act: impl FnOnce()) -> usize {
        let before = N.get();
        act();
        N.get() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H8. So that a disturbed rank takes at most 64 bytes, its two runs included.
    #[test]
    fn what_was_seen_of_a_life_takes_forty_bytes() {
        assert_eq!((size_of::<Seen>(), size_of::<CellId>()), (40, 4));
    }
}
