//! `Net`: sessions between pairs of processes: in order, at most once, and lost as a transport loses them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mesh_cast::{Answer, Leg, Settlement, Unreached};

use crate::dice::Dice;

/// What a process hears from another one.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Leg(Leg<u32>),
    Answer(Answer<u32>),
    Settlement(Settlement),
    /// The session was lost; nothing of it is heard after this.
    Lost(Unreached),
}

/// All sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Net {
    /// By sender and receiver; never an empty one.
    queues: BTreeMap<(usize, usize), VecDeque<Heard>>,
    dead: BTreeMap<usize, Unreached>,
    /// Pairs that can never have a session again.
    cut: BTreeSet<(usize, usize)>,
    /// What the first sends to the second is gone, because it does not know yet that the session is; it comes back when
    /// that is known.
    stale: BTreeMap<(usize, usize), Vec<Heard>>,
}

impl Net {
    pub(crate) fn send(&mut self, from: usize, to: usize, what: Heard) {
        if let Some(why) = self.dead.get(&to) {
            self.push(to, from, Heard::Lost(*why));
        } else if self.cut.contains(&(from.min(to), from.max(to))) {
            self.push(to, from, Heard::Lost(Unreached::Lost));
        } else if let Some(back) = self.stale.get_mut(&(from, to)) {
            back.push(what);
        } else {
            self.push(from, to, what);
        }
    }

    /// The sessions on which there is something to hear.
    pub(crate) fn ready(&self) -> impl ExactSizeIterator<Item = (usize, usize)> {
        self.queues.keys().copied()
    }

    /// What is heard next, and if that is a loss, what comes back with it. A process that was suspended may hear what
    /// comes by the next session before it finds out that the last one is lost.
    pub(crate) fn take(
        &mut self,
        (from, to): (usize, usize),
        dice: &mut Dice,
    ) -> Option<(Heard, Vec<Heard>)> {
        let is_word = |heard: &Heard| matches!(heard, Heard::Lost(_));
        let queue = self.queues.get_mut(&(from, to))?;
        let next = queue.iter().position(|heard| !is_word(heard));
        let late = next.filter(|_| queue.front().is_some_and(is_word) && dice.one_in(2));
        let heard = queue.remove(late.unwrap_or(0))?;
        if queue.is_empty() {
            self.queues.remove(&(from, to));
        }
        let back = if is_word(&heard) { self.stale.remove(&(to, from)) } else { None };
        Some((heard, back.unwrap_or_default()))
    }

    /// A process ends: some of what it has sent arrives, and then everybody hears that it is lost.
    pub(crate) fn kill(&mut self, node: usize, others: &[usize], why: Unreached, dice: &mut Dice) {
        self.dead.insert(node, why);
        self.queues.retain(|(_, to), _| *to != node);
        for other in others {
            if !self.dead.contains_key(other) {
                self.lose_half(node, *other, why, dice);
            }
        }
    }

    /// A session between two processes is lost; there can be another one, unless they are cut for good.
    pub(crate) fn lose(&mut self, (one, other): (usize, usize), for_good: bool, dice: &mut Dice) {
        if one == other || self.dead.contains_key(&one) || self.dead.contains_key(&other) {
            return;
        }
        for (from, to) in [(one, other), (other, one)] {
            self.lose_half(from, to, Unreached::Lost, dice);
            self.stale.entry((from, to)).or_default();
        }
        if for_good {
            self.cut.insert((one.min(other), one.max(other)));
        }
    }

    fn lose_half(&mut self, from: usize, to: usize, why: Unreached, dice: &mut Dice) {
        if let Some(queue) = self.queues.get_mut(&(from, to)) {
            let kept = dice.below(queue.len() + 1);
            // What was lost before is not heard of less.
            let is_word = |heard: &Heard| matches!(heard, Heard::Lost(_));
            let words: Vec<_> = queue.drain(kept..).filter(is_word).collect();
            queue.extend(words);
        }
        self.push(from, to, Heard::Lost(why));
    }

    fn push(&mut self, from: usize, to: usize, what: Heard) {
        self.queues.entry((from, to)).or_default().push_back(what);
    }
}
