//! `Ups`: answers that say nothing anybody waits for go up a moment later, many in one message.
//!
//! That ranks have taken a cast lets those above forget it, and its caster send more; of casts that follow each other
//! that is said of many at once. What is replied, has failed or could not be reached is not held up, and takes with
//! it what waits for the same parent: of one leg, what is said first arrives first.

use std::collections::BTreeMap;

use bytes::Bytes;
use mesh_core::ActorId;

use super::message::Up;
use super::pieces::parts;
use crate::wire::{Answer, Outcome, Progress};

/// How many answers go in one message: the window of a caster.
const TOGETHER: usize = 64;

/// How many runs one may have that waits: all together stay far below what a message may have.
const RUNS: usize = 256;

/// The answers that wait, by whom they are for.
#[derive(Debug, Default)]
pub(super) struct Ups(BTreeMap<ActorId, Vec<Answer<Bytes>>>);

impl Ups {
    /// Takes an answer. Returns what is to be sent now, in order.
    pub(super) fn add(&mut self, to: ActorId, answer: Answer<Bytes>) -> Vec<Up> {
        let can_wait = can_wait(&answer);
        let waiting = self.0.entry(to).or_default();
        if can_wait && waiting.len() + 1 < TOGETHER {
            waiting.push(answer);
            return Vec::new();
        }
        let mut now = self.0.remove(&to).unwrap_or_default();
        if can_wait {
            now.push(answer);
            return vec![Up { answers: now }];
        }
        let before = (!now.is_empty()).then_some(Up { answers: now });
        let parts = parts(answer).into_iter().map(|part| Up { answers: vec![part] });
        before.into_iter().chain(parts).collect()
    }

    /// Takes all that waits.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (ActorId, Up)> + use<> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.map(|(to, answers)| (to, Up { answers }))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether nobody waits for it: it says of a cast only that it has arrived or was taken.
fn can_wait(answer: &Answer<Bytes>) -> bool {
    let is_progress = match answer.progress {
        Progress::Open | Progress::Delivered | Progress::Done => true,
        Progress::Refused | Progress::Dropped => false,
    };
    let mut outcomes = answer.outcomes.runs();
    is_progress
        && answer.outcomes.n_runs() <= RUNS
        && answer.unreached.is_empty()
        && answer.merged.is_none()
        && outcomes.all(|(_, outcome)| matches!(outcome, Outcome::Arrived | Outcome::Taken))
}

#[cfg(test)]
mod tests;
