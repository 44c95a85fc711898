//! Who answers for which ranks, and how long each has been silent. Silence is an agent's, never a
//! rank's (H8).

use std::collections::BTreeMap;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{AgentId, BeatSeq, Echo, Incarnation, Timestamp};
use mesh_shape::{Rank, RankSet};

use crate::config::Times;
use crate::doubts::Doubts;
use crate::silence::{Pause, Silence, Verdict};

/// The agents of one mesh.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    agents: Box<[Agent]>,
    /// The ranks of each agent; shared with the spec.
    ranks: Arc<[RankSet]>,
    /// The blocks of ranks that one agent has, in rank order; together every rank, once.
    blocks: Box<[Block]>,
    /// No agent's deadline is before this moment, so that most ticks need not look at them all.
    earliest: Option<Timestamp>,
    /// Whether this side took itself for cut off when it last judged.
    isolated: bool,
}

/// One agent, as the controller hears it.
#[derive(Clone, Debug)]
struct Agent {
    silence: Silence,
    /// Its life that was heard last; `None` before it was heard.
    heard: Option<Heard>,
    /// What it may have forgotten since it was started again.
    doubts: Option<Box<Doubts>>,
    /// An order did not reach it, or it seems not to have got one.
    is_to_repeat: bool,
}

/// One life of an agent.
#[derive(Clone, Copy, Debug)]
struct Heard {
    life: Incarnation,
    newest_beat: Option<BeatSeq>,
}

/// Ranks of one agent: up to the start of the next block.
#[derive(Clone, Copy, Debug)]
struct Block {
    start: u32,
    agent: u32,
}

/// The ranks of one agent.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    ranks: Arc<[RankSet]>,
    agent: usize,
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
    /// If so many have just become silent that this side is cut off.
    pub(crate) cut_off: Option<CutOff>,
}

/// So many agents are silent at once that it is this side which cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutOff {
    pub(crate) silent: usize,
    /// How many could be heard: those that were given up before say nothing of this side.
    pub(crate) agents: usize,
}

/// Why the agents do not fit the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    Twice(Rank),
    Nobody(Rank),
    Outside(Rank),
}

impl Roster {
    pub(crate) fn new(ranks: Arc<[RankSet]>, size: usize) -> Result<Self, Misfit> {
        let mut runs: Vec<(Range<usize>, usize)> = Vec::new();
        for (agent, own) in ranks.iter().enumerate() {
            runs.extend(own.runs().map(|run| (run, agent)));
        }
        runs.sort_by_key(|(run, _)| run.start);
        let mut next = 0;
        for (run, _) in &runs {
            if run.start < next {
                return Err(Misfit::Twice(Rank::new(run.start)));
            }
            if run.start > next {
                return Err(Misfit::Nobody(Rank::new(next)));
            }
            if run.end > size {
                return Err(Misfit::Outside(Rank::new(run.end - 1)));
            }
            next = run.end;
        }
        if next < size {
            return Err(Misfit::Nobody(Rank::new(next)));
        }
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        let block = |(run, agent): (Range<usize>, usize)| Block {
            start: small(run.start),
            agent: small(agent),
        };
        let blocks = runs.into_iter().map(block).collect();
        let agents = ranks.iter().map(|_| Agent::new()).collect();
        Ok(Self { agents, ranks, blocks, earliest: None, isolated: false })
    }

    /// Silence is counted from now on.
    pub(crate) fn open(&mut self, now: Timestamp, times: &Times) {
        for agent in &mut self.agents {
            agent.silence = Silence::since(now);
        }
        self.earliest = (!self.agents.is_empty()).then(|| now + times.suspect);
    }

    /// The ranks of an agent.
    pub(crate) fn ranks(&self, agent: AgentId) -> Option<Own> {
        let (ranks, agent) = (Arc::clone(&self.ranks), agent.index());
        (agent < ranks.len()).then_some(Own { ranks, agent })
    }

    pub(crate) fn of(&self, rank: Rank) -> Option<AgentId> {
        Some(self.block_of(rank.index())?.agent())
    }

    /// `ranks` by the agent that has them, in the order of agents.
    pub(crate) fn split(&self, ranks: &RankSet) -> BTreeMap<AgentId, RankSet> {
        let mut split: BTreeMap<AgentId, RankSet> = BTreeMap::new();
        for run in ranks.runs() {
            let first = self.n_blocks_until(run.start).saturating_sub(1);
            for (index, block) in self.blocks.iter().enumerate().skip(first) {
                let end = self.blocks.get(index + 1).map_or(run.end, |next| next.start as usize);
                let own = run.start.max(block.start as usize)..run.end.min(end);
                if own.is_empty() {
                    break;
                }
                split.entry(block.agent()).or_default().insert_range(own);
            }
        }
        split
    }

    fn block_of(&self, rank: usize) -> Option<&Block> {
        self.blocks.get(self.n_blocks_until(rank).checked_sub(1)?)
    }

