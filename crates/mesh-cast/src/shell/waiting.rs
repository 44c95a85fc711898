//! `Waiting`: the casts that there is no room for, in the order in which they were made.

use std::collections::VecDeque;
use std::sync::Arc;

use mesh_core::PeerId;

use super::crowd::Crowd;
use super::submit::Submit;
use crate::caster::Busy;
use crate::plan::Plan;

/// What waits: for room, or behind one of the same sender.
///
/// It has no more than [`Door`](super::door::Door) lets in.
#[derive(Default)]
pub(super) struct Waiting {
    queue: VecDeque<Ready>,
    /// All of the queue, as who comes next sees it; but of what is behind one that there is no room for at all nothing.
    crowd: Crowd,
}

/// Something that is to be cast, and the plan for it by the table that was known when it was looked at last.
pub(super) struct Ready {
    pub(super) submit: Submit,
    pub(super) plan: Arc<Plan<PeerId>>,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether it must wait behind what is here.
    pub(super) fn must_wait(&self, Ready { submit, plan }: &Ready) -> bool {
        match submit.ahead {
            Some(_) => self.has_sender(submit),
            None => self.crowd.is_before(&submit.cast, plan) || self.has_sender(submit),
        }
    }

    fn has_sender(&self, submit: &Submit) -> bool {
        let from = submit.cast.payload.from;
        let is_of_it = |it: &Ready| it.submit.cast.payload.from == from;
        self.crowd.has_sender(&submit.cast)
            || (self.is_full() && from.is_some() && self.queue.iter().any(is_of_it))
    }

    /// Whether there is no room for anything.
    pub(super) const fn is_full(&self) -> bool {
        self.crowd.is_full()
    }

    /// One more waits behind those that are here.
    pub(super) fn follow(&mut self, ready: Ready) {
        self.crowd.follow(&ready.submit.cast);
        self.queue.push_back(ready);
    }

    /// One more waits, for which there is no room.
    pub(super) fn join(&mut self, ready: Ready, busy: Busy) {
        self.crowd.join(&ready.submit.cast, busy);
        self.queue.push_back(ready);
    }

    /// Takes all of it, to be tried again.
    pub(super) fn take(&mut self) -> VecDeque<Ready> {
        self.crowd = Crowd::default();
        std::mem::take(&mut self.queue)
    }

    /// Puts the rest back, which need not be tried.
    pub(super) fn put_back(&mut self, mut rest: VecDeque<Ready>) {
        if rest.is_empty() {
            return;
        }
        while let Some(before) = self.queue.pop_back() {
            rest.push_front(before);
        }
        self.queue = rest;
    }

    /// Forgets those that nobody waits for any more. Returns whether there were any: others may have waited for them.
    pub(super) fn forget_gone(&mut self) -> bool {
        let before = self.queue.len();
        self.queue.retain(|ready| !ready.submit.is_gone());
        self.queue.len() < before
    }
}

#[cfg(test)]
mod tests;
