//! model: random histories of events against a naive reference that looks at every rank.

mod naive;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use controller::{
    Config, Controller, Effect, Event, RestartConfig, RestartPolicy, Spec, Subscription,
};
use mesh_core::{
    Generation, Incarnation, Interest, Stall, Status, SubscriberId, Timestamp, Update,
};
use mesh_shape::{Extent, Overlay, Rank, RankSet, Region};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::support::{LAN, Mesh, Plain, beat, crash, exit, label, query_failed, reports, stop};
use naive::{Naive, Stage};
use watch::{Told, Watch};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Deed {
    Open,
    Report {
        agent: usize,
        runs: Vec<(usize, usize, u64, u64, usize)>,
    },
    Beat {
        agent: usize,
        seq: u64,
    },
    QueryFailed {
        agent: usize,
    },
    Subscribe {
        id: u64,
        all: bool,
        region: usize,
    },
    Unsubscribe {
        id: u64,
    },
    Lag {
        id: u64,
    },
    Stop {
        grace_ms: u64,
    },
    /// At this moment, whether it is due or not.
    Tick,
    /// Time passes, and deadlines are kept.
    Pass {
        ms: u64,
    },
    /// Time passes, and this side sleeps through it.
    Sleep {
        ms: u64,
    },
}

fn deed() -> impl Strategy<Value = Deed> {
    let run = (0_usize..9, 0_usize..5, 0_u64..3, 0_u64..5, 0_usize..STATUSES);
    prop_oneof![
        1 => Just(Deed::Open),
        8 => (0_usize..5, prop::collection::vec(run, 0..4))
            .prop_map(|(agent, runs)| Deed::Report { agent, runs }),
        6 => (0_usize..5, 0_u64..9).prop_map(|(agent, seq)| Deed::Beat { agent, seq }),
        1 => (0_usize..5).prop_map(|agent| Deed::QueryFailed { agent }),
        3 => (1_u64..5, any::<bool>(), 0_usize..6)
            .prop_map(|(id, all, region)| Deed::Subscribe { id, all, region }),
        1 => (1_u64..5).prop_map(|id| Deed::Unsubscribe { id }),
        1 => (1_u64..5).prop_map(|id| Deed::Lag { id }),
        1 => (0_u64..9_000).prop_map(|grace_ms| Deed::Stop { grace_ms }),
        2 => Just(Deed::Tick),
        8 => (0_u64..6_000).prop_map(|ms| Deed::Pass { ms }),
        2 => (0_u64..30_000).prop_map(|ms| Deed::Sleep { ms }),
    ]
}

const STATUSES: usize = 10;

fn status(choice: usize) -> Status {
    match choice {
        0 => Status::NotExist,
        1 => Status::Initializing,
        2 => Status::Stalled(Stall::Suspended { signal: 19 }),
        3 => Status::Stalled(Stall::DumpingCore),
        4 => Status::Stopping,
        5 => Status::Stopped,
        6 => crash(),
        7 => exit(2),
        _ => Status::Running,
    }
}

fn config(policy: usize, max_restarts: u32) -> Config {
    let policy = match policy {
        0 => RestartPolicy::Permanent,
        1 => RestartPolicy::Transient,
        _ => RestartPolicy::Temporary,
    };
    // Some delays are so long that an agent can be given up before they are over.
    let backoff_min =
        Duration::from_millis(if max_restarts.is_multiple_of(2) { 100 } else { 20_000 });
    let restart = RestartConfig { policy, backoff_min, ..RestartConfig::on_failure(max_restarts) };
    Config { restart, ..LAN }
}

fn mesh_of(size: usize, n_agents: usize, config: Config, seed: u64) -> Mesh {
    let extent = Extent::new([("procs", size)]).expect("the size is small");
    let mut agents = vec![RankSet::new(); n_agents];
    // Neighbours belong to different agents, so that runs end where agents do.
    for rank in 0..size {
        agents[rank % n_agents].insert(Rank::new(rank));
    }
    let (mesh, region) = (label(), Region::all(extent));
    let spec = Spec { mesh, region, epoch: mesh_core::Epoch::FIRST, agents, config, seed };
    Controller::new(spec, Plain).expect("every rank has one agent")
}

