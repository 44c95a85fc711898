//! What a ref knows of its mesh: where its ranks are, and what they are.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use mesh_cast::shell::{CasterRef, Seat, Table as CastTable};
use mesh_core::{
    ActorId, Change, Incarnation, MeshId, MeshRequest, News, PeerId, Plane, PortRef, Progress,
    Status, Subject,
};
use mesh_runtime::Proc;
use mesh_shape::{Rank, RankSet, Region, ValueMesh};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::call::find;
use crate::rank_error::Ended;
use crate::ways::Ways;
use crate::wire::{GetMembers, Home, Member, Members};

mod ends;
mod follower;
mod lines;
mod roster;
mod shared;
mod subscribed;
mod table;

use ends::Ends;
pub(crate) use follower::BEGUN_WITHIN;
use follower::Follower;
use lines::Lines;
pub(crate) use lines::{Pair, Place, Turn};
use roster::Open;
pub(crate) use roster::{Called, Roster, Seated, Way};
pub(crate) use subscribed::Subscribed;
pub(crate) use table::Table;

/// What a process knows of a mesh, kept up to date by a task on its control plane for as long as a ref there
/// uses it.
#[derive(Debug)]
pub(crate) struct View {
    table: watch::Receiver<Table>,
    pub(crate) ways: Ways,
    pub(crate) lines: Arc<Lines>,
    pub(crate) ends: Ends,
    /// Of what was known when something was sent last.
    roster: Mutex<Option<Arc<Roster>>>,
    follower: AbortHandle,
    /// Once something was cast to the mesh by a tree.
    caster: OnceLock<Arc<CasterRef>>,
}

/// Who knows a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Homes {
    /// What its ranks are.
    pub(crate) controller: PortRef<MeshRequest>,
    /// Where they are.
    pub(crate) keeper: PortRef<GetMembers>,
}

/// What is known of the ranks of a mesh.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The mesh of processes that the ranks live on, and which ranks of it; `None` until it was asked.
    procs: Option<(MeshId, Arc<Region>)>,
    ranks: ValueMesh<Seen>,
    /// What is in the processes beside the actors.
    homes: ValueMesh<Option<Home>>,
    /// What is sent down the tree before a message.
    table: Option<Arc<CastTable>>,
}

/// What is known of one rank.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    incarnation: Incarnation,
    pub(crate) status: Status,
    /// Where it is, once that is known of this life.
    member: Option<Member>,
    before: Arc<Before>,
}

/// What is known of the lives of a rank before the present one: of the newest [`LIVES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// How those have ended that were seen to, the newest last: whoever called one may not have looked since.
    ends: Vec<(Incarnation, Status)>,
    /// Where it was, the newest last: what was sent there may come back.
    members: Vec<Member>,
}

/// Of how many lives of a rank it is kept what has become of them.
const LIVES_MAX: usize = 8;

impl Drop for View {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl View {
    /// Begins to follow a mesh of so many ranks.
    fn open(proc: &Proc, mesh: MeshId, size: usize, homes: Homes) -> Self {
        let (tell, table) = watch::channel(Table::default());
        let proc = proc.on(Plane::Control);
        let runtime = proc.runtime().clone();
        let ways = Ways::new(proc.clone(), homes.keeper.actor());
        let follower = Follower { proc, mesh, size, homes, tell };
        let follower = runtime.spawn(follower.run()).abort_handle();
        let (lines, roster, caster) = (Arc::default(), Mutex::default(), OnceLock::new());
        Self { table, ways, lines, ends: Ends::default(), roster, follower, caster }
    }

    /// Who casts to the mesh for this process.
    pub(crate) fn caster(&self, proc: &Proc, mesh: MeshId) -> Arc<CasterRef> {
        Arc::clone(self.caster.get_or_init(|| Arc::new(CasterRef::of(proc, mesh))))
    }

    /// Whom to send to, by what is known of the mesh: kept for the next who sends.
    pub(crate) fn roster(&self, known: &Arc<Known>) -> Arc<Roster> {
        let mut kept = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take_if(|_| self.ways.take_met_again());
        let roster = kept.get_or_insert_with(|| Arc::new(Roster::of(Arc::clone(known))));
        if !roster.is_of(known) {
            // What is under way by the old one keeps that.
            Arc::make_mut(roster).learn(known);
        }
        Arc::clone(roster)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Table> {
        self.table.clone()
    }
}

impl Known {
    pub(crate) fn seen(&self, rank: Rank) -> Option<&Seen> {
        self.ranks.get(rank)
    }

