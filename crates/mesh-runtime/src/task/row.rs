//! Messages that are alike and follow each other: they are handled in one go.
//!
//! To choose what comes next, to look for its type and to say what became of it takes longer than to handle most
//! messages. Of those in a row it is done once.

use std::task::Context as TaskContext;

use super::{ActorTask, Life, Next, Stage, Turn};
use crate::actor::{Actor, Stop};
use crate::mailbox::Line;
use crate::panics::caught;
use crate::pulse::{Slot, Word};
use crate::shared::Shared;

/// What is handled in one go: its stack takes one message after the other, as long as [`begins`](Self::begins) says so.
pub(crate) struct Row<'a, 'b, A: Actor> {
    pub(crate) cx: &'a mut TaskContext<'b>,
    shared: &'a Shared<A>,
    word: Word,
    slot: Slot,
    /// How many were taken out of the stack.
    n_begun: u8,
    n_max: u8,
}

/// What a row has come to.
pub(crate) enum Ran<A: Actor> {
    /// What was begun has been handled. There may be more.
    Handled(Box<Life<A>>),
    /// What was begun last awaits something.
    Waits,
    /// What was begun last is not followed by the next one without a look at what became of it.
    Ended(Turn<A>),
}

impl<A: Actor> Row<'_, '_, A> {
    /// Whether another message may be begun now: it must be then.
    pub(crate) fn begins(&mut self) -> bool {
        let begins = self.n_begun < self.n_max && !self.shared.mailbox.is_urgent();
        if begins {
            self.n_begun += 1;
            // Whoever watches looks at it already: of the message before.
            self.word = self.word.begin(self.slot);
            self.shared.pulse.set(self.word);
        }
        begins
    }
}

impl<A: Actor> ActorTask<A> {
    /// Goes on with those that follow the message that was handled last, if they are like it and nothing else is to
    /// be done between them.
    pub(super) fn go_on_in_row(&mut self, cx: &mut TaskContext<'_>) -> Next {
        if self.batch.is_empty() {
            return Next::Step;
        }
        let n_max = self.n_in_row();
        let (port, slot) = self.last;
        if n_max == 0 || self.batch.label().is_none_or(|(next, _)| next != port) {
            return Next::Step;
        }
        let Some((stack, n_alike)) = self.batch.first_run() else { return Next::Step };
        let Some(life) = self.life.take() else { return Next::Step };
        let n_max = n_max.min(u8::try_from(n_alike).unwrap_or(u8::MAX));
        let (shared, word) = (&*self.shared, self.word);
        let mut row = Row { cx, shared, word, slot, n_begun: 0, n_max };
        let ran = caught(|| stack.go_on(life, &mut self.turn, &mut row));
        let n_begun = row.n_begun;
        self.word = row.word;
        self.begun_in_row(n_begun);
        match ran {
            Ok(Ran::Handled(life)) => self.life = Some(life),
            Ok(Ran::Waits) => {
                self.is_busy = true;
                return self.awaits();
            }
            Ok(Ran::Ended(turn)) => self.turn_ended(turn),
            Err(failure) => self.turn_ended(Turn { life: None, outcome: Err(failure) }),
        }
        Next::Step
    }

    /// How many messages may be handled in a row: none where something is to be done for each.
    fn n_in_row(&self) -> u8 {
        let is_serving = matches!(self.stage, Stage::Serving) && self.asides.is_empty();
        let is_ending = self.failure.is_some() || self.stop >= Some(Stop::Now);
        if !is_serving || is_ending || tracing::enabled!(tracing::Level::TRACE) {
            return 0;
        }
        let until_released = (self.pace.told_together(A::MAILBOX) - 1).saturating_sub(self.n_begun);
        u8::try_from(until_released).unwrap_or(u8::MAX).min(self.untimed)
    }

    fn begun_in_row(&mut self, n: u8) {
        self.batch.taken(n.into());
        self.n_begun += u32::from(n);
        self.n_steps += u32::from(n);
        // Not cut: there are no more in a row than are not timed.
        self.untimed = self.untimed.saturating_sub(n);
    }
}
