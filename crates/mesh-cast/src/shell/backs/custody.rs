//! `Custody`: what was passed on to others, and is kept until it is known what became of it.
//!
//! Whoever passes something on keeps it, and so does whoever he has it from: only the process that it goes back to lets
//! all of them go, one after the other. So it is not lost with one who has passed it on, be that killed or cut off; and
//! it may arrive twice, which is seen there.
//!
//! Who has not heard for long what became of something passes it on by another way, and so it may come to one relay by
//! several: that keeps it once, for all of them ([`Again`]). So while the process that it goes back to is suspended it
//! does not become more. That it is passed on by another way is so for a sender in a process of the mesh alone; for
//! others nobody waits for somebody else.

use std::collections::BTreeMap;

use mesh_core::{ActorId, PeerId};

/// What something is known by wherever it is: whom it was for, and a number of its own.
pub(super) type Id = (ActorId, u64);

/// What was passed on, by to whom, and by a number of its own.
#[derive(Debug)]
pub(super) struct Custody<T> {
    last: u64,
    kept: BTreeMap<(ActorId, u64), (Id, T)>,
    /// Where it is. Invariant: each of `kept` is here, and nothing else.
    by_id: BTreeMap<Id, (ActorId, u64)>,
}

/// What becomes of something that somebody passes on.
#[derive(Debug, PartialEq)]
pub(super) enum Again<'a, T> {
    /// It is not here.
    New,
    /// It was passed on, and who has it is waited for: one more who keeps it.
    Waits(&'a mut T),
    /// Whom it was passed on to passes it back, or need not be waited for: it is to go another way.
    Returns(T),
}

impl<T> Custody<T> {
    pub(super) const fn new() -> Self {
        Self { last: 0, kept: BTreeMap::new(), by_id: BTreeMap::new() }
    }

    /// Keeps something that is passed on, and was not kept. Returns the number by which the other one speaks of it.
    pub(super) fn keep(&mut self, to: ActorId, id: Id, it: T) -> u64 {
        self.last += 1;
        self.kept.insert((to, self.last), (id, it));
        self.by_id.insert(id, (to, self.last));
        self.last
    }

    /// Somebody passes something on to here. If who has it may not be waited for, it goes on all the same: so what goes
    /// round and round has an end, by how often it is passed on.
    pub(super) fn again(&mut self, id: Id, from: ActorId, may_wait: bool) -> Again<'_, T> {
        let Some((to, number)) = self.by_id.get(&id).copied() else { return Again::New };
        if to == from || !may_wait {
            return self.take(to, number).map_or(Again::New, Again::Returns);
        }
        self.kept.get_mut(&(to, number)).map_or(Again::New, |(_, it)| Again::Waits(it))
    }

    /// What was passed on to that very one, by that number.
    pub(super) fn take(&mut self, to: ActorId, number: u64) -> Option<T> {
        let (id, it) = self.kept.remove(&(to, number))?;
        self.by_id.remove(&id);
        Some(it)
    }

    /// All that was passed on to a process, in order.
    pub(super) fn take_all(&mut self, peer: PeerId) -> Vec<T> {
        // No actor has this number, and those of a process are neighbours.
        let first = ActorId { proc: peer.proc, life: peer.life, index: 0 };
        let theirs = self.kept.range((first, 0)..).take_while(|((to, _), _)| to.peer() == peer);
        let theirs = theirs.map(|(key, _)| *key).collect();
        self.take_those(theirs)
    }

    /// All that was passed on to that very one, in order.
    pub(super) fn take_of(&mut self, to: ActorId) -> Vec<T> {
        let theirs = self.kept.range((to, 0)..=(to, u64::MAX)).map(|(key, _)| *key).collect();
        self.take_those(theirs)
    }

    fn take_those(&mut self, keys: Vec<(ActorId, u64)>) -> Vec<T> {
        keys.into_iter().filter_map(|(to, number)| self.take(to, number)).collect()
    }

    /// All that was passed on: to whom, by which number, and what.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ActorId, u64, &T)> {
        self.kept.iter().map(|((to, number), (_, it))| (*to, *number, it))
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.kept.values_mut().map(|(_, it)| it)
    }

    /// To whom something was passed on.
    pub(super) fn holders(&self) -> Vec<ActorId> {
        let mut holders: Vec<_> = self.kept.keys().map(|(to, _)| *to).collect();
        holders.dedup();
        holders
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{Incarnation, ProcId};

    use super::*;

    fn actor(proc: u128, index: u64) -> ActorId {
        ActorId { proc: ProcId::from_random(proc << 64), life: Incarnation::FIRST, index }
    }

    fn id(number: usize) -> Id {
        (actor(9, 2), number as u64)
    }

    /// R3: nobody says for another that something has arrived.
    #[test]
    fn only_whom_it_was_passed_on_to_says_what_became_of_it() {
        let (one, other) = (actor(1, 3), actor(2, 3));
        let mut custody = Custody::new();
        let number = custody.keep(one, id(1), "it");
        let foreign = [(other, number), (actor(1, 5), number), (one, number + 1)];
        assert!(foreign.into_iter().all(|(to, number)| custody.take(to, number).is_none()));
        assert_eq!(custody.take(one, number), Some("it"));
        assert_eq!(custody.take(one, number), None, "once");
        assert_eq!(custody.holders(), []);
    }

    /// R3: what was passed on to a process that is lost is all there, in order, and what others have is not.
    #[test]
    fn what_a_lost_process_had_is_kept() {
        let (one, other) = (actor(1, 3), actor(2, 3));
        let mut custody = Custody::new();
        for it in 0..6 {
            custody.keep([one, other, one][it % 3], id(it), it);
        }
        assert_eq!(custody.holders(), [one, other]);
        assert_eq!(custody.take_all(one.peer()), [0, 2, 3, 5]);
        assert_eq!(custody.take_all(one.peer()), []);
        assert_eq!(custody.take_all(other.peer()), [1, 4]);
    }

    /// R3: that one does not take it says nothing of others who live in the same process.
    #[test]
    fn what_one_refuses_others_beside_it_still_have() {
        let (one, beside) = (actor(1, 3), actor(1, 5));
        let mut custody = Custody::new();
        for it in 0..4 {
            custody.keep([one, beside][it % 2], id(it), it);
        }
        assert_eq!(custody.take_of(one), [0, 2]);
        assert_eq!(custody.holders(), [beside]);
        assert_eq!(custody.take_all(one.peer()), [1, 3]);
    }

    /// R3: what comes by several ways is kept once, and goes on if whom it was passed on to passes it back.
    #[test]
    fn what_comes_by_several_ways_is_kept_once() {
        let [one, other, third] = [1, 2, 3].map(|proc| actor(proc, 3));
        let (it, another) = ((actor(9, 2), 7), (actor(8, 2), 7));
        let mut custody = Custody::new();
        assert_eq!(custody.again(it, one, true), Again::New);
        let number = custody.keep(other, it, 1);
        let Again::Waits(n_sources) = custody.again(it, third, true) else { panic!("it is here") };
        *n_sources += 1;
        assert_eq!(
            custody.again(another, third, true),
            Again::New,
            "of another, with the same number"
        );
        assert_eq!(custody.again(it, other, true), Again::Returns(2));
        assert_eq!(custody.again(it, one, true), Again::New);
        assert_eq!(custody.take(other, number), None);
        custody.keep(one, it, 3);
        assert_eq!(custody.again(it, third, false), Again::Returns(3), "nobody waits for it");
        custody.keep(one, it, 4);
        assert_eq!(custody.take_all(one.peer()), [4]);
        assert!(custody.by_id.is_empty());
    }
}
