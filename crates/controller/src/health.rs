//! What every rank is, as runs; and the rules by which a report changes it (H1 to H4, ST4).

use std::ops::Range;

use mesh_core::{
    Cause, Change, Generation, Incarnation, Reason, Stall, Status, StatusKind, Timestamp,
};
use mesh_shape::{Rank, RankSet};

use crate::runs::RunMap;

/// What is known of one rank. Equal neighbours share one run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) status: Status,
    pub(crate) contact: Contact,
    pub(crate) incarnation: Incarnation,
    pub(crate) generation: Generation,
}

/// Whether the agent of a rank is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contact {
    Heard,
    Suspect,
    Unreachable,
}

impl Cell {
    /// The status that others see: silence covers what was last reported, except where there is
    /// nothing to doubt (an end, a stop that is asked for, a process that the kernel has suspended:
    /// H3, H4).
    pub(crate) fn view(&self) -> Status {
        let is_doubtful = matches!(
            self.status,
            Status::Initializing
                | Status::Running
                | Status::Stalled(Stall::Handler { .. } | Stall::DumpingCore)
        );
        match self.contact {
            Contact::Suspect if is_doubtful => Status::Suspect,
            Contact::Unreachable if is_doubtful => Status::Unreachable,
            Contact::Heard | Contact::Suspect | Contact::Unreachable => self.status.clone(),
        }
    }

    fn view_kind(&self) -> StatusKind {
        self.view().kind()
    }
}

/// One report, with what it means.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) incarnation: Incarnation,
    pub(crate) generation: Generation,
    pub(crate) status: Status,
    pub(crate) evidence: Timestamp,
}

/// The health of every rank.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    runs: RunMap<Cell>,
    counts: [usize; StatusKind::ALL.len()],
}

impl Health {
    pub(crate) fn new(size: usize) -> Self {
        let cell = Cell {
            status: Status::NotExist,
            contact: Contact::Heard,
            incarnation: Incarnation::FIRST,
            generation: Generation::FIRST,
        };
        let mut counts = [0; StatusKind::ALL.len()];
        counts[StatusKind::NotExist as usize] = size;
        Self { runs: RunMap::uniform(size, cell), counts }
    }

    /// Puts a report about `range` into effect, and adds what changed to `changes`.
    pub(crate) fn report(&mut self, range: Range<usize>, report: &Reported, changes: &mut Changes) {
        self.update(range, report.evidence, changes, |cell| after_report(cell, report));
    }

    /// Puts a report into effect for the lives that are known: no new one begins.
    pub(crate) fn annotate(
        &mut self,
        range: Range<usize>,
        report: &Reported,
        changes: &mut Changes,
    ) {
        self.update(range, report.evidence, changes, |cell| {
            after_report(cell, report).filter(|_| report.incarnation == cell.incarnation)
        });
    }

    /// Changes every rank of `range` for which `rule` gives a new cell.
    pub(crate) fn update(
        &mut self,
        range: Range<usize>,
        evidence: Timestamp,
        changes: &mut Changes,
        rule: impl Fn(&Cell) -> Option<Cell>,
    ) {
        let new: Vec<(Range<usize>, Cell, Cell)> = self
            .runs
            .runs_in(range)
            .filter_map(|(ranks, cell)| Some((ranks, cell.clone(), rule(cell)?)))
            .collect();
        for (ranks, old, new) in new {
            let (before, after) = (old.view(), new.view());
            // The end of each life is told, also if it is the same end again (N1, N2).
            let is_new_end = after.is_terminal() && old.incarnation != new.incarnation;
            if is_new_end || (before != after && !annotates(&before, &after)) {
                self.counts[old.view_kind() as usize] -= ranks.len();
                self.counts[new.view_kind() as usize] += ranks.len();
                changes.push(ranks.clone(), new.incarnation, after, evidence);
            }
            self.runs.set(ranks, new);
        }
    }