/// A machine, its twin, the naive model of both, and everybody who is told.
struct World {
    mesh: Mesh,
    twin: Mesh,
    naive: Naive,
    watches: BTreeMap<SubscriberId, Watch>,
    owner: Told,
    now: Timestamp,
    n_asks: u64,
    answered: Vec<u64>,
}

/// Watches from the first moment to the last, so that nothing is missed.
const WITNESS: SubscriberId = SubscriberId::FIRST;

impl World {
    fn new(mesh: Mesh) -> Result<Self, TestCaseError> {
        let naive = Naive::new(&mesh);
        let twin = mesh.clone();
        let (watches, owner, now) = (BTreeMap::new(), Told::default(), Timestamp::START);
        let mut world =
            Self { mesh, twin, naive, watches, owner, now, n_asks: 0, answered: Vec::new() };
        world.subscribe(WITNESS, Interest::All, None)?;
        Ok(world)
    }

    fn do_deed(&mut self, deed: Deed) -> TestCaseResult {
        match deed {
            Deed::Open => self.step(Event::Opened),
            Deed::Report { agent, runs } => self.step(reports(agent, overlay(&runs))),
            Deed::Beat { agent, seq } => self.step(beat(agent, seq)),
            Deed::QueryFailed { agent } => self.step(query_failed(agent)),
            Deed::Subscribe { id, all, region } => {
                let interest = if all { Interest::All } else { Interest::Terminal };
                self.subscribe(SubscriberId::new(id), interest, self.region(region))
            }
            Deed::Unsubscribe { id } => {
                self.watches.remove(&SubscriberId::new(id));
                self.step(Event::Unsubscribed(SubscriberId::new(id)))
            }
            Deed::Lag { id } => {
                if let Some(watch) = self.watches.get_mut(&SubscriberId::new(id)) {
                    watch.lag();
                }
                self.step(Event::Lagged(SubscriberId::new(id)))
            }
            Deed::Stop { grace_ms } => {
                self.n_asks += 1;
                self.step(stop(self.n_asks, Duration::from_millis(grace_ms)))
            }
            Deed::Tick => self.step(Event::Tick),
            Deed::Pass { ms } => self.pass(self.now + Duration::from_millis(ms)),
            Deed::Sleep { ms } => {
                self.now = self.now + Duration::from_millis(ms);
                Ok(())
            }
        }
    }

    fn subscribe(
        &mut self,
        id: SubscriberId,
        interest: Interest,
        region: Option<Region>,
    ) -> TestCaseResult {
        let new = Watch::new(interest, region.clone());
        self.watches.entry(id).or_insert(new);
        self.step(Event::Subscribed(Subscription { id, interest, region }))
    }

    fn region(&self, choice: usize) -> Option<Region> {
        let text = ["()", "procs=::2", "procs=::-1", "procs=1:3", "procs=4:1:-2"].get(choice)?;
        self.mesh.spec().region.parse_slice(text).ok()
    }

