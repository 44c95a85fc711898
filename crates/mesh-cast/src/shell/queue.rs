//! `Queue`: what a process has submitted to be cast to a mesh and is not on its way, in the order of that.

#![expect(
    clippy::disallowed_types,
    reason = "the machines have no lock: programs share this with their caster"
)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::submit::Submit;

/// It is kept beside the casters, so that one that begins anew after a pause leaves to the next what waits for room, in
/// its order (R2).
///
/// What its caster has looked at has a bound, that of [`Crowd`](super::crowd::Crowd). What it has not looked at yet is
/// what programs have begun to cast since it had its last turn: somebody waits for each, but for those few that were
/// made [ahead](super::ahead::Ahead).
#[derive(Default)]
pub(super) struct Queue(Mutex<VecDeque<Submit>>);

impl Queue {
    pub(super) fn push(&self, submit: Submit) {
        self.lock().push_back(submit);
    }

    /// Takes all of it, to be tried.
    pub(super) fn take(&self) -> VecDeque<Submit> {
        std::mem::take(&mut *self.lock())
    }

    /// Puts back what has been taken and is still to wait, before what has come meanwhile.
    pub(super) fn put_back(&self, mut rest: VecDeque<Submit>) {
        if rest.is_empty() {
            return;
        }
        let mut queue = self.lock();
        rest.append(&mut queue);
        *queue = rest;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Submit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish()
    }
}
