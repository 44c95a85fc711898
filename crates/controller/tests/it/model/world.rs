//! world: a machine, its twin, the naive model of both, and everybody who is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller::{AskId, Effect, Subscription};
use mesh_core::{
    Epoch, Failures, Interest, MeshRequest, News, Order, Request, Status, SubscriberId, Timestamp,
};
use mesh_shape::{RankSet, Region};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestCaseResult};

use super::budget::Budget;
use super::deeds::{ANY, Deed, Question, overlay, said_of};
use super::naive::{Answered, Naive, Stage, ends};
use super::said::{Event, Mesh, Said};
use super::watch::{Told, Watch};
use crate::support::{asked, beat, crash, of_life, query_failed, refused, reports};

pub(super) struct World {
    pub(super) mesh: Mesh,
    twin: Mesh,
    pub(super) naive: Naive,
    pub(super) watches: BTreeMap<SubscriberId, Watch>,
    owner: Told,
    pub(super) now: Timestamp,
    /// The greatest life of each rank that was ordered to start.
    started: BTreeMap<usize, u64>,
    budget: Budget,
    /// The ranks of a round whose ends were told, and not that they start again.
    ended: BTreeSet<usize>,
    /// In which life each agent is.
    lives: BTreeMap<usize, u64>,
    /// How many promises were withdrawn.
    pub(super) n_withdrawn: usize,
    /// Everything that agents ever said.
    said: Vec<Event>,
}

/// Watches from the first moment to the last, so that nothing is missed.
const WITNESS: SubscriberId = SubscriberId::FIRST;

/// What came out of one step, sorted.
#[derive(Default)]
struct Out {
    asks: Vec<Request>,
    told: Vec<Failures>,
    answers: Vec<(u64, Answered)>,
    refused: Vec<SubscriberId>,
    n_tells: BTreeMap<SubscriberId, usize>,
    n_finishes: usize,
    /// Of the ranks that ended: when each starts again.
    delays: BTreeMap<usize, Option<Duration>>,
}

impl World {
    pub(super) fn new(mesh: Mesh) -> Result<Self, TestCaseError> {
        let mut world = Self {
            naive: Naive::new(&mesh),
            ended: BTreeSet::new(),
            budget: Budget::new(mesh.spec().config.restart),
            twin: mesh.clone(),
            mesh,
            watches: BTreeMap::new(),
            owner: Told::default(),
            now: Timestamp::START,
            started: BTreeMap::new(),
            lives: BTreeMap::new(),
            n_withdrawn: 0,
            said: Vec::new(),
        };
        world.subscribe(WITNESS, Interest::All, None)?;
        Ok(world)
    }

    pub(super) fn do_deed(&mut self, deed: Deed) -> TestCaseResult {
        let event = match deed {
            Deed::Open => Event::Opened,
            Deed::Adopt => Event::Adopted,
            Deed::Report { agent, life, runs } => {
                let n_agents = self.mesh.spec().agents.len();
                let owner = runs.first().filter(|_| agent >= ANY).map(|run| run.start % n_agents);
                let agent = owner.unwrap_or(agent);
                self.say(agent, life, reports(agent, overlay(&runs)))
            }
            Deed::Beat { agent, life, seq } => self.say(agent, life, beat(agent, seq)),
            Deed::AllBeat { seq } => {
                for agent in 0..self.mesh.spec().agents.len() {
                    let event = self.say(agent, 0, beat(agent, seq));
                    self.step(event)?;
                }
                return Ok(());
            }
            Deed::Again { index } => {
                let Some(event) = self.said.get(index % self.said.len().max(1)) else {
                    return Ok(());
                };
                event.clone()
            }
            Deed::QueryFailed { agent } => query_failed(agent),
            Deed::Refused { agent, obeyed } => refused(agent, obeyed),
            Deed::Subscribe { id, all, region } => {
                let interest = if all { Interest::All } else { Interest::Terminal };
                return self.subscribe(SubscriberId::new(id), interest, self.region(region));
            }
            Deed::Unsubscribe { id } => {
                self.watches.remove(&SubscriberId::new(id));
                Event::Unsubscribed(SubscriberId::new(id))
            }
            Deed::Lag { id } => {
                if let Some(watch) = self.watches.get_mut(&SubscriberId::new(id)) {
                    watch.lag();
                }
                Event::Lagged(SubscriberId::new(id))
            }
            Deed::Ask { ask, question } => asked(ask, self.request(question)),
            Deed::Withdraw { ask } => Event::Withdrawn(AskId::new(ask)),
            Deed::Abandon => Event::Abandoned,
            Deed::Tick => Event::Tick,
            Deed::Pass { ms } => return self.pass(self.now + Duration::from_millis(ms)),
            Deed::Lose { rank, agent } => {
                self.say_of(rank, crash().into())?;
                return self.lose(agent);
            }
            Deed::Evict { rank, other, status, has_ended } => {
                self.say_of(rank, crash().into())?;
                if has_ended {
                    self.say_of(other, status.clone().into())?;
                }
                return self.say_of(other, Said { status, is_barred: true });
            }
            Deed::Sleep { ms } => {
                self.now = self.now + Duration::from_millis(ms);
                return Ok(());
            }
        };
        self.step(event).map(|_| ())
    }

