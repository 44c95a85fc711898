//! `waiting`: asks the agents of some ranks, each in its process, to tell when they are so far in their lives (L7).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use mesh_core::{ActorId, Incarnation, MeshId, PortRef, Progress, Refusal};
use mesh_runtime::{Deputy, Port, WayTo};
use mesh_shape::{Rank, RankSet, Region};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::caught_up::caught_up;
use super::watch::ON_ITS_WAY;
use crate::agent::{WaitRankStatus, Waited};
use crate::call::{deadline_after, news};
use crate::view::{BEGUN_WITHIN, Table, View};
use crate::ways::Seats;

/// How long it may take to learn where ranks are, where that is not known yet.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// After what time an agent is asked again that had no room for another who waits, or has not answered.
const ASKED_AGAIN: Duration = Duration::from_millis(200);

/// The same of one that is about to know more.
const SOON: Duration = Duration::from_millis(5);

/// The same for one that never answers: each time it is waited twice as long, up to this.
const ASKED_AGAIN_MAX: Duration = Duration::from_secs(5);

/// A wait for the ranks of a slice.
pub(super) struct Waiting {
    pub(super) from: Deputy,
    pub(super) mesh: MeshId,
    pub(super) view: Arc<View>,
    pub(super) region: Arc<Region>,
    pub(super) until: Progress,
    pub(super) within: Duration,
    pub(super) asked: Mutex<Option<Asked>>,
}

/// Where processes are.
pub(super) struct Asked {
    at: Instant,
    /// Which agents those were that it was asked for.
    agents: BTreeMap<Rank, ActorId>,
    seats: Seats,
}

impl Waiting {
    /// The ranks of the slice that are not so far when the time is over; `None` if nobody says where they are.
    pub(super) async fn missing(self) -> Option<RankSet> {
        let deadline = deadline_after(self.within);
        let mut table = self.view.watch();
        let soon = deadline.min(deadline_after(KNOWN_WITHIN));
        timeout_at(soon, self.view.known(&mut table)).await.ok().flatten()?;
        let ranks = self.region.iter().enumerate();
        let waits = ranks.map(|(index, base)| {
            let (waiting, table) = (&self, table.clone());
            async move { (Rank::new(index), base, waiting.one(base, table, deadline).await) }
        });
        let mut waits: FuturesUnordered<_> = waits.collect();
        let mut missing = self.region.extent().ranks();
        let mut lives = Vec::new();
        let all = async {
            while let Some((rank, base, reached)) = waits.next().await {
                if let Some(life) = reached {
                    missing.remove(rank);
                    lives.push((base, life));
                }
            }
        };
        // Those that have not answered by then are not so far, for all that is known here.
        _ = timeout_at(deadline, all).await.is_ok();
        caught_up(&mut table, &lives, (self.until, deadline)).await;
        Some(missing)
    }

