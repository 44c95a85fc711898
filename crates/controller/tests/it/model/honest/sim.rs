//! sim: a controller, its agents, and what is on its way between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller::Effect;
use mesh_core::{Answer, Epoch, Request, Status, Timestamp, Update};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};

use super::super::naive::Stage;
use super::super::said::{Event, Mesh, Said};
use super::super::world::World;
use super::agents::{Fate, SimAgent};
use super::{Fault, Harm};
use crate::support::{crash, query_failed, stop};

pub(super) struct Sim {
    world: World,
    agents: Vec<SimAgent>,
    now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    n: u64,
    /// Until when the controller does not run.
    asleep_until: Timestamp,
    /// Per agent: until when it is cut off, and until when what it is asked is lost.
    cut_until: Vec<Timestamp>,
    losing_until: Vec<Timestamp>,
    /// When the last order reaches each agent: they keep their order.
    order_at: Vec<Timestamp>,
    random: u64,
    /// Rank and life of every failure that the owner was told.
    told: BTreeSet<(usize, u64)>,
    /// The owner was told that no more is started again: the intensity is never used up here, so a
    /// rank had nobody to start it when its round was to begin.
    has_escalated: bool,
    /// Rank and life of everything that really crashed.
    crashed: BTreeSet<(usize, u64)>,
    story: Vec<String>,
}

#[derive(Clone, Debug)]
enum Happening {
    Harm(Harm),
    /// Said by this life of an agent.
    Said(Answer<Said>),
    Ordered {
        to_life: u64,
        request: Request,
    },
    Befalls {
        agent: usize,
        rank: usize,
        life: u64,
        fate: Fate,
    },
    Beat {
        agent: usize,
    },
    Back {
        agent: usize,
    },
    Unreached {
        agent: usize,
    },
    Stop,
}

const HEALED: Duration = Duration::from_secs(120);
const STOPPED: Duration = Duration::from_secs(200);

impl Sim {
    pub(super) fn new(mesh: Mesh, seed: u64) -> Result<Self, TestCaseError> {
        let own = mesh.spec().agents.clone();
        let n = own.len();
        let (each, times) = (own.iter().cloned().enumerate(), mesh.spec().config.times);
        let mut sim = Self {
            agents: each.map(|(i, own)| SimAgent::new(i, own, times.lease)).collect(),
            world: World::new(mesh)?,
            now: Timestamp::START,
            queue: BTreeMap::new(),
            n: 0,
            asleep_until: Timestamp::START,
            cut_until: vec![Timestamp::START; n],
            losing_until: vec![Timestamp::START; n],
            order_at: vec![Timestamp::START; n],
            random: seed,
            told: BTreeSet::new(),
            has_escalated: false,
            crashed: BTreeSet::new(),
            story: Vec::new(),
        };
        for agent in 0..n {
            let first = Timestamp::START + sim.up_to(500);
            sim.at(first, Happening::Beat { agent });
        }
        Ok(sim)
    }

    pub(super) fn open(&mut self) -> TestCaseResult {
        self.tell(Event::Opened)
    }

    /// Another controller has started some ranks, and some have ended.
    pub(super) fn adopt(&mut self) -> TestCaseResult {
        for rank in 0..self.world.mesh.spec().region.size() {
            let life = self.below(4);
            let status = match self.below(5) {
                0 => continue,
                1 => crash(),
                2 => Status::Stopped,
                _ => Status::Running,
            };
            self.agents.iter_mut().for_each(|a| a.found(self.now, rank, life, status.clone()));
        }
        self.tell(Event::Adopted)
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.world.mesh.spec().epoch
    }

    /// What has happened, one line each.
    pub(super) fn story(&self) -> String {
        self.story.join("\n")
    }

    /// Lets everything happen, then looks whether all is as it should be, and stops.
    pub(super) fn run(&mut self, faults: &[Fault]) -> TestCaseResult {
        self.plan(faults);
        self.run_until(Timestamp::from_start(HEALED))?;
        self.check_healed()?;
        self.at(self.now, Happening::Stop);
        self.run_until(Timestamp::from_start(STOPPED))?;
        self.check_stopped()
    }

    /// Stops at that moment, whatever goes wrong just then, and looks at the end whether all is over.
    pub(super) fn run_and_stop(&mut self, faults: &[Fault], stop_at_ms: u64) -> TestCaseResult {
        self.plan(faults);
        let at = Timestamp::from_start(Duration::from_millis(stop_at_ms));
        self.at(at, Happening::Stop);
        self.run_until(Timestamp::from_start(STOPPED))?;
        let untold: Vec<_> = self.crashed.difference(&self.told).collect();
        prop_assert!(untold.is_empty(), "crashes that nobody was told of: {:?}", untold);
        self.check_stopped()
    }

    fn plan(&mut self, faults: &[Fault]) {
        for fault in faults {
            let at = Timestamp::from_start(Duration::from_millis(fault.at_ms));
            self.at(at, Happening::Harm(fault.harm));
        }
    }