    /// Whoever is heard is heard often enough not to be given up as well.
    fn lose(&mut self, silent: usize) -> TestCaseResult {
        const PARTS: u32 = 8;
        let (part, n_agents) =
            (self.mesh.spec().config.times.timeout / PARTS, self.mesh.spec().agents.len());
        for _ in 0..=PARTS {
            for agent in (0..n_agents).filter(|agent| *agent != silent) {
                let event = self.say(agent, 0, beat(agent, 0));
                self.step(event)?;
            }
            self.pass(self.now + part)?;
        }
        Ok(())
    }

    /// The agent of a rank has news of the life that the rank is in.
    fn say_of(&mut self, rank: usize, said: Said) -> TestCaseResult {
        let Some(life) = self.naive.next_report(rank) else { return Ok(()) };
        let agent = rank % self.mesh.spec().agents.len();
        let said = overlay(&[said_of(rank, life, said)]);
        let event = self.say(agent, 0, reports(agent, said));
        self.step(event).map(|_| ())
    }

    /// Said by the life of the agent that is so much later than the one that it is in.
    fn say(&mut self, agent: usize, later: u64, event: Event) -> Event {
        let life = self.lives.entry(agent).or_default();
        *life += later;
        let event = of_life(*life, event);
        self.said.push(event.clone());
        event
    }

    fn request(&self, question: Question) -> MeshRequest {
        let whole = self.mesh.spec().region.clone();
        match question {
            Question::Stop { grace_ms } => {
                MeshRequest::Stop { grace: Duration::from_millis(grace_ms), reason: None }
            }
            Question::Kill => MeshRequest::Kill,
            Question::Wait { first, len, until, ms } => MeshRequest::WaitRankStatus {
                ranks: RankSet::from(first..first + len),
                until,
                within: Duration::from_millis(ms),
            },
            Question::State => MeshRequest::GetState,
            Question::Count => MeshRequest::GetSubscriberCount,
            Question::Update { rules, fits } => {
                let half = whole.parse_slice("procs=::2").expect("it is a slice");
                let region = if fits { whole } else { half.into() };
                MeshRequest::CreateOrUpdate { region, restart: *rules }
            }
        }
    }

    fn subscribe(
        &mut self,
        id: SubscriberId,
        interest: Interest,
        region: Option<Region>,
    ) -> TestCaseResult {
        let is_refused = self.naive.stage == Stage::Replaced
            || self.watches.len() >= self.mesh.spec().config.limits.subscribers;
        let is_new = !self.watches.contains_key(&id);
        if is_new && !is_refused {
            let whole = (*self.mesh.spec().region).clone();
            self.watches.insert(id, Watch::new(interest, region.clone(), whole));
        }
        let region = region.map(Into::into);
        let out =
            self.step(Event::Subscribed(Subscription { id, interest, region, again: false }))?;
        let refusals = out.iter().filter(|effect| matches!(effect, Effect::Refuse { .. })).count();
        prop_assert_eq!(refusals, usize::from(is_new && is_refused));
        Ok(())
    }

