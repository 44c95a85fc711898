//! `Queue`: what a process has submitted to be cast to a mesh and is not on its way, in the order of that.

#![expect(
    clippy::disallowed_types,
    reason = "the machines have no lock: programs share this with their caster"
)]

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mesh_shape::RankSet;

use super::crowd::{Crowd, Lack, Refused, Turn, Who};
use super::submit::Submit;
use crate::caster::{Busy, News, Share, Until};
use crate::limits::Limits;

/// It is kept beside the casters, so that one that begins anew after a pause leaves to the next what waits for room, in
/// its order (R2).
///
/// What its caster has looked at has a bound, that of [`Crowd`]. What it has not looked at yet is what programs have
/// begun to cast since it had its last turn: somebody waits for each, but for those few that were made
/// [ahead](super::ahead::Ahead).
pub(super) struct Queue(Mutex<State>);

struct State {
    last: u64,
    new: VecDeque<(u64, Submit)>,
    crowd: Crowd<Submit>,
}

impl Queue {
    /// One more, behind all that came before. Returns its number.
    pub(super) fn push(&self, submit: Submit) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.new.push_back((number, submit));
        number
    }

    /// Whoever waited for one has gone, and it is not cast any more unless it was claimed before. Returns which ranks had no
    /// room for it, if the caster has looked at it.
    pub(super) fn leave(&self, number: u64) -> Option<RankSet> {
        // What is not looked at yet is seen to have nobody who waits when it is.
        let left = self.lock().crowd.leave(number);
        left.map(|(held_by, _)| held_by)
    }

    /// Takes what was not looked at yet.
    pub(super) fn take_new(&self) -> VecDeque<(u64, Submit)> {
        std::mem::take(&mut self.lock().new)
    }

    /// One of those that were new waits for its turn, if anybody waits for it.
    pub(super) fn come(&self, number: u64, who: Who, submit: Submit) {
        let mut state = self.lock();
        if !submit.is_gone() {
            state.crowd.come(number, who, submit);
        }
    }

    /// There may be more room than before.
    pub(super) fn hear(&self, news: &News, share: &Share) {
        self.lock().crowd.hear(news, share);
    }

    /// As [`Crowd::next`].
    pub(super) fn next(
        &self,
        lacks: impl Fn(Lack, usize, &RankSet) -> Option<Until>,
    ) -> Option<Turn<Submit>> {
        self.lock().crowd.next(lacks)
    }

    /// One that was tried is on its way, or is not to be any more.
    pub(super) fn done(&self, number: u64) {
        self.lock().crowd.done(number);
    }

    /// One that was tried found no room. It comes back if it may not wait.
    pub(super) fn wait(
        &self,
        (number, submit): (u64, Submit),
        full: (Busy, Until),
    ) -> Option<Refused<Submit>> {
        let mut state = self.lock();
        if submit.is_gone() {
            // Since it was taken to be tried.
            state.crowd.done(number);
            return None;
        }
        state.crowd.wait(number, submit, full)
    }

    /// Another caster goes on, which has tried nothing yet.
    pub(super) fn begin_anew(&self) {
        self.lock().crowd.begin_anew();
    }

    /// Takes all of it, since nobody casts it. To be dropped without a lock: what was made ahead goes back to its sender.
    pub(super) fn take(&self) -> impl Sized + use<> {
        let mut state = self.lock();
        let new = std::mem::take(&mut state.new);
        (std::mem::replace(&mut state.crowd, Crowd::new(Limits::DEFAULT)), new)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        let state = self.lock();
        state.new.len() + state.crowd.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Queue {
    fn default() -> Self {
        let crowd = Crowd::new(Limits::DEFAULT);
        Self(Mutex::new(State { last: 0, new: VecDeque::new(), crowd }))
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish()
    }
}