    pub(crate) fn runs_in(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, &Cell)> {
        self.runs.runs_in(range)
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (Range<usize>, &Cell)> {
        self.runs.runs()
    }

    /// Which life of `rank` is known.
    pub(crate) fn incarnation(&self, rank: Rank) -> Option<Incarnation> {
        self.runs.get(rank.index()).map(|cell| cell.incarnation)
    }

    pub(crate) fn size(&self) -> usize {
        self.runs.size()
    }

    pub(crate) fn n_runs(&self) -> usize {
        self.runs.n_runs()
    }

    /// How many ranks are of each kind of status, as others see them.
    pub(crate) fn counts(&self) -> &[usize; StatusKind::ALL.len()] {
        &self.counts
    }

    /// The number of ranks that have not ended.
    pub(crate) fn n_alive(&self) -> usize {
        let ended = [StatusKind::Stopped, StatusKind::Failed, StatusKind::Timeout];
        self.size() - ended.into_iter().map(|kind| self.counts[kind as usize]).sum::<usize>()
    }

    /// The ranks that have been started and live, by incarnation, in rank order.
    pub(crate) fn alive(&self) -> Vec<(RankSet, Incarnation)> {
        let mut alive: Vec<(RankSet, Incarnation)> = Vec::new();
        for (range, cell) in self.runs() {
            if cell.status.is_terminal() || cell.status == Status::NotExist {
                continue;
            }
            match alive.iter_mut().find(|(_, incarnation)| *incarnation == cell.incarnation) {
                Some((ranks, _)) => ranks.insert_range(range),
                None => alive.push((RankSet::from(range), cell.incarnation)),
            }
        }
        alive
    }
}

/// What a rank is after a report; `None` if nothing at all changes.
fn after_report(cell: &Cell, report: &Reported) -> Option<Cell> {
    if (report.incarnation, report.generation) < (cell.incarnation, cell.generation) {
        return None; // H1: stale
    }
    let status = match (report.incarnation > cell.incarnation, &report.status) {
        // A life that nobody knows and nobody has begun says nothing of the one that is known.
        (true, Status::NotExist) => return None,
        (true, begun) => begun.clone(),
        (false, reported) => next_status(&cell.status, reported),
    };
    Some(Cell {
        status,
        contact: cell.contact,
        incarnation: report.incarnation,
        generation: report.generation,
    })
}

/// What a status becomes when its own incarnation is reported as `reported`.
fn next_status(known: &Status, reported: &Status) -> Status {
    match (known, reported) {
        // H4: a late failure explains a timeout. It is no second end.
        (Status::Timeout { after, cause: None }, Status::Failed(cause)) => {
            Status::Timeout { after: *after, cause: Some(cause.clone()) }
        }
        // H2: an end is final.
        (Status::Stopped | Status::Failed(_) | Status::Timeout { .. }, _) => known.clone(),
        // A question that overtook the order to start it.
        (Status::NotExist | Status::Initializing, Status::NotExist) => known.clone(),
        // ST4: somebody knew it, and now nobody can say how it ended.
        (_, Status::NotExist) => Status::failed(Cause::new(Reason::LostByAgent)),
        // H3: a stop that is asked for ends in an end and in nothing else.
        (Status::Stopping, _) if !reported.is_terminal() => Status::Stopping,
        (_, _) => reported.clone(),
    }
}

/// Whether `after` only says more about the end that `before` is.
fn annotates(before: &Status, after: &Status) -> bool {
    before.is_terminal()
        && before.kind() == after.kind()
        && before != after
        && matches!(before, Status::Timeout { cause: None, .. })
}

/// The changes of one step, equal ones together.
#[derive(Debug, Default)]
pub(crate) struct Changes(Vec<Change>);

impl Changes {
    fn push(
        &mut self,
        ranks: Range<usize>,
        incarnation: Incarnation,
        status: Status,
        evidence: Timestamp,
    ) {
        if let Some(last) = self.0.last_mut()
            && last.incarnation == incarnation
            && last.status == status
            && last.evidence == evidence
        {
            last.ranks.insert_range(ranks);
            return;
        }
        let ranks = RankSet::from(ranks);
        self.0.push(Change { ranks, incarnation, status, restart_in: None, evidence });
    }

    pub(crate) fn into_changes(self) -> Vec<Change> {
        self.0
    }
}
