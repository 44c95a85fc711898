//! `Watched`: what the actors in a process are, by their meshes, and who waits for them (L7) or follows them (L1). Pure.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use controller::{AskId, Controlled, Reporter, Waiting};
use mesh_core::{
    Generation, Incarnation, MeshId, Place, RankState, Refusal, Status, Timestamp, Update,
};
use mesh_shape::{Rank, RankSet};

use super::dying::Life;
use super::followers::Followers;
use crate::agent::{WaitRankStatus, Waited};
use crate::report::{ActorKind, ActorReport, ActorState};

/// Of how many meshes that are over it is still known what became of them.
const OVER_MAX: usize = 64;

/// How many may wait at once.
const WAITS_MAX: usize = 1_024;

/// What the actors of each mesh are, who waits for them, and who follows them: `R` is where the answer to a wait goes,
/// `F` where a follower is told.
pub(super) struct Watched<R, F> {
    /// Those that have actors here, or had, or are waited for.
    meshes: BTreeMap<MeshId, Box<Mesh>>,
    followers: Followers<F>,
    waiting: BTreeMap<AskId, Wait<R>>,
    n_asked: u64,
    /// Those that are over, the newest last. Bound: [`OVER_MAX`], and those that have actors which do not end.
    over: VecDeque<MeshId>,
}

struct Mesh {
    reporter: Reporter<ActorKind>,
    may_restart: bool,
    /// Lives that another one has replaced and that have not ended, each with the report of it that was the last. Of
    /// these there are no more than of actors that are to end.
    replaced: BTreeMap<(Rank, Incarnation), Generation>,
}

struct Wait<R> {
    of: (MeshId, Rank),
    reply: R,
}

/// What somebody is answered.
pub(super) type Answered<R> = (R, Result<Waited, Refusal>);

impl<R, F> Default for Watched<R, F> {
    fn default() -> Self {
        let (meshes, waiting) = (BTreeMap::new(), BTreeMap::new());
        let followers = Followers::default();
        Self { meshes, followers, waiting, n_asked: 0, over: VecDeque::new() }
    }
}

impl<R, F: Ord> Watched<R, F> {
    /// Takes note of what an actor is that somebody asks for, and of whether its rank may be started again: a mesh that
    /// was over here is not any more. Returns who has waited for that; who follows it is to be told.
    pub(super) fn note(
        &mut self,
        life: Life,
        now: Timestamp,
        (state, may_restart): (ActorState, bool),
    ) -> Vec<Answered<R>> {
        self.mesh(life.0).may_restart = may_restart;
        // Its keeper was given up, and is met again.
        self.over.retain(|over| *over != life.0);
        self.note_last(life, now, state)
    }

    /// Takes note of what becomes of an actor that nobody asks for any more, if its mesh is known still.
    pub(super) fn note_last(
        &mut self,
        (mesh, rank, incarnation): Life,
        now: Timestamp,
        state: ActorState,
    ) -> Vec<Answered<R>> {
        let Some(known) = self.meshes.get_mut(&mesh) else { return Vec::new() };
        let report = ActorReport::new(state, Place::HEALTHY);
        let mut reached = Vec::new();
        if let Some(end) = known.end_of_replaced((rank, incarnation), &report) {
            self.followers.note(now, (mesh, rank), &end);
        } else if known.is_news(rank, incarnation, &report) {
            known.note_replaced(rank, incarnation);
            reached = known.reporter.report(rank, incarnation, now, report);
            if let Some(is) = known.reporter.newest(rank, now) {
                self.followers.note(now, (mesh, rank), &status_of(is));
            }
        }
        self.close_followers(now, mesh);
        self.answer(reached.into_iter().map(|waited| (waited.ask, true)))
    }

    /// Somebody waits. Returns the answer if there is one at once.
    pub(super) fn wait(
        &mut self,
        now: Timestamp,
        WaitRankStatus { mesh, rank, until, within }: WaitRankStatus,
        reply: R,
    ) -> Option<Answered<R>> {
        self.n_asked += 1;
        let ask = AskId::new(self.n_asked);
        // What needs no time needs no room.
        let has_room = self.waiting.len() < WAITS_MAX;
        let given = if has_room { within } else { Duration::ZERO };
        let ranks = RankSet::from_ranks([rank]);
        let answer = match self.mesh(mesh).reporter.wait(now, ask, &ranks, (until, given)) {
            Waiting::Kept => {
                self.waiting.insert(ask, Wait { of: (mesh, rank), reply });
                return None;
            }
            Waiting::Over(waited) if given == within || waited.missing.is_empty() => {
                Ok(self.waited((mesh, rank), waited.missing.is_empty()))
            }
            Waiting::Over(_) | Waiting::TooMany => Err(Refusal::TooMany { limit: WAITS_MAX }),
        };
        self.forget_unknown(mesh);
        Some((reply, answer))
    }

