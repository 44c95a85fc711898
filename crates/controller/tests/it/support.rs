//! support: small builders of meshes, events and effects, so that a test is one line per step.

use std::time::Duration;

use controller::{AskId, Config, Controlled, Controller, Effect, Event, Spec, Subscription};
use mesh_core::{
    AgentId, Answer, BeatSeq, Cause, Change, Echo, Epoch, Escalation, Failures, Generation,
    Incarnation, Interest, MeshEvent, MeshId, MeshLabel, MeshRequest, MeshState, News, Order, Part,
    Progress, RankState, Reason, Refusal, Reply, Request, Snapshot, Status, StatusKind,
    SubscriberId, Timestamp, Update,
};
use mesh_shape::{Extent, Overlay, Rank, RankSet, Region};

/// A kind of mesh whose agents report a status in so many words.
#[derive(Clone, Debug)]
pub(crate) struct Plain;

impl Controlled for Plain {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }
}

pub(crate) type Mesh = Controller<Plain>;

/// A lease of 10 s: beats every 0.5 s, suspect at 2 s, unreachable at 3.5 s, timeout at 12.1 s;
/// checks every 2.5 s, polls have 2 s.
pub(crate) const LAN: Config = Config::lan();
pub(crate) const WATCHER: SubscriberId = SubscriberId::new(7);

// Time.

pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_secs(seconds))
}