    fn check_stopped(&self) -> TestCaseResult {
        prop_assert_eq!(self.world.naive.stage, Stage::Closed);
        let size = self.world.mesh.spec().region.size();
        let alive: Vec<usize> = (0..size).filter(|rank| self.alive(*rank).is_some()).collect();
        prop_assert_eq!(alive, Vec::<usize>::new(), "ranks that live on");
        Ok(())
    }

    fn run_until(&mut self, end: Timestamp) -> TestCaseResult {
        loop {
            let due = self.world.mesh.next_deadline().map(|due| due.max(self.asleep_until));
            let next = self.queue.first_key_value().map(|((at, _), _)| *at);
            let now = [due, next].into_iter().flatten().min().unwrap_or(end).max(self.now);
            if now >= end {
                self.now = end;
                return Ok(());
            }
            self.now = now;
            self.expire();
            // What has arrived is read before the tick.
            if next.is_some_and(|next| next <= now) {
                if let Some((_, happening)) = self.queue.pop_first() {
                    self.happen(happening)?;
                }
            } else {
                self.tell(Event::Tick)?;
            }
        }
    }

    fn happen(&mut self, happening: Happening) -> TestCaseResult {
        match happening {
            Happening::Harm(harm) => self.harm(harm),
            Happening::Said(answer) if self.now < self.asleep_until => {
                self.at(self.asleep_until, Happening::Said(answer));
            }
            Happening::Said(answer) => return self.tell(Event::Answered(answer)),
            Happening::Unreached { agent } => return self.tell(query_failed(agent)),
            Happening::Stop => return self.tell(stop(1, Duration::from_secs(3))),
            Happening::Ordered { to_life, request } => return self.ordered(to_life, &request),
            Happening::Befalls { agent, rank, life, fate } => {
                let said = self.agents[agent].befall(rank, life, fate);
                self.say(said);
            }
            Happening::Beat { agent } => {
                if self.agents[agent].is_up {
                    let beat = self.agents[agent].beat(self.now);
                    self.say(Some(beat));
                }
                let every = self.world.mesh.spec().config.times.heartbeat;
                self.at(self.now + every, Happening::Beat { agent });
            }
            Happening::Back { agent } => self.agents[agent].come_back(self.now),
        }
        Ok(())
    }

    fn harm(&mut self, harm: Harm) {
        self.note(&format!("{harm:?}"));
        let n_agents = self.agents.len();
        match harm {
            Harm::Crash { rank } => self.befall_now(rank, Fate::Crashes),
            Harm::End { rank } => self.befall_now(rank, Fate::EndsWell),
            Harm::Deaf { rank } => self.agents.iter_mut().for_each(|agent| agent.make_deaf(rank)),
            Harm::Cut { agent, ms } => {
                self.cut_until[agent % n_agents] = self.now + Duration::from_millis(ms);
            }
            Harm::Lose { agent, ms } => {
                self.losing_until[agent % n_agents] = self.now + Duration::from_millis(ms);
            }
            Harm::Restart { agent, ms } => {
                let agent = agent % n_agents;
                if self.agents[agent].is_up {
                    // What only it knew is gone with it: such a rank is lost, or started once more.
                    let own = &self.agents[agent];
                    self.crashed.retain(|(rank, _)| own.proc(*rank).is_none());
                    self.agents[agent].die();
                    self.at(self.now + Duration::from_millis(ms), Happening::Back { agent });
                }
            }
            Harm::Sleep { ms } => self.asleep_until = self.now + Duration::from_millis(ms),
        }
    }

    fn befall_now(&mut self, rank: usize, fate: Fate) {
        for agent in 0..self.agents.len() {
            let life = self.agents[agent].proc(rank).map(|proc| proc.life);
            let said = life.and_then(|life| self.agents[agent].befall(rank, life, fate));
            let has_crashed = said.is_some() && fate == Fate::Crashes;
            self.crashed.extend(life.filter(|_| has_crashed).map(|life| (rank, life)));
            self.say(said);
        }
    }

    /// Leases that have run out (K2).
    fn expire(&mut self) {
        for agent in 0..self.agents.len() {
            let said = self.agents[agent].expire(self.now);
            self.say(said);
        }
    }

    /// Agents speak with a delay, so that what they say may come in another order.
    fn say(&mut self, answer: Option<Answer<Said>>) {
        let Some(answer) = answer else { return };
        let (Answer::Reported { agent, .. } | Answer::Heard { agent, .. }) = &answer else {
            return;
        };
        if self.now < self.cut_until[agent.index()] {
            return;
        }
        let arrives = self.now + self.up_to(300);
        self.at(arrives, Happening::Said(answer));
    }

