//! How many bytes a controller holds, undisturbed and disturbed, beside a plain `Vec<Status>`.
//!
//! Nobody has subscribed. The struct itself counts once, where all of a controller is meant.

use std::time::Duration;

use mesh_core::Status;
use mesh_shape::{Overlay, Rank};

use super::mesh::{self, Layout, Mesh, N_AGENTS, Shared};
use super::work::{self, Statuses};
use crate::heap::Heap;
use crate::measure::Effort;
use crate::report::{Record, Report, Stats};

/// One figure, and what is allowed.
struct Held {
    work: String,
    unit: &'static str,
    at_most: Option<f64>,
    /// Whether the floor is the causes alone, so that they can be left out.
    has_causes: bool,
    ours: Box<dyn Fn(Heap) -> f64>,
    floor: Box<dyn Fn(Heap) -> f64>,
}

/// One rank of each hundred gets another status.
#[derive(Clone, Copy)]
struct Disturbance {
    name: &'static str,
    statuses: Statuses,
    reports: Reports,
    /// Whether each rank brings a cause of its own.
    has_causes: bool,
}

#[derive(Clone, Copy)]
enum Reports {
    /// Each agent tells of all its ranks at once.
    Together,
    /// Each rank is told of alone.
    Alone,
}

/// Counts everything, in every round.
pub(crate) fn count(effort: Effort, heap: Heap) -> Vec<Vec<Record>> {
    let each_round = |count: &dyn Fn(Heap) -> f64| {
        Stats::of((0..effort.rounds()).map(|_| count(heap)).collect())
    };
    let records = |held: Held| {
        [("ours", held.ours), ("floor", held.floor)]
            .map(|(by, count)| {
                Record::new(&*held.work, by, ("memory", held.unit), each_round(&*count))
            })
            .into()
    };
    figures(effort).into_iter().map(records).collect()
}

/// Shows what was counted, and judges it.
pub(super) fn show(effort: Effort, found: Vec<Vec<Record>>, report: &mut Report) {
    for (held, records) in figures(effort).into_iter().zip(found) {
        if let (Some(max), [ours, floor]) = (held.at_most, &records[..]) {
            let (target, bytes) = if held.has_causes {
                (format!("{}, less the causes", ours.work()), ours.median() - floor.median())
            } else {
                (ours.work().to_owned(), ours.median())
            };
            report.judge(&target, bytes, (max, held.unit));
        }
        report.add(records);
    }
}

fn figures(effort: Effort) -> Vec<Held> {
    let n_ranks = match effort {
        Effort::Full => 1_000_000,
        Effort::Quick => 10_000,
    };
    let undisturbed = [(1_000, 1), (n_ranks, 1), (n_ranks, N_AGENTS)]
        .map(|(n_ranks, n_agents)| undisturbed(Layout { n_ranks, n_agents }));
    let disturbed = DISTURBANCES.map(|disturbance| disturbed(disturbance, Layout::of(n_ranks)));
    [just_the_struct(), shared(n_ranks)].into_iter().chain(undisturbed).chain(disturbed).collect()
}

fn just_the_struct() -> Held {
    Held {
        work: "the struct alone".to_owned(),
        unit: "B",
        at_most: None,
        has_causes: false,
        ours: Box::new(|_| size_of::<Mesh>() as f64),
        floor: Box::new(|_| size_of::<Vec<Status>>() as f64),
    }
}

/// What the program has of a mesh, whoever supervises it: nobody can do with less.
fn shared(n_ranks: usize) -> Held {
    let count =
        move |heap: Heap| heap.held(|| Shared::of(Layout { n_ranks, n_agents: 1 })).1 as f64;
    Held {
        work: "label and region, shared with the program".to_owned(),
        unit: "B",
        at_most: None,
        has_causes: false,
        ours: Box::new(count),
        floor: Box::new(count),
    }
}

/// Everything else. The target is one of ranks, and not of agents.
fn undisturbed(layout: Layout) -> Held {
    Held {
        work: format!("struct and heap; {layout}"),
        unit: "B",
        at_most: (layout.n_ranks > 1_000 && layout.n_agents == 1).then_some(1_023.0),
        has_causes: false,
        ours: Box::new(move |heap| {
            let shared = Shared::of(layout);
            let (_mesh, n_bytes) = heap.held(|| mesh::running_of(shared.clone(), layout, 0));
            (n_bytes + size_of::<Mesh>()) as f64
        }),
        floor: Box::new(move |heap| {
            let (_known, n_bytes) = heap.held(|| vec![Status::Running; layout.n_ranks]);
            (n_bytes + size_of::<Vec<Status>>()) as f64
        }),
    }
}

/// What is held more than before, for each rank that was disturbed. Of the floor that is the causes
/// alone: its statuses have their places already.
fn disturbed(disturbance: Disturbance, layout: Layout) -> Held {
    let n_disturbed = work::hundredths(layout.n_ranks).count() as f64;
    let size = format!("10^{}", layout.n_ranks.ilog10());
    Held {
        work: format!("heap of each of {}; {size} ranks", disturbance.name),
        unit: "B/rank",
        at_most: Some(64.0),
        has_causes: disturbance.has_causes,
        ours: Box::new(move |heap| {
            let mut mesh = mesh::running(layout, 0);
            let ((), n_bytes) = heap.held(|| disturbance.tell(&mut mesh, layout));
            n_bytes as f64 / n_disturbed
        }),
        floor: Box::new(move |heap| {
            let mut known = vec![Status::Running; layout.n_ranks];
            let ((), n_bytes) = heap.held(|| disturbance.set(&mut known));
            n_bytes as f64 / n_disturbed
        }),
    }
}

impl Disturbance {
    /// The agents report it, each report at a moment of its own.
    fn tell(self, mesh: &mut Mesh, layout: Layout) {
        let mut now = mesh::NOW;
        let status = (self.statuses)();
        let update = |rank| (Rank::new(rank), mesh::update(2, status(rank)));
        for (agent, block) in layout.blocks().enumerate() {
            let own = work::hundredths(layout.n_ranks).filter(|rank| block.contains(rank));
            let reports: Vec<Overlay<_>> = match self.reports {
                Reports::Together => vec![own.map(update).collect()],
                Reports::Alone => own.map(|rank| [update(rank)].into_iter().collect()).collect(),
            };
            for reports in reports {
                now = now + Duration::from_micros(1);
                _ = mesh.step(now, mesh::report(agent, reports));
            }
        }
    }

    /// The same in the plain vector.
    fn set(self, known: &mut [Status]) {
        let status = (self.statuses)();
        for rank in work::hundredths(known.len()) {
            known[rank] = status(rank);
        }
    }
}

const DISTURBANCES: [Disturbance; 3] = [
    Disturbance {
        name: "1 % failed together, one cause",
        statuses: work::one_cause,
        has_causes: false,
        reports: Reports::Together,
    },
    Disturbance {
        name: "1 % failed alone, own causes",
        statuses: work::own_causes,
        has_causes: true,
        reports: Reports::Alone,
    },
    Disturbance {
        name: "1 % suspended alone",
        statuses: work::suspended,
        has_causes: false,
        reports: Reports::Alone,
    },
];
