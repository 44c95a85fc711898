//! Who answers for which ranks, and how long each has been silent. Silence is an agent's, never a
//! rank's (H8).

use std::time::Duration;

use mesh_core::{AgentId, BeatSeq, Timestamp};
use mesh_shape::{Rank, RankSet};

use crate::config::Times;
use crate::health::Contact;
use crate::runs::RunMap;

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
    times: Times,
}

/// One agent, as the controller hears it.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) ranks: RankSet,
    heard_at: Timestamp,
    contact: Contact,
    newest_beat: Option<BeatSeq>,
    /// Its ranks have been given up.
    given_up: bool,
}

/// What the silence of an agent has come to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    Contact(Contact),
    GivenUp { after: Duration },
}

/// What all silence has come to mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) silences: Vec<(AgentId, Silence)>,
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
    pub(crate) fn new(ranks: Vec<RankSet>, size: usize, times: Times) -> Result<Self, Misfit> {
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
        Ok(Self { agents, by_rank, earliest: None, isolated: false, times })
    }

    /// Silence is counted from now on.
    pub(crate) fn open(&mut self, now: Timestamp) {
        for agent in &mut self.agents {
            agent.heard_at = now;
        }
        self.earliest = (!self.agents.is_empty()).then(|| now + self.times.suspect);
    }

    pub(crate) fn len(&self) -> usize {
        self.agents.len()
    }

    pub(crate) fn get(&self, agent: AgentId) -> Option<&Agent> {
        self.agents.get(agent.index())
    }

    pub(crate) fn of(&self, rank: Rank) -> Option<AgentId> {
        self.by_rank.get(rank.index()).copied().flatten()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = AgentId> + use<> {
        (0..self.agents.len()).map(AgentId::new)
    }

    /// The agent lives. Returns whether it had been doubted.
    pub(crate) fn heard(&mut self, agent: AgentId, now: Timestamp) -> bool {
        let Some(agent) = self.agents.get_mut(agent.index()) else { return false };
        agent.heard_at = now;
        let doubted = agent.contact != Contact::Heard;
        agent.contact = Contact::Heard;
        if doubted || agent.given_up {
            let due = now + self.times.suspect;
            self.earliest = Some(self.earliest.map_or(due, |earliest| earliest.min(due)));
        }
        agent.given_up = false;
        doubted
    }

    /// The newest beat of an agent, to be echoed.
    pub(crate) fn beat(&mut self, agent: AgentId, beat: BeatSeq) -> Option<BeatSeq> {
        let agent = self.agents.get_mut(agent.index())?;
        agent.newest_beat = agent.newest_beat.max(Some(beat));
        agent.newest_beat
    }

    /// This side was paused for `gap`: nobody is to blame for it (rule 6 of the design).
    pub(crate) fn forgive(&mut self, gap: Duration, now: Timestamp) {
        for agent in &mut self.agents {
            agent.heard_at = (agent.heard_at + gap).min(now);
        }
        self.earliest = self.agents.iter().filter_map(|agent| agent.due(&self.times)).min();
    }

    /// The agents that were not heard since `sent` become suspect (L3).
    pub(crate) fn unheard_since(&mut self, sent: Timestamp) -> Vec<AgentId> {
        let mut silent = Vec::new();
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if agent.contact == Contact::Heard && agent.heard_at < sent {
                agent.contact = Contact::Suspect;
                silent.push(AgentId::new(index));
            }
        }
        silent
    }

    /// The agents whose silence means more at `now` than it did before.
    pub(crate) fn judge(&mut self, now: Timestamp) -> Judged {
        if self.earliest.is_none_or(|earliest| now < earliest) {
            return Judged::default();
        }
        let silent = self.n_silent(now);
        let isolated = self.is_isolated(silent);
        let cut_off = (isolated && !self.isolated).then_some(silent);
        self.isolated = isolated;
        let times = self.times;
        let mut silences = Vec::new();
        for (index, agent) in self.agents.iter_mut().enumerate() {
            if let Some(silence) = agent.judge(now, &times, isolated) {
                silences.push((AgentId::new(index), silence));
            }
        }
        let held_back = now + times.heartbeat;
        self.earliest = self
            .agents
            .iter()
            .filter_map(|agent| agent.due(&times))
            .min()
            .map(|due| if due <= now { held_back } else { due });
        Judged { silences, cut_off }
    }

    /// More than half, and at least three, silent at once: then it is this side that is cut off.
    fn is_isolated(&self, silent: usize) -> bool {
        silent >= 3 && silent * 2 > self.agents.len()
    }

    fn n_silent(&self, now: Timestamp) -> usize {
        let bound = self.times.unreachable;
        self.agents
            .iter()
            .filter(|agent| !agent.given_up && now.since(agent.heard_at) >= bound)
            .count()
    }

    /// When it was heard last, if its ranks have been given up since.
    pub(crate) fn given_up(&self, agent: AgentId) -> Option<Timestamp> {
        self.get(agent).filter(|agent| agent.given_up).map(|agent| agent.heard_at)
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.earliest
    }
}

impl Agent {
    fn new(ranks: RankSet) -> Self {
        Self {
            ranks,
            heard_at: Timestamp::START,
            contact: Contact::Heard,
            newest_beat: None,
            given_up: false,
        }
    }

    /// When its silence will mean more.
    fn due(&self, times: &Times) -> Option<Timestamp> {
        let bound = match self.contact {
            Contact::Heard => times.suspect,
            Contact::Suspect => times.unreachable,
            Contact::Unreachable => times.timeout,
        };
        (!self.given_up).then(|| self.heard_at + bound)
    }

    fn judge(&mut self, now: Timestamp, times: &Times, isolated: bool) -> Option<Silence> {
        let silence = now.since(self.heard_at);
        let hold = if isolated { times.lease } else { Duration::ZERO };
        if self.given_up {
            return None;
        }
        if silence >= times.timeout + hold {
            self.given_up = true;
            self.contact = Contact::Unreachable;
            return Some(Silence::GivenUp { after: silence });
        }
        let contact = if silence >= times.unreachable {
            Contact::Unreachable
        } else if silence >= times.suspect {
            Contact::Suspect
        } else {
            Contact::Heard
        };
        if contact <= self.contact {
            return None;
        }
        self.contact = contact;
        Some(Silence::Contact(contact))
    }
}