    /// Lets time pass; each deadline is kept to the moment.
    fn pass(&mut self, until: Timestamp) -> TestCaseResult {
        while let Some(due) = self.mesh.next_deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.step(Event::Tick)?;
            let next = self.mesh.next_deadline();
            prop_assert!(next.is_none_or(|next| next > self.now), "a deadline that stays due");
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// One step of everything, and every invariant after it.
    fn step(&mut self, event: Event<Status>) -> TestCaseResult {
        let is_check = event == Event::Tick && self.naive.is_check_due(self.now, &self.mesh);
        let before = self.naive.views();
        self.naive.begin(self.now, &event, &self.mesh);
        let effects = self.mesh.step(self.now, event.clone());
        prop_assert_eq!(&effects, &self.twin.step(self.now, event), "the same again");
        let mut told_owner = 0;
        for effect in effects {
            match effect {
                Effect::Tell { to, event } => {
                    let watch = self.watches.get_mut(&to);
                    prop_assert!(watch.is_some(), "{} has not subscribed", to);
                    let Some(watch) = watch else { continue };
                    if to == WITNESS {
                        self.naive.learn_restarts(&event.news);
                    }
                    watch.take(event)?;
                }
                Effect::TellOwner(failures) => {
                    told_owner += 1;
                    prop_assert!(failures.changes.iter().all(|change| change.status.is_failure()));
                    self.owner.add(&failures.changes);
                }
                Effect::Answer { ask, .. } => self.answered.push(number(ask)),
                Effect::Ask(_) | Effect::Refuse { .. } | Effect::Finish => (),
            }
        }
        self.naive.end();
        prop_assert!(told_owner <= 1, "all failures of a step are told together");
        self.check_state()?;
        self.check_told(&before)?;
        if is_check {
            let mut watches = self.watches.values_mut();
            prop_assert!(watches.all(|watch| watch.take_heartbeat()), "a heartbeat at each check");
        }
        self.check_deadlines()
    }

    /// What the machine says of itself is what the naive model holds.
    fn check_state(&self) -> TestCaseResult {
        let state: Vec<(u64, Status)> = self
            .mesh
            .state()
            .ranks
            .iter()
            .map(|rank| (rank.incarnation.number(), rank.status.clone()))
            .collect();
        prop_assert_eq!(state, self.naive.views());
        prop_assert_eq!(self.mesh.counts(), &self.naive.counts());
        prop_assert_eq!(self.mesh.n_runs(), self.naive.n_runs(), "runs are canonical");
        prop_assert_eq!(self.mesh.n_subscribers(), self.watches.len());
        Ok(())
    }

    /// Each end of this step was told once to everybody whom it concerns, and nothing else was.
    fn check_told(&mut self, before: &[(u64, Status)]) -> TestCaseResult {
        let after = self.naive.views();
        let ends: Vec<(usize, u64, Status)> = naive::ends(before, &after);
        let failures = ends.iter().filter(|(_, _, status)| status.is_failure()).cloned();
        prop_assert_eq!(self.owner.take(), failures.collect::<Vec<_>>(), "the owner");
        for (id, watch) in &mut self.watches {
            watch.check(&ends, &after, self.naive.stage == Stage::Closed, *id)?;
        }
        Ok(())
    }

    fn check_deadlines(&self) -> TestCaseResult {
        let is_watching = matches!(self.naive.stage, Stage::Open | Stage::Stopping);
        prop_assert_eq!(self.mesh.next_deadline().is_some(), is_watching);
        prop_assert_eq!(self.mesh.check_due().is_some(), is_watching);
        let bound = self.naive.checked_at + LAN.times.check;
        prop_assert!(self.mesh.check_due().is_none_or(|due| due <= bound), "one period at most");
        Ok(())
    }
}

fn number(ask: controller::AskId) -> u64 {
    (0..).find(|number| controller::AskId::new(*number) == ask).expect("asks are counted up")
}

fn overlay(runs: &[(usize, usize, u64, u64, usize)]) -> Overlay<Update<Status>> {
    let mut overlay = Overlay::new();
    for (start, len, incarnation, generation, choice) in runs {
        let incarnation = Incarnation::new(*incarnation);
        let generation = Generation::new(*generation);
        let (age, report) = (Duration::ZERO, status(*choice));
        let update = Update { incarnation, generation, age, report };
        overlay.insert(*start..*start + *len, update);
    }
    overlay
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// H1 to H4, H6, N1 to N6, L6, RS2, C1: whatever happens, in whatever order.
    #[test]
    fn no_history_breaks_an_invariant(
        (size, n_agents) in (0_usize..9, 1_usize..5),
        (policy, max_restarts) in (0_usize..5, 0_u32..5),
        seed in any::<u64>(),
        is_opened in prop::bool::weighted(0.9),
        deeds in prop::collection::vec(deed(), 0..60),
    ) {
        let mut world = World::new(mesh_of(size, n_agents, config(policy, max_restarts), seed))?;
        if is_opened {
            world.do_deed(Deed::Open)?;
        }
        for deed in deeds {
            world.do_deed(deed)?;
        }
        // Whatever has happened: a stop of a mesh whose agents are all silent comes to an end.
        world.do_deed(Deed::Stop { grace_ms: 1_000 })?;
        world.pass(world.now + Duration::from_secs(60))?;
        prop_assert_eq!(world.naive.stage, Stage::Closed);
        prop_assert_eq!(world.mesh.next_deadline(), None);
        world.answered.sort_unstable();
        prop_assert_eq!(world.answered, (1..=world.n_asks).collect::<Vec<_>>(), "each once");
        let closed = world.watches.values().all(|watch| watch.is_closed());
        prop_assert!(closed, "everybody was told of the end");
    }
}
