//! What is done: polls and failures, as events for a controller and as statuses for a scan.

use std::ops::Range;
use std::time::Duration;

use controller::Event;
use mesh_core::{Cause, Reason, Stall, Status};
use mesh_shape::{Overlay, Rank};

use super::mesh::{self, Layout};

/// One thing to be done, at any size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Work {
    /// What it is called in the figures.
    pub(super) name: &'static str,
    does: Does,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    /// Every agent says of all its ranks that they run, with this generation.
    Poll { generation: u64 },
    /// One rank fails; each agent reports one, for one repetition each.
    OneFails,
    /// Every hundredth rank fails; each agent reports all of its own in one answer.
    ManyFail { causes: Statuses },
}

/// The status that each of some ranks gets. Called once for each disturbance.
pub(super) type Statuses = fn() -> Box<dyn Fn(usize) -> Status>;

impl Work {
    /// What the agents say, in order.
    pub(super) fn events(&self, n_ranks: usize) -> Vec<Event<Status>> {
        let blocks = Layout::of(n_ranks).blocks().enumerate();
        if let Does::Poll { generation } = self.does {
            let running = mesh::update(generation, Status::Running);
            let whole = |block| Overlay::from_range(block, running.clone());
            return blocks.map(|(agent, block)| mesh::report(agent, whole(block))).collect();
        }
        let changed = self.changed(n_ranks);
        blocks
            .map(|(agent, block)| {
                let own = changed.iter().filter(|(rank, _)| block.contains(rank));
                let failed = |status: &Status| mesh::update(2, status.clone());
                (agent, own.map(|(rank, status)| (Rank::new(*rank), failed(status))).collect())
            })
            .filter(|(_, failed): &(_, Overlay<_>)| !failed.is_empty())
            .map(|(agent, failed)| mesh::report(agent, failed))
            .collect()
    }

    /// The ranks whose status changes, with what it becomes.
    pub(super) fn changed(&self, n_ranks: usize) -> Vec<(usize, Status)> {
        match self.does {
            Does::Poll { .. } => Vec::new(),
            Does::OneFails => {
                let status = own_causes();
                let middle = |block: Range<usize>| usize::midpoint(block.start, block.end);
                Layout::of(n_ranks).blocks().map(middle).map(|rank| (rank, status(rank))).collect()
            }
            Does::ManyFail { causes } => {
                let status = causes();
                hundredths(n_ranks).map(|rank| (rank, status(rank))).collect()
            }
        }
    }

    /// As how many repetitions `events` count: a poll or a burst is one, over all agents.
    pub(super) fn n_repetitions(&self, events: &[Event<Status>]) -> usize {
        match self.does {
            Does::OneFails => events.len(),
            Does::Poll { .. } | Does::ManyFail { .. } => 1,
        }
    }

    /// How many of the changed ranks change in one repetition.
    pub(super) fn n_changed(&self, changed: usize) -> usize {
        if matches!(self.does, Does::OneFails) { changed.min(1) } else { changed }
    }

    /// Whether nothing fails.
    pub(super) const fn is_healthy(&self) -> bool {
        matches!(self.does, Does::Poll { .. })
    }
}

/// One rank of each hundred, away from the bounds of the agents' blocks.
pub(super) fn hundredths(n_ranks: usize) -> impl Iterator<Item = usize> {
    (50..n_ranks).step_by(100)
}

/// All fail for one reason, of which there is one copy.
pub(super) fn one_cause() -> Box<dyn Fn(usize) -> Status> {
    let failed = failed_after(0);
    Box::new(move |_| failed.clone())
}

/// Each fails for a reason of its own, without last lines.
pub(super) fn own_causes() -> Box<dyn Fn(usize) -> Status> {
    Box::new(failed_after)
}

/// Each is suspended.
pub(super) fn suspended() -> Box<dyn Fn(usize) -> Status> {
    Box::new(|_| Status::Stalled(Stall::Suspended { signal: 19 }))
}

fn failed_after(millis: usize) -> Status {
    let alive = Duration::from_millis(millis as u64);
    Status::failed(Cause::new(Reason::Signal { signal: 9, core: false }).with_alive(alive))
}

pub(super) const WORKS: &[Work] = &[
    Work { name: "healthy poll, next generation", does: Does::Poll { generation: 2 } },
    Work { name: "healthy poll, nothing new", does: Does::Poll { generation: 1 } },
    Work { name: "one failure", does: Does::OneFails },
    Work { name: "1 % failed, one cause", does: Does::ManyFail { causes: one_cause } },
    Work { name: "1 % failed, own causes", does: Does::ManyFail { causes: own_causes } },
];