    /// The actor of a rank, in the life that is known.
    pub(crate) fn actor(&self, rank: Rank) -> Option<ActorId> {
        let seen = self.ranks.get(rank)?;
        let member = seen.member.filter(|member| member.incarnation == seen.incarnation)?;
        let (procs, region) = self.procs.as_ref()?;
        let base = region.base_rank(rank)?;
        let PeerId { proc, life } = PeerId::of_rank(*procs, base, member.life);
        Some(ActorId { proc, life, index: member.index })
    }

    /// The agent in the process of a rank, in the life that is known.
    pub(crate) fn agent(&self, rank: Rank) -> Option<ActorId> {
        let home = self.homes.get(rank)?.as_ref()?;
        let (procs, region) = self.procs.as_ref()?;
        let PeerId { proc, life } = PeerId::of_rank(*procs, region.base_rank(rank)?, home.life);
        Some(ActorId { proc, life, index: home.agent })
    }

    /// Which rank an actor is, or was in one of the lives before. Its process says which it can be, and so it costs the
    /// same whatever the mesh has (H8).
    pub(crate) fn rank_of(&self, actor: ActorId) -> Option<Rank> {
        let (procs, region) = self.procs.as_ref()?;
        let rank = region.rank_of_base(actor.proc.rank_in(*procs)?)?;
        self.seen(rank)?.has_been(actor).then_some(rank)
    }

    /// The ranks of a slice that something can be sent to, in its own ranks.
    fn open_in(&self, region: &Region) -> Open {
        let mut open = Open::default();
        for (rank, base) in region.iter().enumerate() {
            if find(self, base).is_ok() {
                open.all.insert(Rank::new(rank));
                if self.seen(base).is_some_and(|it| it.status == Status::Running) {
                    open.running.insert(Rank::new(rank));
                }
            }
        }
        open
    }

    /// What a cast by a tree needs, once it was asked for.
    pub(crate) const fn table(&self) -> Option<&Arc<CastTable>> {
        self.table.as_ref()
    }

    /// Whether it is known of the rank's last end that its process had no part in it.
    pub(crate) fn ended_alone(&self, rank: Rank) -> bool {
        let (Some((procs, _)), Some(seen)) = (&self.procs, self.seen(rank)) else { return false };
        let present = seen.status.is_terminal().then_some(&seen.status);
        let end = present.or_else(|| seen.before.ends.last().map(|(_, end)| end));
        end.is_some_and(|end| !is_by_process(end, *procs))
    }

    /// The processes that are known to have ended, by the ends of their ranks.
    pub(crate) fn gone(&self) -> Vec<PeerId> {
        let (Some((procs, _)), Some(table)) = (&self.procs, &self.table) else { return Vec::new() };
        let ended = self.ranks.runs().filter(|(_, seen)| is_by_process(&seen.status, *procs));
        ended.flat_map(|(run, _)| run.map(Rank::new)).filter_map(|rank| table.peer(rank)).collect()
    }

    /// The ranks of which something else is known than `before`.
    fn changed_since(&self, before: &Self) -> RankSet {
        let has_moved = self.procs != before.procs;
        let has_changed = self.ranks.zip(&before.ranks, |now, then| has_moved || now != then);
        let all = || RankSet::from(0..self.ranks.size());
        has_changed.map_or_else(|_| all(), |has_changed| has_changed.ranks_where(|it| *it))
    }

    /// Whether where a rank is that runs must be asked.
    fn is_incomplete(&self) -> bool {
        self.ranks.runs().any(|(_, seen)| seen.is_missing())
    }

    /// The same, where those that run and are not known to be anywhere do not run yet.
    fn reachable(&self) -> Self {
        let runs = |seen: &Seen| seen.status.has_reached(Progress::Running);
        let ranks = self.ranks.map(|seen| match seen.is_missing() && runs(seen) {
            true => Seen { status: Status::Initializing, ..seen.clone() },
            false => seen.clone(),
        });
        Self { ranks, ..self.clone() }
    }

    /// Returns whether something else is known now.
    fn hear(&mut self, news: &News) -> bool {
        match news {
            News::Snapshot(all) => {
                self.apply(all.failed.iter().chain(&all.stopped).chain(&all.alive))
            }
            News::Changed(changes) => self.apply(changes.iter()),
            News::Heartbeat { .. }
            | News::Trouble(_)
            | News::Escalated(_)
            | News::Recalled { .. }
            | News::Withdrawn(_)
            | News::Stopping { .. }
            | News::Closed => false,
        }
    }

