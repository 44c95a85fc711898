//! Who answers for which ranks, and how long each has been silent. Silence is an agent's, never a
//! rank's (H8).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{AgentId, BeatSeq, Echo, Incarnation, Timestamp};
use mesh_shape::{Rank, RankSet};

use crate::config::Times;
use crate::runs::RunMap;
use crate::silence::{Silence, Verdict};

/// The agents of one mesh.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    agents: Vec<Agent>,
    /// The agent of each rank; `None` only while the roster is being built.
    by_rank: RunMap<Option<AgentId>>,
    /// No agent's deadline is before this moment, so that most ticks need not look at them all.
    earliest: Option<Timestamp>,
    /// Whether this side took itself for cut off when it last judged.
    isolated: bool,
}

/// One agent, as the controller hears it.
#[derive(Clone, Debug)]
struct Agent {
    ranks: Arc<RankSet>,
    silence: Silence,
    /// Which life of it was heard last; `None` before it was heard.
    life: Option<Incarnation>,
    /// Of that life.
    newest_beat: Option<BeatSeq>,
    /// The ranks that lived when it was started again, by life, of which it has not spoken since.
    doubted: Vec<(RankSet, Incarnation)>,
}

/// Whether what an agent says counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Voice {
    /// There is no such agent, or it has been started again since.
    Stale,
    Known,
    /// It has been started again and has forgotten what it knew.
    Reborn,
}

/// What all silence has come to mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) verdicts: Vec<(AgentId, Verdict)>,
    /// How many agents are silent, if so many have just become so that this side is cut off.
    pub(crate) cut_off: Option<usize>,
}

/// Why the agents do not fit the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    Twice(Rank),
    Nobody(Rank),
    Outside(Rank),
}

impl Roster {
    pub(crate) fn new(ranks: Vec<RankSet>, size: usize) -> Result<Self, Misfit> {
        let mut by_rank: RunMap<Option<AgentId>> = RunMap::uniform(size, None);
        for (index, set) in ranks.iter().enumerate() {
            for range in set.runs() {
                if range.end > size {
                    return Err(Misfit::Outside(Rank::new(range.end - 1)));
                }
                if let Some((taken, _)) =
                    by_rank.runs_in(range.clone()).find(|(_, agent)| agent.is_some())
                {
                    return Err(Misfit::Twice(Rank::new(taken.start)));
                }
                by_rank.set(range, Some(AgentId::new(index)));
            }
        }
        if let Some((range, _)) = by_rank.runs().find(|(_, agent)| agent.is_none()) {
            return Err(Misfit::Nobody(Rank::new(range.start)));
        }
        let agents = ranks.into_iter().map(Agent::new).collect();
        Ok(Self { agents, by_rank, earliest: None, isolated: false })
    }

    /// Silence is counted from now on.
    pub(crate) fn open(&mut self, now: Timestamp, times: &Times) {
        for agent in &mut self.agents {
            agent.silence = Silence::since(now);
        }
        self.earliest = (!self.agents.is_empty()).then(|| now + times.suspect);
    }

    pub(crate) fn len(&self) -> usize {
        self.agents.len()
    }

    /// The ranks of an agent.
    pub(crate) fn ranks(&self, agent: AgentId) -> Option<Arc<RankSet>> {
        self.agents.get(agent.index()).map(|agent| Arc::clone(&agent.ranks))
    }

    pub(crate) fn of(&self, rank: Rank) -> Option<AgentId> {
        self.by_rank.get(rank.index()).copied().flatten()
    }