    /// The waits whose time is over, each with who asked.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Answered<R>> {
        let expired = self.meshes.values_mut().flat_map(|mesh| mesh.reporter.expire(now));
        let expired: Vec<_> = expired.map(|waited| (waited.ask, false)).collect();
        let of = |(ask, _): &(AskId, bool)| self.waiting.get(ask).map(|wait| wait.of.0);
        let meshes: Vec<MeshId> = expired.iter().filter_map(of).collect();
        let answers = self.answer(expired);
        meshes.into_iter().for_each(|mesh| self.forget_unknown(mesh));
        answers
    }

    /// Somebody follows a mesh, which need not be known: the same one twice counts once.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`] if as many do as may; nothing has changed.
    pub(super) fn follow(&mut self, now: Timestamp, mesh: MeshId, to: F) -> Result<(), Refusal> {
        let known = self.meshes.get(&mesh).into_iter().flat_map(|mesh| mesh.updates(now));
        self.followers.follow(now, (mesh, to), known)?;
        self.close_followers(now, mesh);
        Ok(())
    }

    /// Who follows meshes, and is to be told what is due.
    pub(super) const fn followers(&mut self) -> &mut Followers<F> {
        &mut self.followers
    }

    /// When the first wait is over for lack of time.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.meshes.values().filter_map(|mesh| mesh.reporter.next_deadline()).min()
    }

    /// Forgets those who do not wait any more.
    pub(super) fn withdraw(&mut self, is_abandoned: impl Fn(&R) -> bool) {
        let gone = self.waiting.iter().filter(|(_, wait)| is_abandoned(&wait.reply));
        let gone: Vec<_> = gone.map(|(ask, wait)| (*ask, wait.of.0)).collect();
        for (ask, mesh) in gone {
            self.waiting.remove(&ask);
            if let Some(known) = self.meshes.get_mut(&mesh) {
                known.reporter.withdraw(ask);
            }
            self.forget_unknown(mesh);
        }
    }

    /// A mesh is over here: what has become of it stays known for a while, and at least until all of it has ended.
    pub(super) fn close(&mut self, now: Timestamp, mesh: MeshId) {
        if !self.over.contains(&mesh) {
            self.over.push_back(mesh);
        }
        self.close_followers(now, mesh);
        while self.over.len() > OVER_MAX
            && let Some(at) = self.over.iter().position(|mesh| self.has_ended(*mesh))
            && let Some(oldest) = self.over.remove(at)
        {
            // Who waits for another rank of it, one that was never here, is told that there is no answer.
            self.meshes.remove(&oldest);
            self.waiting.retain(|_, wait| wait.of.0 != oldest);
        }
    }

    /// What is known of the actors of a mesh.
    pub(super) fn states(&self, mesh: MeshId) -> Vec<(Rank, RankState)> {
        let known = self.meshes.get(&mesh).into_iter().flat_map(|mesh| mesh.reporter.known());
        known.map(state_of).collect()
    }

    /// What there is to say to who waits for a rank.
    pub(super) fn waited(&self, (mesh, rank): (MeshId, Rank), is_reached: bool) -> Waited {
        let known = self.meshes.get(&mesh);
        let mut states = known.into_iter().flat_map(|mesh| mesh.reporter.known());
        let state = states.find(|(at, ..)| *at == rank).map(|it| state_of(it).1);
        let may_restart = known.is_some_and(|known| self.may_follow(mesh, known));
        Waited { is_reached, state, may_restart }
    }

    fn mesh(&mut self, mesh: MeshId) -> &mut Mesh {
        self.meshes.entry(mesh).or_insert_with(|| {
            // Its keeper says which of its ranks are here.
            let all = RankSet::from(0..usize::MAX);
            let absent = ActorReport::new(ActorState::Absent, Place::HEALTHY);
            let reporter = Reporter::new(ActorKind, all, absent);
            Box::new(Mesh { reporter, may_restart: false, replaced: BTreeMap::new() })
        })
    }

    fn has_ended(&self, mesh: MeshId) -> bool {
        self.meshes.get(&mesh).is_none_or(|known| known.has_ended())
    }

    /// Whether another life may follow one that has ended.
    fn may_follow(&self, mesh: MeshId, known: &Mesh) -> bool {
        known.may_restart && !self.over.contains(&mesh)
    }

    /// Those who follow a mesh are told that it is over, if all that was here has ended and no other life may follow.
    fn close_followers(&mut self, now: Timestamp, mesh: MeshId) {
        let is_over =
            |known: &Mesh| known.is_known() && known.has_ended() && !self.may_follow(mesh, known);
        if self.meshes.get(&mesh).is_some_and(|known| is_over(known)) {
            self.followers.close(now, mesh);
        }
    }

    /// Nothing is kept of a mesh that nothing was heard of and nobody waits for.
    fn forget_unknown(&mut self, mesh: MeshId) {
        let is_unknown =
            |known: &Mesh| !known.is_known() && known.reporter.next_deadline().is_none();
        if self.meshes.get(&mesh).is_some_and(|known| is_unknown(known)) {
            self.meshes.remove(&mesh);
        }
    }

    fn answer(&mut self, waits: impl IntoIterator<Item = (AskId, bool)>) -> Vec<Answered<R>> {
        let mut answers = Vec::new();
        for (ask, is_reached) in waits {
            if let Some(Wait { of, reply }) = self.waiting.remove(&ask) {
                answers.push((reply, Ok(self.waited(of, is_reached))));
            }
        }
        answers
    }
}

