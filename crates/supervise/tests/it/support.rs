//! support: fake agents, small meshes, and the loop around them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller::{Config, Controlled, Controller, Spec};
use mesh_core::{
    AgentId, Agents, Answer, Answers, BeatSeq, Cause, Epoch, Generation, Incarnation, MeshId,
    MeshLabel, Order, Reason, Request, Status, Update,
};
use mesh_shape::{Extent, Overlay, Rank, RankSet, Region};
use supervise::{Clock, ControllerRef, Owner, Setup, Supervision, supervise};
use tokio::task::JoinHandle;

/// A kind of mesh whose agents report a status in so many words.
#[derive(Debug)]
pub(crate) struct Plain;

impl Controlled for Plain {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }
}

/// One agent that writes down what it is asked, and says only what a test says for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Request>,
    answers: Option<Answers<Status>>,
    n_reports: u64,
    is_dropped: bool,
}

/// The agents of a mesh: all of them are one [`Fake`], which outlives them.
#[derive(Debug, Default)]
pub(crate) struct FakeAgents(Fake);

impl FakeAgents {
    /// All of them are this one.
    pub(crate) fn of(fake: &Fake) -> Self {
        Self(fake.clone())
    }
}

impl Agents for FakeAgents {
    type Report = Status;

    fn perform(&mut self, request: Request, answers: &Answers<Status>) {
        let mut seen = self.0.seen();
        seen.requests.push(request);
        seen.answers.get_or_insert_with(|| answers.clone());
    }
}

impl Drop for FakeAgents {
    fn drop(&mut self) {
        self.0.seen().is_dropped = true;
    }
}

impl Fake {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.seen().is_dropped
    }

    /// What it was asked since the last time, but for polls and renewals.
    pub(crate) fn take_orders(&self) -> Vec<Order> {
        let requests = std::mem::take(&mut self.seen().requests);
        let is_routine = |order: &Order| matches!(order, Order::Poll | Order::Renew { .. });
        requests.into_iter().map(|request| request.order).filter(|o| !is_routine(o)).collect()
    }

    /// How many requests came before the first poll.
    pub(crate) fn n_before_poll(&self) -> Option<usize> {
        self.seen().requests.iter().position(|request| request.order == Order::Poll)
    }

    pub(crate) fn beat(&self) -> bool {
        let (agent, beat) = (AgentId::new(0), BeatSeq::new(1));
        self.say(Answer::Heard { agent, life: Incarnation::FIRST, beat })
    }

    /// Each report is newer than the one before it.
    pub(crate) fn report(&self, ranks: impl IntoIterator<Item = usize>, status: &Status) -> bool {
        self.seen().n_reports += 1;
        let generation = Generation::new(self.seen().n_reports);
        let (incarnation, age) = (Incarnation::FIRST, Duration::ZERO);
        let update = Update { incarnation, generation, age, report: status.clone() };
        let reports: Overlay<_> =
            ranks.into_iter().map(|rank| (Rank::new(rank), update.clone())).collect();
        self.say(Answer::Reported { agent: AgentId::new(0), life: Incarnation::FIRST, reports })
    }

    /// It obeys the controller of this epoch.
    pub(crate) fn refuse(&self, obeyed: u64) -> bool {
        self.say(Answer::Refused { agent: AgentId::new(0), obeyed: Epoch::new(obeyed) })
    }

    /// Whether it was taken.
    fn say(&self, answer: Answer<Status>) -> bool {
        let answers = self.seen().answers.clone();
        answers.expect("the loop has started").send(answer).is_ok()
    }
}

/// A running loop.
pub(crate) struct Mesh {
    pub(crate) agent: Fake,
    pub(crate) controller: ControllerRef<Status>,
    pub(crate) owner: Owner,
    pub(crate) task: JoinHandle<()>,
}

/// All ranks belong to one fake agent, and run.
pub(crate) async fn mesh(size: usize, config: Config) -> Mesh {
    let agent = Fake::default();
    let controller = Controller::new(spec("fake", size, config), Plain).expect("it holds together");
    let (supervision, run) =
        supervise(Setup::new(controller, FakeAgents::of(&agent), Clock::start()));
    let task = tokio::spawn(run);
    let Supervision { controller, owner, .. } = supervision;
    settle().await;
    assert!(agent.report(0..size, &Status::Running));
    settle().await;
    _ = agent.take_orders().len();
    Mesh { agent, controller, owner, task }
}

pub(crate) fn spec(name: &str, size: usize, config: Config) -> Spec {
    Spec {
        mesh: MeshLabel::new(MeshId::from_random(1), name, "plain"),
        region: Region::all(Extent::new([("procs", size)]).expect("the size is small")).into(),
        epoch: Epoch::FIRST,
        agents: [RankSet::from(0..size)].into(),
        config,
        seed: 1,
    }
}

/// Lets every task run until all wait; no time passes.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn crash() -> Status {
    Status::failed(Cause::new(Reason::Exit { code: 1 }))
}