pub(crate) fn at_ms(millis: u64) -> Timestamp {
    Timestamp::from_start(Duration::from_millis(millis))
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

// Meshes.

pub(crate) fn label() -> MeshLabel {
    MeshLabel::new(MeshId::from_random(7), "words", "plain")
}

/// `hosts=n_agents,procs=size / n_agents`, or one dim if that does not divide.
pub(crate) fn spec(size: usize, n_agents: usize, config: Config) -> Spec {
    let each = size.div_ceil(n_agents.max(1));
    let dims = if each * n_agents == size && n_agents > 0 {
        vec![("hosts", n_agents), ("procs", each)]
    } else {
        vec![("procs", size)]
    };
    let extent = Extent::new(dims).expect("the sizes are small");
    let own = |agent: usize| (agent * each).min(size)..((agent + 1) * each).min(size);
    Spec {
        mesh: label(),
        region: Region::all(extent).into(),
        epoch: Epoch::new(3),
        agents: (0..n_agents).map(|agent| RankSet::from(own(agent))).collect(),
        config,
        seed: 1,
    }
}

/// Not opened yet.
pub(crate) fn new(size: usize, n_agents: usize, config: Config) -> Mesh {
    Controller::new(spec(size, n_agents, config), Plain).expect("the spec holds together")
}

/// Opened at 0: every rank is initializing.
pub(crate) fn opened(size: usize, n_agents: usize, config: Config) -> Mesh {
    let mut mesh = new(size, n_agents, config);
    let n_started = mesh.step(at(0), Event::Opened).len();
    assert_eq!(n_started, n_agents, "one order to each agent");
    mesh
}

/// Opened at 0, and every rank reported as running at once.
pub(crate) fn running(size: usize, n_agents: usize, config: Config) -> Mesh {
    let mut mesh = opened(size, n_agents, config);
    for agent in 0..n_agents {
        let own = mesh.spec().agents[agent].clone();
        let told = mesh.step(at(0), report(agent, own, Status::Running));
        assert_eq!(told, [], "nobody has subscribed");
    }
    mesh
}

// Events.

/// The report number 1 of the first lives.
pub(crate) fn report(agent: usize, ranks: impl Ranks, status: Status) -> Event<Status> {
    nth_report(agent, ranks, (0, 1), status)
}

/// The report of this incarnation and generation.
pub(crate) fn nth_report(
    agent: usize,
    ranks: impl Ranks,
    (incarnation, generation): (u64, u64),
    status: Status,
) -> Event<Status> {
    let update = Update {
        incarnation: Incarnation::new(incarnation),
        generation: Generation::new(generation),
        age: Duration::ZERO,
        report: status,
    };
    reports(agent, ranks.set().iter().map(|rank| (rank, update.clone())).collect())
}

pub(crate) fn reports<R>(agent: usize, reports: Overlay<Update<R>>) -> Event<R> {
    let (agent, life) = (AgentId::new(agent), Incarnation::FIRST);
    Event::Answered(Answer::Reported { agent, life, reports })
}

/// The same, said by this life of the agent.
pub(crate) fn of_life<R>(life: u64, event: Event<R>) -> Event<R> {
    let life = Incarnation::new(life);
    match event {
        Event::Answered(Answer::Reported { agent, reports, .. }) => {
            Event::Answered(Answer::Reported { agent, life, reports })
        }
        Event::Answered(Answer::Heard { agent, beat, .. }) => {
            Event::Answered(Answer::Heard { agent, life, beat })
        }
        other => other,
    }
}

/// The agent obeys the controller of this epoch.
pub(crate) fn refused<R>(agent: usize, obeyed: u64) -> Event<R> {
    let (agent, obeyed) = (AgentId::new(agent), Epoch::new(obeyed));
    Event::Answered(Answer::Refused { agent, obeyed })
}

/// Ranks of agent 0 exit with code 1.
pub(crate) fn crashed<const N: usize>(ranks: [usize; N]) -> Event<Status> {
    nth_report(0, ranks, (0, 2), crash())
}

pub(crate) fn ended<const N: usize>(ranks: [usize; N]) -> Event<Status> {
    nth_report(0, ranks, (0, 2), Status::Stopped)
}

pub(crate) fn beat<R>(agent: usize, seq: u64) -> Event<R> {
    Event::Answered(Answer::Heard {
        agent: AgentId::new(agent),
        life: Incarnation::FIRST,
        beat: BeatSeq::new(seq),
    })
}

/// Ranks of agent 0 were killed and do not end.
pub(crate) fn resist<const N: usize>(ranks: [usize; N], incarnation: u64) -> Event<Status> {
    Event::Answered(Answer::Resist {
        agent: AgentId::new(0),
        ranks: ranks.set(),
        incarnation: Incarnation::new(incarnation),
        why: "state D".to_owned(),
    })
}

pub(crate) fn query_failed<R>(agent: usize) -> Event<R> {
    Event::Answered(Answer::QueryFailed { agent: AgentId::new(agent) })
}

pub(crate) fn subscribe(interest: Interest) -> Event<Status> {
    Event::Subscribed(Subscription { id: WATCHER, interest, region: None, again: false })
}

pub(crate) fn subscribe_to(region: &str, mesh: &Mesh) -> Event<Status> {
    let region = mesh.spec().region.parse_slice(region).expect("it is a slice of the mesh");
    Event::Subscribed(Subscription {
        id: WATCHER,
        interest: Interest::All,
        region: Some(region.into()),
        again: false,
    })
}

pub(crate) fn stop<R>(ask: u64, grace: Duration) -> Event<R> {
    asked(ask, MeshRequest::Stop { grace, reason: None })
}

pub(crate) fn kill_all(ask: u64) -> Event<Status> {
    asked(ask, MeshRequest::Kill)
}

pub(crate) fn asked<R>(ask: u64, request: MeshRequest) -> Event<R> {
    Event::Asked { ask: AskId::new(ask), request }
}

pub(crate) fn wait(
    ask: u64,
    ranks: impl Ranks,
    (until, within): (Progress, Duration),
) -> Event<Status> {
    asked(ask, MeshRequest::WaitRankStatus { ranks: ranks.set(), until, within })
}

// Statuses.

pub(crate) fn crash() -> Status {
    exit(1)
}

pub(crate) fn exit(code: i32) -> Status {
    Status::failed(Cause::new(Reason::Exit { code }))
}

pub(crate) fn lost() -> Status {
    Status::failed(Cause::new(Reason::LostByAgent))
}

// Effects.

pub(crate) fn tell(seq: u64, news: News) -> Effect {
    tell_to(WATCHER, seq, news)
}

pub(crate) fn changed(changes: Vec<Change>) -> News {
    News::Changed(changes.into())
}

pub(crate) fn tell_to(to: SubscriberId, seq: u64, news: News) -> Effect {
    Effect::Tell {
        to,
        event: MeshEvent {
            mesh: label(),
            reporter: Epoch::new(3),
            seq,
            waited: Duration::ZERO,
            part: Part::WHOLE,
            news,
        },
    }
}

/// Seen just now.
pub(crate) fn change(ranks: impl Ranks, status: Status) -> Change {
    let (incarnation, age) = (Incarnation::FIRST, Duration::ZERO);
    Change { ranks: ranks.set(), incarnation, status, restart_in: None, age }
}

/// The change, seen so long ago.
pub(crate) fn aged(age: Duration, change: Change) -> Change {
    Change { age, ..change }
}

/// The change, of this life of the ranks.
pub(crate) fn of_incarnation(incarnation: u64, change: Change) -> Change {
    Change { incarnation: Incarnation::new(incarnation), ..change }
}

pub(crate) fn tell_owner<C: Controlled>(mesh: &Controller<C>, changes: Vec<Change>) -> Effect {
    escalate(mesh, changes, None)
}

pub(crate) fn escalate<C: Controlled>(
    mesh: &Controller<C>,
    changes: Vec<Change>,
    escalation: Option<Escalation>,
) -> Effect {
    let Spec { mesh, region, epoch, .. } = mesh.spec().clone();
    let (waited, withdrawn, reporter) = (Duration::ZERO, Vec::new(), epoch);
    let failures = Failures { mesh, region, reporter, changes, waited, withdrawn, escalation };
    Effect::TellOwner(failures)
}

pub(crate) fn ask(agent: usize, order: Order) -> Effect {
    let (mesh, agent) = (label().id(), AgentId::new(agent));
    Effect::Ask(Request { mesh, agent, epoch: Epoch::new(3), order })
}

pub(crate) fn start(agent: usize, ranks: impl Ranks, incarnation: u64) -> Effect {
    let incarnation = Incarnation::new(incarnation);
    ask(agent, Order::Start { ranks: ranks.set(), incarnation, echoed: None })
}

/// Effects without what orders to start echo, for tests of something else.
pub(crate) fn unechoed(effects: Vec<Effect>) -> Vec<Effect> {
    let without = |effect| match effect {
        Effect::Ask(Request { agent, order: Order::Start { ranks, incarnation, .. }, .. }) => {
            start(agent.index(), ranks, incarnation.number())
        }
        other => other,
    };
    effects.into_iter().map(without).collect()
}

pub(crate) fn ask_stop(agent: usize, ranks: impl Ranks) -> Effect {
    ask(agent, Order::Stop { ranks: ranks.set(), incarnation: Incarnation::FIRST })
}

pub(crate) fn ask_kill(agent: usize, ranks: impl Ranks) -> Effect {
    ask(agent, Order::Kill { ranks: ranks.set(), incarnation: Incarnation::FIRST })
}

pub(crate) fn kill(agent: usize, ranks: impl Ranks, incarnation: u64) -> Effect {
    let incarnation = Incarnation::new(incarnation);
    ask(agent, Order::Kill { ranks: ranks.set(), incarnation })
}

pub(crate) fn renew(agent: usize, echoed: u64) -> Effect {
    ask(
        agent,
        Order::Renew { echoed: Echo { life: Incarnation::FIRST, beat: BeatSeq::new(echoed) } },
    )
}

pub(crate) fn heartbeat() -> News {
    News::Heartbeat { period: LAN.times.check }
}

pub(crate) fn answer(ask: u64, state: MeshState) -> Effect {
    reply(ask, Reply::State(state.into()))
}

pub(crate) fn reply(ask: u64, reply: Reply) -> Effect {
    Effect::Answer { ask: AskId::new(ask), reply }
}

/// To a wait: who was not so far, and what everybody is now.
pub(crate) fn waited(ask: u64, missing: impl Ranks, mesh: &Mesh) -> Effect {
    reply(ask, Reply::Waited { missing: missing.set(), state: mesh.state().into() })
}

pub(crate) fn refusal(ask: u64, why: Refusal) -> Effect {
    reply(ask, Reply::Refused(why))
}

/// Of a healthy mesh, for [`Interest::Terminal`].
pub(crate) fn snapshot() -> Snapshot {
    Snapshot {
        period: LAN.times.check,
        failed: Vec::new(),
        stopped: Vec::new(),
        alive: Vec::new(),
        is_stopping: false,
        stop_reason: None,
        lagged: false,
    }
}

// What a mesh is.

pub(crate) fn statuses(mesh: &Mesh) -> Vec<Status> {
    mesh.state().ranks.iter().map(|state: &RankState| state.status.clone()).collect()
}

pub(crate) fn kinds(mesh: &Mesh) -> Vec<StatusKind> {
    mesh.state().ranks.iter().map(|state| state.status.kind()).collect()
}

/// Lets time pass up to `until`: the agents in `talking` beat as they should, deadlines are kept.
/// Returns what came out, but for beats' echoes, polls and heartbeats.
pub(crate) fn pass(
    mesh: &mut Mesh,
    (from, until): (Timestamp, Timestamp),
    talking: &[usize],
) -> Vec<(Timestamp, Effect)> {
    let every = mesh.spec().config.times.heartbeat;
    let mut out = Vec::new();
    let mut next_beat = from + every;
    let (mut last, mut n_again) = (Timestamp::START, 0);
    loop {
        let due = mesh.next_deadline().unwrap_or(Timestamp::from_start(Duration::MAX));
        let now = due.min(next_beat);
        if now > until {
            return out;
        }
        let mut effects = Vec::new();
        if now == next_beat {
            let seq = u64::try_from(now.since_start().as_millis()).expect("it is a short test");
            effects.extend(talking.iter().flat_map(|agent| mesh.step(now, beat(*agent, seq))));
            next_beat = now + every;
        }
        if now == due {
            effects.extend(mesh.step(now, Event::Tick));
            n_again = if due == last { n_again + 1 } else { 0 };
            last = due;
            assert!(n_again < 2, "a deadline that stays due");
        }
        let news = unechoed(effects).into_iter().filter(|effect| !is_routine(effect));
        out.extend(news.map(|effect| (now, effect)));
    }
}

pub(crate) fn is_routine(effect: &Effect) -> bool {
    match effect {
        Effect::Ask(request) => matches!(request.order, Order::Poll | Order::Renew { .. }),
        Effect::Tell { event, .. } => matches!(event.news, News::Heartbeat { .. }),
        Effect::TellOwner(_) | Effect::Answer { .. } | Effect::Refuse { .. } | Effect::Finish => {
            false
        }
    }
}

/// Things that name ranks in a test.
pub(crate) trait Ranks {
    fn set(self) -> RankSet;
}

impl<const N: usize> Ranks for [usize; N] {
    fn set(self) -> RankSet {
        self.into_iter().map(Rank::new).collect()
    }
}

impl Ranks for std::ops::Range<usize> {
    fn set(self) -> RankSet {
        self.into()
    }
}

impl Ranks for RankSet {
    fn set(self) -> RankSet {
        self
    }
}