    fn region(&self, choice: usize) -> Option<Region> {
        let text = ["()", "procs=::2", "procs=::-1", "procs=1:3", "procs=4:1:-2"].get(choice)?;
        self.mesh.spec().region.parse_slice(text).ok()
    }

    /// Lets time pass; each deadline is kept to the moment.
    pub(super) fn pass(&mut self, until: Timestamp) -> TestCaseResult {
        let mut n_again = 0;
        while let Some(due) = self.mesh.next_deadline().filter(|due| *due <= until) {
            n_again = if due <= self.now { n_again + 1 } else { 0 };
            prop_assert!(n_again <= 2, "a deadline that stays due");
            self.now = self.now.max(due);
            self.step(Event::Tick)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// One step of everything, and every invariant after it.
    pub(super) fn step(&mut self, event: Event) -> Result<Vec<Effect>, TestCaseError> {
        let is_check = event == Event::Tick && self.naive.is_check_due(self.now, &self.mesh);
        let (before, stage) = (self.naive.views(), self.naive.stage);
        self.naive.n_subscribers = self.watches.len();
        self.naive.begin(self.now, &event, &self.mesh);
        let effects = self.mesh.step(self.now, event.clone());
        prop_assert_eq!(&effects, &self.twin.step(self.now, event), "the same again");
        let out = self.sort(&effects)?;
        let is_escalating = self.naive.end(&out.delays)?;
        self.check_owner(&out, is_escalating)?;
        self.check_answers(&out)?;
        self.check_orders(&out, &before)?;
        self.check_let_go()?;
        self.check_state()?;
        self.check_told(&before)?;
        self.check_withdrawn(&out)?;
        if is_check {
            let mut watches = self.watches.values_mut();
            prop_assert!(watches.all(Watch::take_heartbeat), "a heartbeat at each check");
        }
        self.check_silence(&out, stage)?;
        let finishes = matches!(self.naive.stage, Stage::Closed | Stage::Replaced);
        prop_assert_eq!(out.n_finishes, usize::from(finishes && stage != self.naive.stage), "L6");
        self.check_deadlines()?;
        Ok(effects)
    }

    fn sort(&mut self, effects: &[Effect]) -> Result<Out, TestCaseError> {
        let mut out = Out::default();
        for effect in effects.iter().cloned() {
            match effect {
                Effect::Tell { to, event } => {
                    *out.n_tells.entry(to).or_default() += 1;
                    prop_assert!(self.watches.contains_key(&to), "{} has not subscribed", to);
                    let Some(watch) = self.watches.get_mut(&to) else { continue };
                    if let (WITNESS, News::Changed(changes)) = (to, &event.news) {
                        for change in changes.iter().filter(|change| change.status.is_terminal()) {
                            let each = change.ranks.iter();
                            out.delays.extend(each.map(|rank| (rank.index(), change.restart_in)));
                        }
                    }
                    watch.take(event)?;
                }
                Effect::TellOwner(failures) => out.told.push(failures),
                Effect::Answer { ask, reply } => {
                    out.answers.push((ask.number(), Answered::from(&reply)));
                }
                Effect::Ask(request) => out.asks.push(request),
                Effect::Refuse { to, .. } => out.refused.push(to),
                Effect::Finish => out.n_finishes += 1,
            }
        }
        prop_assert!(out.n_tells.values().all(|n| *n <= 5), "{:?}", effects);
        Ok(out)
    }

    /// H6, N1, RS3: all failures of a step in one message, and an escalation once under the same rules.
    fn check_owner(&mut self, out: &Out, is_escalating: bool) -> TestCaseResult {
        prop_assert!(out.told.len() <= 1, "all failures of a step are told together");
        let mut escalations = Vec::new();
        for failures in &out.told {
            prop_assert!(failures.changes.iter().all(|change| change.status.is_failure()));
            self.owner.add(&failures.changes);
            escalations.extend(failures.escalation.clone());
        }
        prop_assert_eq!(escalations.len(), usize::from(is_escalating), "RS3");
        for escalation in escalations {
            let failed: Vec<usize> = escalation.failed.iter().map(|rank| rank.index()).collect();
            prop_assert_eq!(failed, self.naive.failed(), "all that failed are named");
            let starting: Vec<usize> = escalation.starting.iter().map(|it| it.index()).collect();
            prop_assert_eq!(starting, self.naive.ended_and_starting(), "what was promised");
        }
        Ok(())
    }

    /// L7: each question is answered once, when it should be.
    fn check_answers(&self, out: &Out) -> TestCaseResult {
        let (mut told, mut expected) = (out.answers.clone(), self.naive.answers.clone());
        told.sort();
        expected.sort();
        prop_assert_eq!(told, expected, "the answers of this step");
        Ok(())
    }

    /// What agents are asked: all that must be, nothing that must not be, and no more than stated.
    fn check_orders(&mut self, out: &Out, before: &[(u64, Status)]) -> TestCaseResult {
        let (mut starts, mut kills) = (BTreeSet::new(), BTreeSet::new());
        let (mut renews, mut polls) = (Vec::new(), Vec::new());
        let mut n_orders: BTreeMap<usize, usize> = BTreeMap::new();
        for Request { agent, epoch, order, .. } in &out.asks {
            prop_assert_eq!(*epoch, Epoch::FIRST);
            let agent = agent.index();
            *n_orders.entry(agent).or_default() += 1;
            match order {
                Order::Start { ranks, incarnation, echoed } => {
                    let echoed = echoed.map(|echo| (echo.life.number(), echo.beat.number()));
                    prop_assert_eq!(echoed, self.naive.newest_beat(agent), "K1: what was heard");
                    starts.extend(self.lives(agent, ranks, incarnation.number())?);
                }
                Order::Kill { ranks, incarnation } => {
                    kills.extend(self.lives(agent, ranks, incarnation.number())?);
                }
                Order::Stop { ranks, incarnation } => {
                    let mut lives = self.lives(agent, ranks, incarnation.number())?.into_iter();
                    prop_assert!(lives.all(|(rank, _)| self.naive.may_stop(rank)), "{:?}", order);
                }
                Order::Poll => polls.push(agent),
                Order::Renew { echoed: mesh_core::Echo { life, beat } } => {
                    renews.push((agent, life.number(), beat.number()));
                }
            }
        }
        let wanted = &self.naive.orders;
        prop_assert!(starts.is_superset(&wanted.starts), "{:?} of {:?}", starts, wanted.starts);
        prop_assert!(kills.is_superset(&wanted.kills), "{:?} of {:?}", kills, wanted.kills);
        prop_assert_eq!(renews, wanted.renew.into_iter().collect::<Vec<_>>(), "K1");
        let n_agents = self.mesh.spec().agents.len();
        prop_assert_eq!(polls, (0..if wanted.polls { n_agents } else { 0 }).collect::<Vec<_>>());
        for (agent, n) in n_orders {
            let n_zombies = wanted.kills.len();
            prop_assert!(n <= 1 + 4 * self.naive.n_lives(agent) + n_zombies, "{:?}", out.asks);
        }
        for (rank, life) in kills {
            prop_assert!(self.naive.may_kill(rank, life), "a kill of rank {}, life {}", rank, life);
        }
        self.check_starts(&starts, before)?;
        // RS1, N1: who was told to have ended for good while all others were to start again does not.
        let mut again = starts.iter().filter(|(rank, life)| before[*rank].0 < *life);
        prop_assert!(!again.any(|(rank, _)| self.ended.contains(rank)), "{:?}", starts);
        let final_ends = out.delays.iter().filter(|(_, delay)| delay.is_none());
        self.ended.extend(final_ends.map(|(rank, _)| *rank));
        self.ended.retain(|rank| self.naive.is_in_round(*rank));
        let n_announced = out.delays.values().flatten().count();
        let n_begun = starts.iter().filter(|(rank, life)| before[*rank].0 < *life).count();
        let rules = self.mesh.spec().config.restart;
        self.budget.check(&rules, self.naive.n_adopted(), (n_announced, n_begun))
    }

    /// RS1, H2: a life is started if the one before it is known to have ended, and after no later one.
    fn check_starts(
        &mut self,
        starts: &BTreeSet<(usize, u64)>,
        before: &[(u64, Status)],
    ) -> TestCaseResult {
        for (rank, life) in starts {
            prop_assert!(self.naive.is_begun(*rank, *life), "rank {} begins {}", rank, life);
            let (was, status) = &before[*rank];
            let is_first = self.started.get(rank).is_none_or(|started| started < life);
            let is_free = was >= life || status.is_terminal();
            prop_assert!(is_free, "life {} of rank {} while {} is {}", life, rank, was, status);
            prop_assert!(is_first || was == life, "life {} of rank {} again", life, rank);
            self.started.insert(*rank, *life);
        }
        Ok(())
    }

    fn lives(
        &self,
        agent: usize,
        ranks: &RankSet,
        life: u64,
    ) -> Result<Vec<(usize, u64)>, TestCaseError> {
        let own = &self.mesh.spec().agents[agent];
        prop_assert!(!ranks.is_empty() && ranks.difference(own).is_empty(), "its own ranks");
        Ok(ranks.iter().map(|rank| (rank.index(), life)).collect())
    }

    /// K3, N10: a controller that was replaced or has no owner has told everybody.
    fn check_let_go(&self) -> TestCaseResult {
        if self.naive.stage.is_let_go() {
            prop_assert!(self.watches.values().all(Watch::is_let_go));
        }
        Ok(())
    }

    /// C2: without an owner nothing is ordered, and nobody is told of ranks; what is asked is answered.
    fn check_silence(&self, out: &Out, before: Stage) -> TestCaseResult {
        if self.naive.stage == Stage::Abandoned {
            prop_assert!(out.asks.is_empty() && out.told.is_empty(), "no orders, no failures");
            prop_assert!(before == Stage::Abandoned || out.answers.is_empty(), "nobody waits");
        }
        Ok(())
    }

    /// What the machine says of itself is what the naive model holds.
    fn check_state(&self) -> TestCaseResult {
        let state = self.mesh.state().ranks;
        let state: Vec<(u64, Status)> =
            state.iter().map(|rank| (rank.incarnation.number(), rank.status.clone())).collect();
        prop_assert_eq!(state, self.naive.views());
        prop_assert_eq!(self.mesh.counts(), self.naive.counts());
        prop_assert_eq!(self.mesh.n_runs(), self.naive.n_runs(), "runs are canonical");
        prop_assert_eq!(self.mesh.n_subscribers(), self.watches.len());
        Ok(())
    }

    /// Each end of this step was told once to everybody whom it concerns, and nothing else was.
    fn check_told(&mut self, before: &[(u64, Status)]) -> TestCaseResult {
        let after = self.naive.views();
        let ends: Vec<(usize, u64, Status)> = ends(before, &after);
        let failures = ends.iter().filter(|(_, _, status)| status.is_failure()).cloned();
        prop_assert_eq!(self.owner.take(), failures.collect::<Vec<_>>(), "the owner");
        for (id, watch) in &mut self.watches {
            watch.check(&ends, &after, self.naive.stage == Stage::Closed, *id)?;
        }
        Ok(())
    }

    /// RS1: who does not begin again after all is told of once, to everybody.
    fn check_withdrawn(&mut self, out: &Out) -> TestCaseResult {
        let withdrawn = out.told.iter().flat_map(|failures| failures.each_withdrawn());
        let mut told: Vec<_> =
            withdrawn.map(|(rank, it)| (rank.index(), it.incarnation.number())).collect();
        told.sort_unstable();
        let mut all = self.naive.withdrawn.clone();
        all.sort_unstable();
        prop_assert_eq!(&told, &all, "the owner");
        self.n_withdrawn += all.len();
        self.watches.values_mut().try_for_each(|watch| watch.check_withdrawn(&all))
    }

    fn check_deadlines(&self) -> TestCaseResult {
        let is_watching = self.naive.is_watching();
        let has_deadline = is_watching || self.naive.has_waits();
        prop_assert_eq!(self.mesh.next_deadline().is_some(), has_deadline);
        prop_assert_eq!(self.mesh.check_due().is_some(), is_watching);
        let bound = self.naive.checked_at + self.mesh.spec().config.times.check;
        prop_assert!(self.mesh.check_due().is_none_or(|due| due <= bound), "one period at most");
        Ok(())
    }
}