    /// Where the process of a rank is, and of all others that there is no way to: asked for together, by whoever needs it
    /// first.
    fn seats(&self, of: (Rank, ActorId), table: &watch::Receiver<Table>) -> Seats {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Asked { at, agents, seats }) = &*asked
            && at.elapsed() < ASKED_AGAIN
            && agents.get(&of.0) == Some(&of.1)
        {
            return seats.clone();
        }
        let (table, ways) = (table.borrow(), &self.view.ways);
        let agent = |base| Some((base, table.known.as_ref()?.agent(base)?));
        let is_missing = |(_, agent): &(Rank, ActorId)| matches!(ways.to(*agent), WayTo::Missing);
        let mut agents: BTreeMap<_, _> =
            self.region.iter().filter_map(agent).filter(is_missing).collect();
        agents.insert(of.0, of.1);
        let seats = ways.seats(RankSet::from_ranks(agents.keys().copied()));
        *asked = Some(Asked { at: Instant::now(), agents, seats: seats.clone() });
        seats
    }

    /// Waits for one rank, and says in which life it is so far; `None` if it is not, and will not be. Asks the agent in each
    /// life of its process in turn, and the same one again that has not answered. With all ranks together this one has a
    /// deadline.
    async fn one(
        &self,
        base: Rank,
        mut table: watch::Receiver<Table>,
        deadline: Instant,
    ) -> Option<Incarnation> {
        let (mut again, mut soon, mut over) = (ASKED_AGAIN, SOON, None);
        loop {
            let agent = table.borrow_and_update().known.as_ref().and_then(|it| it.agent(base));
            let answer = match agent {
                Some(agent) => self.ask((base, agent), &table, deadline).await,
                None => None,
            };
            let is_over = table.has_changed().is_err();
            match answer {
                Some(Ok(waited)) => {
                    again = ASKED_AGAIN;
                    let life =
                        waited.state.as_ref().map_or(Incarnation::FIRST, |it| it.incarnation);
                    let has_ended = waited.state.is_some_and(|it| it.status.is_terminal());
                    let may_begin_again = has_ended && waited.may_restart && !is_over;
                    let is_old = !has_ended && self.has_ended(base, life, &table);
                    if !(waited.is_reached && (may_begin_again || is_old)) {
                        return waited.is_reached.then_some(life);
                    }
                    // Whether it begins again its controller says; then there will be news of it.
                    news(&mut table, if is_old { soon } else { ASKED_AGAIN_MAX }).await;
                    soon = (soon * 2).min(ASKED_AGAIN_MAX);
                }
                // Others wait there, as many as may.
                Some(Err(_)) => sleep(ASKED_AGAIN).await,
                // Its process has gone, or has not been heard of; or the session is lost by which it was asked, and of
                // that there need be no news.
                None => {
                    let known = self.life_known(base, &table).filter(|_| is_over);
                    // Nobody says any more what becomes of it, and it has had its time to answer.
                    let is_gone =
                        is_over && over.get_or_insert_with(Instant::now).elapsed() >= BEGUN_WITHIN;
                    if known.is_some() || is_gone {
                        return known;
                    }
                    if !news(&mut table, again).await {
                        again = (again * 2).min(ASKED_AGAIN_MAX);
                    }
                }
            }
        }
    }

    /// Whether a life of a rank is over, for all that is known here: its agent is about to hear of it, or has said before that
    /// it was not.
    fn has_ended(&self, base: Rank, life: Incarnation, table: &watch::Receiver<Table>) -> bool {
        // In this order: what is heard of an end is forgotten as one that was only answered with.
        if self.view.ends.has_ended(base, life) {
            return true;
        }
        let table = table.borrow();
        let seen = table.known.as_ref().and_then(|known| known.seen(base));
        seen.is_some_and(|seen| seen.is_past(life))
    }

    /// The life in which a rank was so far when it was heard of last.
    fn life_known(&self, base: Rank, table: &watch::Receiver<Table>) -> Option<Incarnation> {
        let table = table.borrow();
        let seen = table.known.as_ref()?.seen(base)?;
        seen.status.has_reached(self.until).then(|| seen.incarnation())
    }

    /// What the agent answers; `None` if it does not.
    async fn ask(
        &self,
        (base, agent): (Rank, ActorId),
        table: &watch::Receiver<Table>,
        deadline: Instant,
    ) -> Option<Result<Waited, Refusal>> {
        let ways = &self.view.ways;
        if matches!(ways.to(agent), WayTo::Missing) {
            ways.open(base, agent, self.seats((base, agent), table)).await;
        }
        let within = deadline.saturating_duration_since(Instant::now());
        let wait = WaitRankStatus { mesh: self.mesh, rank: base, until: self.until, within };
        let door = PortRef::<WaitRankStatus>::of(agent);
        door.call_within(&self.from, wait, within.saturating_add(ON_ITS_WAY)).await.ok()
    }
}