    /// `ranks` by the agent that has them, in the order of agents.
    pub(crate) fn split(&self, ranks: &RankSet) -> BTreeMap<AgentId, RankSet> {
        let mut split: BTreeMap<AgentId, RankSet> = BTreeMap::new();
        for range in ranks.runs() {
            for (own, agent) in self.by_rank.runs_in(range) {
                if let Some(agent) = agent {
                    split.entry(*agent).or_default().insert_range(own);
                }
            }
        }
        split
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = AgentId> + use<> {
        (0..self.agents.len()).map(AgentId::new)
    }

    /// Whether this life of an agent may speak. A greater one takes the place of the one before.
    pub(crate) fn hear(&mut self, agent: AgentId, life: Incarnation) -> Voice {
        let Some(agent) = self.agents.get_mut(agent.index()) else { return Voice::Stale };
        match agent.life {
            Some(known) if life < known => Voice::Stale,
            Some(known) if life > known => {
                (agent.life, agent.newest_beat) = (Some(life), None);
                Voice::Reborn
            }
            Some(_) => Voice::Known,
            None => {
                agent.life = Some(life);
                Voice::Known
            }
        }
    }

    /// It was started again, and may have forgotten these ranks that lived.
    pub(crate) fn doubt(&mut self, agent: AgentId, lives: Vec<(RankSet, Incarnation)>) {
        if let Some(agent) = self.agents.get_mut(agent.index()) {
            agent.doubted = lives;
        }
    }

    /// It speaks of `ranks`. Returns those that it may have forgotten, for the last time.
    pub(crate) fn settle_doubt(
        &mut self,
        agent: AgentId,
        ranks: &RankSet,
    ) -> Vec<(RankSet, Incarnation)> {
        let Some(agent) = self.agents.get_mut(agent.index()) else { return Vec::new() };
        let mut settled = Vec::new();
        for (doubted, incarnation) in &mut agent.doubted {
            settled.push((doubted.intersection(ranks), *incarnation));
            *doubted = doubted.difference(ranks);
        }
        agent.doubted.retain(|(doubted, _)| !doubted.is_empty());
        settled.retain(|(ranks, _)| !ranks.is_empty());
        settled
    }

    /// The agent lives. Returns whether it had been doubted.
    pub(crate) fn heard(&mut self, agent: AgentId, now: Timestamp, times: &Times) -> bool {
        let Some(agent) = self.agents.get_mut(agent.index()) else { return false };
        let was_given_up = agent.silence.is_given_up();
        let was_doubted = agent.silence.heard(now);
        if was_doubted || was_given_up {
            let due = now + times.suspect;
            self.earliest = Some(self.earliest.map_or(due, |earliest| earliest.min(due)));
        }
        was_doubted
    }

    /// This life of an agent is gone. Returns whether that is news: not of a life before the present one.
    pub(crate) fn lost(&mut self, agent: AgentId, life: Incarnation) -> bool {
        let Some(agent) = self.agents.get_mut(agent.index()) else { return false };
        let is_present = agent.life.is_none_or(|known| life >= known);
        is_present && agent.silence.lost()
    }

    /// The life of an agent and its newest beat, to be echoed.
    pub(crate) fn beat(&mut self, agent: AgentId, beat: BeatSeq) -> Option<Echo> {
        let heard = self.agents.get_mut(agent.index())?;
        heard.newest_beat = heard.newest_beat.max(Some(beat));
        Some(Echo { life: heard.life?, beat: heard.newest_beat? })
    }

    /// This side was paused for `gap`: nobody is to blame for it (rule 6 of the design).
    pub(crate) fn forgive(&mut self, gap: Duration, now: Timestamp, times: &Times) {
        for agent in &mut self.agents {
            agent.silence.forgive(gap, now);
        }
        self.earliest = self.first_due(times);
    }

    /// The agents that were not heard since `sent` become suspect (L3).
    pub(crate) fn unheard_since(&mut self, sent: Timestamp) -> Vec<AgentId> {
        let mut silent = Vec::new();
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if agent.silence.doubt_since(sent) {
                silent.push(AgentId::new(index));
            }
        }
        silent
    }

    /// The agents whose silence means more at `now` than it did before.
    pub(crate) fn judge(&mut self, now: Timestamp, times: &Times) -> Judged {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Judged::default();
        }
        let silent = self.agents.iter().filter(|agent| agent.silence.is_long(now, times)).count();
        let isolated = self.is_isolated(silent);
        let cut_off = (isolated && !self.isolated).then_some(silent);
        self.isolated = isolated;
        let hold = if isolated { times.lease } else { Duration::ZERO };
        let mut verdicts = Vec::new();
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if let Some(verdict) = agent.silence.judge(now, times, hold) {
                verdicts.push((AgentId::new(index), verdict));
            }
        }
        let held_back = now + times.heartbeat;
        self.earliest = self.first_due(times).map(|due| if due <= now { held_back } else { due });
        Judged { verdicts, cut_off }
    }

    fn first_due(&self, times: &Times) -> Option<Timestamp> {
        self.agents.iter().filter_map(|agent| agent.silence.due(times)).min()
    }

    /// More than half, and at least three, silent at once: then it is this side that is cut off.
    fn is_isolated(&self, silent: usize) -> bool {
        silent >= 3 && silent * 2 > self.agents.len()
    }

    /// When it was heard last, if its ranks have been given up since.
    pub(crate) fn given_up(&self, agent: AgentId) -> Option<Timestamp> {
        self.agents.get(agent.index()).and_then(|agent| agent.silence.given_up_since())
    }

    /// Whether there is somebody to start each of these ranks.
    pub(crate) fn can_start(&self, ranks: &RankSet) -> bool {
        let mut given_up = self.agents.iter().filter(|agent| agent.silence.is_given_up());
        given_up.all(|agent| agent.ranks.intersection(ranks).is_empty())
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.earliest
    }
}

impl Agent {
    fn new(ranks: RankSet) -> Self {
        let silence = Silence::since(Timestamp::START);
        Self { ranks: Arc::new(ranks), silence, life: None, newest_beat: None, doubted: Vec::new() }
    }
}
