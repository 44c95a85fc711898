//! What runs of ranks are, each kept once: a run names its cell by a number of four bytes.

use std::collections::VecDeque;

use mesh_core::{Generation, Incarnation, Stall, Status, Timestamp};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CellId(u32);

/// The cells in use. Equal cells mostly have one number, but need not: only neighbouring runs must
/// (see [`Health`](crate::health::Health)).
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    slots: Vec<Slot>,
    free: Vec<CellId>,
    /// The cells made last, newest first: ranks that change one after the other become alike.
    recent: VecDeque<CellId>,
}

#[derive(Clone, Debug)]
struct Slot {
    cell: Cell,
    /// The number of runs that name it.
    runs: u32,
}

/// How many cells are looked at before a new one is made.
const RECENT: usize = 16;

impl Cells {
    pub(crate) fn get(&self, id: CellId) -> &Cell {
        &self.slots[id.0 as usize].cell
    }

    /// The number of a cell that equals this one. It is in use only when a run is added to it.
    pub(crate) fn intern(&mut self, cell: Cell) -> CellId {
        if let Some(known) = self.recent.iter().find(|id| *self.get(**id) == cell) {
            return *known;
        }
        let slot = Slot { cell, runs: 0 };
        let id = if let Some(id) = self.free.pop() {
            self.slots[id.0 as usize] = slot;
            id
        } else {
            let id = CellId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
            self.slots.push(slot);
            id
        };
        self.recent.push_front(id);
        if let Some(dropped) =
            (self.recent.len() > RECENT).then(|| self.recent.pop_back()).flatten()
        {
            self.free_if_unused(dropped);
        }
        id
    }

    pub(crate) fn add_run(&mut self, id: CellId) {
        self.slots[id.0 as usize].runs += 1;
    }

    pub(crate) fn drop_run(&mut self, id: CellId) {
        self.slots[id.0 as usize].runs -= 1;
        if !self.recent.contains(&id) {
            self.free_if_unused(id);
        }
    }

    fn free_if_unused(&mut self, id: CellId) {
        let slot = &mut self.slots[id.0 as usize];
        if slot.runs == 0 {
            slot.cell = Cell::UNKNOWN;
            self.free.push(id);
        }
    }
}