    fn apply<'a>(&mut self, changes: impl Iterator<Item = &'a Change>) -> bool {
        let mut is_new = false;
        for change in changes {
            for rank in change.ranks.iter() {
                let Some(seen) = self.ranks.get(rank) else { continue };
                if seen.incarnation > change.incarnation {
                    continue;
                }
                let (incarnation, status) = (change.incarnation, change.status.clone());
                let mut before = Arc::clone(&seen.before);
                if incarnation > seen.incarnation && seen.status.is_terminal() {
                    let end = (seen.incarnation, seen.status.clone());
                    keep(&mut Arc::make_mut(&mut before).ends, end);
                }
                let now = Seen { incarnation, status, member: seen.member, before };
                if now != *seen {
                    // It is there: it was found.
                    is_new |= self.ranks.set(rank, now).is_ok();
                }
            }
        }
        is_new
    }

    fn learn(&mut self, members: &Members, of: (MeshId, ActorId)) {
        self.procs = Some((members.procs, Arc::clone(&members.region)));
        let ranks = self.ranks.zip(&members.ranks, |seen, member| seen.at(*member));
        if let Ok(ranks) = ranks {
            self.ranks = ranks;
            self.homes = members.homes.clone();
            self.table = table_of(members, of).map(Arc::new);
        }
    }
}

impl Seen {
    /// Which life of it is known.
    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether this life of it has ended, or another one has followed it.
    pub(crate) fn is_past(&self, life: Incarnation) -> bool {
        self.incarnation > life || self.incarnation == life && self.status.is_terminal()
    }

    /// How a life of it has ended, if that was seen.
    pub(crate) fn end_of(&self, life: Incarnation) -> Option<Ended> {
        if self.incarnation == life {
            return Ended::of(&self.status);
        }
        let (_, status) = self.before.ends.iter().find(|(ended, _)| *ended == life)?;
        Ended::of(status)
    }

    /// The same, where it is this.
    fn at(&self, member: Option<Member>) -> Self {
        let mut before = Arc::clone(&self.before);
        if let Some(was) = self.member.filter(|_| self.member != member) {
            keep(&mut Arc::make_mut(&mut before).members, was);
        }
        Self { incarnation: self.incarnation, status: self.status.clone(), member, before }
    }

    /// Whether an actor in its process is it, or was.
    fn has_been(&self, actor: ActorId) -> bool {
        let mut known = self.member.iter().chain(&self.before.members);
        known.any(|it| (it.life, it.index) == (actor.life, actor.index))
    }

    /// Whether it runs, or is silent and may, and is not known to be anywhere.
    fn is_missing(&self) -> bool {
        let is_here = self.member.is_some_and(|member| member.incarnation == self.incarnation);
        let is_silent = matches!(self.status, Status::Suspect | Status::Unreachable);
        let may_run = is_silent || self.status.has_reached(Progress::Running);
        may_run && !self.status.is_terminal() && !is_here
    }
}

/// Keeps what is the newest, and of what was before as much as is kept.
fn keep<T>(kept: &mut Vec<T>, newest: T) {
    if kept.len() >= LIVES_MAX {
        kept.remove(0);
    }
    kept.push(newest);
}

/// Whether a rank has ended with its process.
fn is_by_process(status: &Status, procs: MeshId) -> bool {
    let cause = match status {
        Status::Failed(cause) => Some(cause),
        Status::Timeout { cause, .. } => cause.as_ref(),
        _ => None,
    };
    cause.is_some_and(|cause| {
        cause.chain.iter().any(|link| match &link.subject {
            Subject::Rank { mesh, .. } => mesh.id() == procs,
            _ => false,
        })
    })
}

/// What is sent down the tree: where ranks are, and who relays there.
fn table_of(members: &Members, (mesh, directory): (MeshId, ActorId)) -> Option<CastTable> {
    let seat = |member: &Option<Member>, home: &Option<Home>| {
        let life = home.map(|home| home.life).or_else(|| member.map(|member| member.life));
        let life = life.unwrap_or(Incarnation::FIRST);
        let actor = member.filter(|member| member.life == life).map(|member| member.index);
        let (relay, since) = (home.map(|home| home.relay), home.map_or(0, |home| home.since));
        Seat { life, relay, actor, since }
    };
    Some(CastTable {
        mesh,
        version: members.version,
        fan_out: members.fan_out,
        procs: members.procs,
        region: Arc::clone(&members.region),
        seats: members.ranks.zip(&members.homes, seat).ok()?,
        directory,
    })
}

#[cfg(test)]
mod tests;