    /// The number of blocks that begin at `rank` or before.
    fn n_blocks_until(&self, rank: usize) -> usize {
        self.blocks.partition_point(|block| block.start as usize <= rank)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = AgentId> + use<> {
        (0..self.agents.len()).map(AgentId::new)
    }

    /// Whether this life of an agent may speak. A greater one takes the place of the one before.
    pub(crate) fn hear(&mut self, agent: AgentId, life: Incarnation) -> Voice {
        let Some(agent) = self.agents.get_mut(agent.index()) else { return Voice::Stale };
        match agent.heard {
            Some(known) if life < known.life => Voice::Stale,
            Some(known) if life > known.life => {
                agent.heard = Some(Heard { life, newest_beat: None });
                Voice::Reborn
            }
            Some(_) => Voice::Known,
            None => {
                agent.heard = Some(Heard { life, newest_beat: None });
                Voice::Known
            }
        }
    }

    /// It was started again, and may have forgotten ranks that lived.
    pub(crate) fn doubt(&mut self, agent: AgentId, doubts: Doubts) {
        if let Some(agent) = self.agents.get_mut(agent.index()) {
            agent.doubts = (!doubts.is_empty()).then(|| Box::new(doubts));
        }
    }

    /// In one answer it speaks of `named`. Returns those of them that it may have forgotten, in rank order,
    /// for the last time.
    pub(crate) fn settle_doubt(
        &mut self,
        agent: AgentId,
        named: &RankSet,
    ) -> Vec<(Range<usize>, Incarnation)> {
        let Some(agent) = self.agents.get_mut(agent.index()) else { return Vec::new() };
        let settled = agent.doubts.as_mut().map(|doubts| doubts.settle(named)).unwrap_or_default();
        agent.doubts.take_if(|doubts| doubts.is_empty());
        settled
    }

    /// An order did not reach it, or it seems not to have got one. An unknown agent: no change.
    pub(crate) fn repeat(&mut self, agent: AgentId) {
        if let Some(agent) = self.agents.get_mut(agent.index()) {
            agent.is_to_repeat = true;
        }
    }

    /// The agents that are to be given their orders again, for this once.
    pub(crate) fn take_to_repeat(&mut self) -> Vec<AgentId> {
        let agents = self.agents.iter_mut().enumerate();
        let to_repeat = agents.filter_map(|(index, agent)| {
            std::mem::take(&mut agent.is_to_repeat).then(|| AgentId::new(index))
        });
        to_repeat.collect()
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
        let is_present = agent.heard.is_none_or(|known| life >= known.life);
        is_present && agent.silence.lost()
    }

    /// The life of an agent and its newest beat, to be echoed.
    pub(crate) fn beat(&mut self, agent: AgentId, beat: BeatSeq) -> Option<Echo> {
        let heard = self.agents.get_mut(agent.index())?.heard.as_mut()?;
        heard.newest_beat = heard.newest_beat.max(Some(beat));
        heard.echo()
    }

    /// The newest beat of an agent that was heard, to be echoed.
    pub(crate) fn echo(&self, agent: AgentId) -> Option<Echo> {
        self.agents.get(agent.index())?.heard?.echo()
    }

    /// This side was paused: nobody is to blame for it (rule 6 of the design).
    pub(crate) fn forgive(&mut self, pause: Pause, times: &Times) {
        for agent in &mut self.agents {
            agent.silence.forgive(pause, times);
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
        let found = self.silent(now, times);
        let isolated = found.is_isolation();
        let cut_off = (isolated && !self.isolated).then_some(found);
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

    fn silent(&self, now: Timestamp, times: &Times) -> CutOff {
        let expected = self.agents.iter().filter(|agent| !agent.silence.is_given_up());
        let (mut silent, mut agents) = (0, 0);
        for agent in expected {
            agents += 1;
            silent += usize::from(agent.silence.is_long(now, times));
        }
        CutOff { silent, agents }
    }

    /// When it was heard last, if its ranks have been given up since.
    pub(crate) fn given_up(&self, agent: AgentId) -> Option<Timestamp> {
        self.agents.get(agent.index()).and_then(|agent| agent.silence.given_up_since())
    }

    /// Whether there is somebody to start each of these ranks.
    pub(crate) fn can_start(&self, ranks: &RankSet) -> bool {
        let agents = self.agents.iter().zip(&*self.ranks);
        let mut given_up = agents.filter(|(agent, _)| agent.silence.is_given_up());
        given_up.all(|(_, own)| own.intersection(ranks).is_empty())
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.earliest
    }
}

impl CutOff {
    /// More than half, and at least three, silent at once (rule 6 of the design).
    const fn is_isolation(self) -> bool {
        self.silent >= 3 && self.silent * 2 > self.agents
    }
}

impl Agent {
    fn new() -> Self {
        let silence = Silence::since(Timestamp::START);
        Self { silence, heard: None, doubts: None, is_to_repeat: false }
    }
}

impl Heard {
    fn echo(&self) -> Option<Echo> {
        Some(Echo { life: self.life, beat: self.newest_beat? })
    }
}

impl Block {
    const fn agent(self) -> AgentId {
        AgentId::new(self.agent as usize)
    }
}

impl Deref for Own {
    type Target = RankSet;

    fn deref(&self) -> &RankSet {
        &self.ranks[self.agent]
    }
}
