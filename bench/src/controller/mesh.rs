//! The mesh that is measured, and what its agents say.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use controller::{Config, Controlled, Controller, Event, Spec, Subscription};
use mesh_core::{
    AgentId, Answer, Epoch, Generation, Incarnation, Interest, MeshId, MeshLabel, Status,
    SubscriberId, Timestamp, Update,
};
use mesh_shape::{Extent, Overlay, RankSet, Region};

/// A kind of mesh whose agents report a status in so many words.
#[derive(Clone, Debug)]
pub(super) struct Plain;

impl Controlled for Plain {
    type Report = Status;
    const KIND: &'static str = "plain";

    fn status(&self, report: &Status) -> Status {
        report.clone()
    }
}

pub(super) type Mesh = Controller<Plain>;

/// Who answers for which ranks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) n_ranks: usize,
    /// More than zero.
    pub(super) n_agents: usize,
}

impl Layout {
    /// With as many agents as the mesh has of which steps are timed.
    pub(super) const fn of(n_ranks: usize) -> Self {
        Self { n_ranks, n_agents: N_AGENTS }
    }

    /// The ranks of each agent: contiguous, of one length but for the last.
    pub(super) fn blocks(self) -> impl Iterator<Item = Range<usize>> {
        let Self { n_ranks, n_agents } = self;
        let each = n_ranks.div_ceil(n_agents);
        (0..n_agents).map(move |agent| agent * each..((agent + 1) * each).min(n_ranks))
    }
}

/// As `10^6 ranks, 16 agents`.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.n_agents == 1 { "agent" } else { "agents" };
        write!(f, "10^{} ranks, {} {noun}", self.n_ranks.ilog10(), self.n_agents)
    }
}

/// Opened, every rank reported as running, everybody subscribed to all changes of all ranks.
pub(super) fn running(layout: Layout, n_subscribers: usize) -> Mesh {
    running_of(Shared::of(layout), layout, n_subscribers)
}

/// The same, of a label and a region that are there already.
pub(super) fn running_of(shared: Shared, layout: Layout, n_subscribers: usize) -> Mesh {
    let mut mesh = Controller::new(spec(shared, layout), Plain).expect("the agents have all ranks");
    let subscription = |number| Subscription {
        id: SubscriberId::new(number),
        interest: Interest::All,
        region: None,
        again: false,
    };
    let events = [Event::Opened]
        .into_iter()
        .chain(layout.blocks().enumerate().map(|(agent, block)| {
            report(agent, Overlay::from_range(block, update(1, Status::Running)))
        }))
        .chain((0..n_subscribers as u64).map(|number| Event::Subscribed(subscription(number))));
    events.for_each(|event| _ = mesh.step(Timestamp::START, event));
    assert_eq!((mesh.n_runs(), mesh.n_subscribers()), (1, n_subscribers), "all ranks are alike");
    mesh
}

/// What a program shares with the controller of its mesh.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    label: MeshLabel,
    region: Arc<Region>,
}

impl Shared {
    pub(super) fn of(layout: Layout) -> Self {
        let extent = Extent::new(vec![("ranks", layout.n_ranks)]).expect("the size is small");
        let label = MeshLabel::new(MeshId::from_random(7), "bench", Plain::KIND);
        Self { label, region: Region::all(extent).into() }
    }
}

fn spec(shared: Shared, layout: Layout) -> Spec {
    Spec {
        mesh: shared.label,
        region: shared.region,
        epoch: Epoch::FIRST,
        agents: layout.blocks().map(RankSet::from).collect(),
        config: Config::lan(),
        seed: 1,
    }
}

/// An agent says this of its ranks.
pub(super) fn report(agent: usize, reports: Overlay<Update<Status>>) -> Event<Status> {
    Event::Answered(Answer::Reported {
        agent: AgentId::new(agent),
        life: Incarnation::FIRST,
        reports,
    })
}

/// What an agent says of one rank in its first life.
pub(super) fn update(generation: u64, status: Status) -> Update<Status> {
    Update {
        incarnation: Incarnation::FIRST,
        generation: Generation::new(generation),
        age: Duration::ZERO,
        report: status,
    }
}

/// When everything happens that is measured: before any deadline.
pub(super) const NOW: Timestamp = Timestamp::from_start(Duration::from_millis(100));

/// How many agents answer for the mesh of which steps are timed.
pub(super) const N_AGENTS: usize = 16;