    /// The controller is told something, and what it orders goes on its way.
    fn tell(&mut self, event: Event) -> TestCaseResult {
        let is_beat = matches!(event, Event::Tick | Event::Answered(Answer::Heard { .. }));
        if !is_beat {
            self.note(&heard(&event));
        }
        self.world.now = self.now;
        for effect in self.world.step(event)? {
            match effect {
                Effect::Ask(request) => self.send(request),
                Effect::TellOwner(failures) => {
                    self.note(&format!("the owner is told: {failures}"));
                    self.has_escalated |= failures.escalation.is_some();
                    for (rank, change) in failures.each() {
                        let life = change.incarnation.number();
                        let is_new = self.told.insert((rank.index(), life));
                        prop_assert!(is_new, "rank {}, life {} is told again", rank, life);
                    }
                }
                Effect::Tell { .. }
                | Effect::Refuse { .. }
                | Effect::Answer { .. }
                | Effect::Finish => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, request: Request) {
        let agent = request.agent.index();
        if !crate::support::is_routine(&Effect::Ask(request.clone())) {
            self.note(&format!("agent {agent} is asked: {:?}", request.order));
        }
        if self.now < self.losing_until[agent] {
            return;
        }
        let is_cut = self.now < self.cut_until[agent] || !self.agents[agent].is_up;
        let arrives = (self.now + self.up_to(100)).max(self.order_at[agent]);
        self.order_at[agent] = arrives;
        let to_life = self.agents[agent].life;
        let happening = if is_cut {
            Happening::Unreached { agent }
        } else {
            Happening::Ordered { to_life, request }
        };
        self.at(arrives, happening);
    }

    fn ordered(&mut self, to_life: u64, request: &Request) -> TestCaseResult {
        let index = request.agent.index();
        let agent = &mut self.agents[index];
        if !agent.is_up || agent.life != to_life {
            return Ok(());
        }
        let (said, fates) = agent.obey(self.now, request).map_err(TestCaseError::fail)?;
        self.say(said);
        for (rank, life, fate) in fates {
            let happens = self.now + self.up_to(1_500);
            self.at(happens, Happening::Befalls { agent: index, rank, life, fate });
        }
        Ok(())
    }

    /// Every rank is alive on both sides in the same life, or dead on both; and every life before
    /// was told to have ended. Whatever crashed has been told as a failure, whoever found it.
    fn check_healed(&self) -> TestCaseResult {
        let untold: Vec<_> = self.crashed.difference(&self.told).collect();
        prop_assert!(untold.is_empty(), "crashes that nobody was told of: {:?}", untold);
        let rules = self.world.mesh.spec().config.restart;
        for (rank, state) in self.world.mesh.state().ranks.iter().enumerate() {
            let life = state.incarnation.number();
            let really = self.alive(rank);
            if state.status == Status::Running {
                prop_assert_eq!(really, Some(life), "rank {} runs, it is said", rank);
            } else {
                prop_assert!(state.status.is_terminal(), "rank {} is {}", rank, state.status);
                prop_assert_eq!(really, None, "rank {} is {}", rank, state.status);
            }
            // A rank that has failed, and is not started again, was given up, or is one of those that
            // are started together with one that was.
            let is_permanent = rules.policy == controller::RestartPolicy::Permanent;
            let is_due = match &state.status {
                Status::Failed(_) => true,
                Status::Stopped => is_permanent,
                _ => false,
            };
            let is_excused = self.has_timed_out() || self.has_escalated;
            prop_assert!(!is_due || is_excused, "rank {} is {}", rank, state.status);
            let is_failed = state.status.is_failure();
            prop_assert_eq!(self.told.contains(&(rank, life)), is_failed, "rank {}", rank);
        }
        Ok(())
    }

    fn has_timed_out(&self) -> bool {
        self.world.mesh.counts()[mesh_core::StatusKind::Timeout as usize] > 0
    }

    /// The life of a rank that is really alive.
    fn alive(&self, rank: usize) -> Option<u64> {
        let agent = self.agents.iter().find(|agent| agent.is_alive(rank))?;
        agent.proc(rank).map(|proc| proc.life)
    }

    fn at(&mut self, at: Timestamp, happening: Happening) {
        self.n += 1;
        self.queue.insert((at, self.n), happening);
    }

    /// What is said again and again is written once.
    fn note(&mut self, line: &str) {
        if self.story.iter().rev().take(4).any(|last| last.ends_with(line)) {
            return;
        }
        let seconds = self.now.since_start().as_secs_f64();
        self.story.push(format!("t={seconds:.3}s  {line}"));
    }

    fn up_to(&mut self, millis: u64) -> Duration {
        Duration::from_millis(self.below(millis))
    }

    /// A number below `bound`: the generator of Steele, Lea and Flood.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % bound
    }
}

/// What the controller is told, in few words.
fn heard(event: &Event) -> String {
    let Event::Answered(Answer::Reported { agent, life, reports }) = event else {
        return format!("{event:?}");
    };
    let each = reports.runs().map(|(ranks, update)| {
        let Update { incarnation, generation, report, .. } = update;
        format!("{}..{} {report} (inc {incarnation}, gen {generation})", ranks.start, ranks.end)
    });
    format!("agent {agent} (life {life}) reports {}", each.collect::<Vec<_>>().join(", "))
}