impl Mesh {
    /// Something was heard of it.
    fn is_known(&self) -> bool {
        self.reporter.known().next().is_some()
    }

    /// All of it that is known has ended, also what was replaced.
    fn has_ended(&self) -> bool {
        let is_over = |report: &ActorReport| ActorKind.status(report).is_terminal();
        self.replaced.is_empty() && self.reporter.known().all(|(.., report)| is_over(report))
    }

    /// A life of a rank begins: the one before it may not have ended.
    fn note_replaced(&mut self, rank: Rank, next: Incarnation) {
        let Some(last) = self.reporter.newest(rank, Timestamp::START) else { return };
        if last.incarnation < next && !ActorKind.status(&last.report).is_terminal() {
            self.replaced.insert((rank, last.incarnation), last.generation);
        }
    }

    /// How a life has ended that was replaced before it had, once.
    fn end_of_replaced(
        &mut self,
        (rank, incarnation): (Rank, Incarnation),
        report: &ActorReport,
    ) -> Option<Update<Status>> {
        let report = ActorKind.status(report);
        if !report.is_terminal() {
            return None;
        }
        let generation = self.replaced.remove(&(rank, incarnation))?.next();
        Some(Update { incarnation, generation, age: Duration::ZERO, report })
    }

    /// Whether a rank is something else than it was in the same life, which has not ended (H2); or in a later one.
    fn is_news(&self, rank: Rank, incarnation: Incarnation, report: &ActorReport) -> bool {
        let Some(known) = self.reporter.newest(rank, Timestamp::START) else { return true };
        let is_final = ActorKind.status(&known.report).is_terminal();
        match known.incarnation.cmp(&incarnation) {
            Ordering::Less => true,
            Ordering::Equal => !is_final && known.report != *report,
            Ordering::Greater => false,
        }
    }

    /// What is known, numbered.
    fn updates(&self, now: Timestamp) -> impl Iterator<Item = (Rank, Update<Status>)> {
        let known = self.reporter.known();
        known
            .filter_map(move |(rank, ..)| Some((rank, status_of(self.reporter.newest(rank, now)?))))
    }
}

/// What a report says that a rank is.
fn status_of(update: Update<ActorReport>) -> Update<Status> {
    let Update { incarnation, generation, age, report } = update;
    Update { incarnation, generation, age, report: ActorKind.status(&report) }
}

fn state_of((rank, incarnation, report): (Rank, Incarnation, &ActorReport)) -> (Rank, RankState) {
    (rank, RankState { incarnation, status: ActorKind.status(report) })
}

#[cfg(test)]
mod tests;
