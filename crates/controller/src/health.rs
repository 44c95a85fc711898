//! What every rank is, as runs; and the rules by which a report changes it (H1 to H4, ST4).

use std::ops::Range;

use mesh_core::{Cause, Generation, Incarnation, Reason, Status, StatusKind, Timestamp};
use mesh_shape::{Rank, RankSet};

use crate::cells::{Cell, CellId, Cells};
use crate::changes::Changes;
use crate::lives::Lives;
use crate::runs::RunMap;

/// One report, with what it means.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    pub(crate) incarnation: Incarnation,
    pub(crate) generation: Generation,
    pub(crate) status: Status,
    /// No other life can begin where this one is or was.
    pub(crate) is_barred: bool,
    pub(crate) evidence: Timestamp,
}

/// The health of every rank.
///
/// Invariant: the cells of neighbouring runs differ, and so a mesh of equal ranks is one run (H8).
#[derive(Clone, Debug)]
pub(crate) struct Health {
    runs: RunMap<CellId>,
    cells: Cells,
    /// How many ranks are of each kind of status, as others see them.
    counts: [u32; StatusKind::ALL.len()],
    /// The ranks whose ends are waited for, if any are.
    awaited: Option<Box<Awaited>>,
}

/// Ranks that are waited for until all have ended: counted, so that nobody need look at each (H8).
#[derive(Clone, Debug)]
struct Awaited {
    ranks: RankSet,
    /// How many of them have not ended.
    n_alive: usize,
    /// How many of them can have no other life.
    n_barred: usize,
}

impl Health {
    pub(crate) fn new(size: usize) -> Self {
        let mut cells = Cells::new();
        let unknown = cells.take(Cell::UNKNOWN);
        let runs = RunMap::uniform(size, unknown);
        if size == 0 {
            cells.release(unknown);
        }
        let mut counts = [0; StatusKind::ALL.len()];
        counts[StatusKind::NotExist as usize] = small(size);
        Self { runs, cells, counts, awaited: None }
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
        let found: Vec<Range<usize>> = self.runs.runs_in(range).map(|(ranks, _)| ranks).collect();
        // Runs that are alike become alike: the rule is asked once for neighbours in turn. The second
        // number is held, so that it is not given to another cell meanwhile.
        let mut last: Option<(CellId, CellId)> = None;
        for ranks in found {
            // Read anew: the run before may have become one with this.
            let Some(old) = self.runs.get(ranks.start) else { continue };
            let new = match last {
                Some((from, to)) if from == old => to,
                Some(_) | None => {
                    let known = self.cells.get(old);
                    let Some(cell) = rule(&known).filter(|cell| *cell != known) else { continue };
                    let new = self.cells.take(cell);
                    if let Some((_, unused)) = last.replace((old, new)) {
                        self.cells.release(unused);
                    }
                    new
                }
            };
            self.note(&ranks, (old, new), evidence, changes);
            self.set(ranks, new);
        }
        if let Some((_, unused)) = last {
            self.cells.release(unused);
        }
    }

    /// Counts the ranks that `old` was and `new` is, and tells of them if others see a difference.
    fn note(
        &mut self,
        ranks: &Range<usize>,
        (old, new): (CellId, CellId),
        evidence: Timestamp,
        changes: &mut Changes,
    ) {
        let (old, new) = (self.cells.get(old), self.cells.get(new));
        let (before, after) = (old.view(), new.view());
        if let Some(awaited) = &mut self.awaited {
            awaited.note(ranks, (&old, &new));
        }
        // The end of each life is told, also if it is the same end again (N1, N2).
        let is_new_end = after.is_terminal() && old.incarnation != new.incarnation;
        if is_new_end || (before != after && !annotates(&before, &after)) {
            self.counts[before.kind() as usize] -= small(ranks.len());
            self.counts[after.kind() as usize] += small(ranks.len());
            changes.push(ranks.clone(), new.incarnation, after, evidence);
        }
    }

    /// Makes `range` one run of the cell `id`, together with its neighbours that are the same.
    fn set(&mut self, range: Range<usize>, id: CellId) {
        let mut range = range;
        let mut id = id;
        let left = range.start.checked_sub(1).and_then(|rank| self.runs.get(rank));
        if let Some(left) = left.filter(|left| self.cells.is_like(*left, id)) {
            id = left;
        }
        if let Some((right, its)) = self.runs.runs_in(range.end..self.size()).next()
            && its != id
            && self.cells.is_like(its, id)
        {
            range.end = right.end;
        }
        let window = range.start.saturating_sub(1)..range.end.saturating_add(1);
        let before: Vec<CellId> = self.runs.runs_in(window.clone()).map(|(_, id)| id).collect();
        self.runs.set(range, id);
        for (_, id) in self.runs.runs_in(window) {
            self.cells.share(id);
        }
        for id in before {
            self.cells.release(id);
        }
    }

    pub(crate) fn runs_in(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Range<usize>, Cell)> {
        self.runs.runs_in(range).map(|(ranks, id)| (ranks, self.cells.get(id)))
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = (Range<usize>, Cell)> {
        self.runs_in(0..self.size())
    }

    /// What is known of one rank.
    pub(crate) fn get(&self, rank: Rank) -> Option<Cell> {
        self.runs.get(rank.index()).map(|id| self.cells.get(id))
    }

    /// Which life of `rank` is known.
    pub(crate) fn incarnation(&self, rank: Rank) -> Option<Incarnation> {
        self.get(rank).map(|cell| cell.incarnation)
    }

    pub(crate) fn size(&self) -> usize {
        self.runs.size()
    }

    pub(crate) fn n_runs(&self) -> usize {
        self.runs.n_runs()
    }

    /// How many ranks are of each kind of status, as others see them.
    pub(crate) fn counts(&self) -> [usize; StatusKind::ALL.len()] {
        self.counts.map(|n| n as usize)
    }

    /// The number of ranks that have not ended.
    pub(crate) fn n_alive(&self) -> usize {
        let ended = [StatusKind::Stopped, StatusKind::Failed, StatusKind::Timeout];
        self.size() - ended.into_iter().map(|kind| self.counts()[kind as usize]).sum::<usize>()
    }

    /// Those of `ranks` that have been started and live, by incarnation.
    pub(crate) fn alive(&self, ranks: &RankSet) -> Vec<(RankSet, Incarnation)> {
        let mut alive = Lives::default();
        for (range, cell) in ranks.runs().flat_map(|range| self.runs_in(range)) {
            if is_alive(&cell.status) {
                alive.add(&RankSet::from(range), cell.incarnation);
            }
        }
        alive.into_vec()
    }

    /// Whether one of these ranks has failed.
    pub(crate) fn has_failed(&self, ranks: &RankSet) -> bool {
        let mut cells = ranks.runs().flat_map(|range| self.runs_in(range));
        cells.any(|(_, cell)| cell.status.is_failure())
    }

    /// The ranks of these runs that can have no other life where their last one was.
    pub(crate) fn barred(&self, runs: impl Iterator<Item = Range<usize>>) -> RankSet {
        let mut barred = RankSet::new();
        for (range, cell) in runs.flat_map(|range| self.runs_in(range)) {
            if cell.is_barred {
                barred.insert_range(range);
            }
        }
        barred
    }

    /// From now on it is known how many of `ranks` have not ended, and how many can have no other life, whatever becomes
    /// of them.
    pub(crate) fn await_ends(&mut self, ranks: RankSet) {
        let (mut n_alive, mut n_barred) = (0, 0);
        for (range, cell) in ranks.runs().flat_map(|range| self.runs_in(range)) {
            n_alive += if cell.status.is_terminal() { 0 } else { range.len() };
            n_barred += if cell.is_barred { range.len() } else { 0 };
        }
        self.awaited = Some(Box::new(Awaited { ranks, n_alive, n_barred }));
    }

    /// Nobody waits for ends any more.
    pub(crate) fn await_nothing(&mut self) {
        self.awaited = None;
    }

    /// Whether any of the ranks that are waited for has not ended.
    pub(crate) fn has_awaited(&self) -> bool {
        self.awaited.as_ref().is_some_and(|awaited| awaited.n_alive > 0)
    }

    /// Whether any of them can have no other life where its last one was.
    pub(crate) fn awaits_barred(&self) -> bool {
        self.awaited.as_ref().is_some_and(|awaited| awaited.n_barred > 0)
    }

    /// Those of `ranks` that live are now being stopped. Returns them.
    pub(crate) fn stop(
        &mut self,
        ranks: &RankSet,
        now: Timestamp,
        changes: &mut Changes,
    ) -> Vec<(RankSet, Incarnation)> {
        let alive = self.alive(ranks);
        for range in ranks.runs() {
            self.update(range, now, changes, |cell| {
                let is_to_stop = is_alive(&cell.status) && cell.status != Status::Stopping;
                is_to_stop.then(|| Cell { status: Status::Stopping, ..cell.clone() })
            });
        }
        alive
    }
}

impl Awaited {
    /// These ranks, of which some may not be waited for, were the one and are the other now.
    fn note(&mut self, ranks: &Range<usize>, (old, new): (&Cell, &Cell)) {
        let has_ended = |cell: &Cell| cell.status.is_terminal();
        let changes = [
            (&mut self.n_alive, !has_ended(old), !has_ended(new)),
            (&mut self.n_barred, old.is_barred, new.is_barred),
        ];
        for (count, was, is) in changes {
            if was != is {
                let n: usize = self.ranks.runs_within(ranks.clone()).map(|run| run.len()).sum();
                *count = if is { *count + n } else { *count - n };
            }
        }
    }
}

/// A number of ranks of one mesh.
fn small(n_ranks: usize) -> u32 {
    u32::try_from(n_ranks).unwrap_or(u32::MAX)
}

/// Started, and not ended.
pub(crate) fn is_alive(status: &Status) -> bool {
    !status.is_terminal() && *status != Status::NotExist
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
        (false, reported) => next_status(cell, reported),
    };
    let is_known = report.incarnation == cell.incarnation && cell.status.is_failure();
    let failed_at = match status.is_failure() {
        true if is_known => cell.failed_at,
        true => report.evidence,
        false => Timestamp::START,
    };
    let is_same = report.incarnation == cell.incarnation;
    let is_begun = report.status != Status::NotExist || (is_same && cell.is_begun);
    let Reported { incarnation, generation, is_barred, .. } = *report;
    let contact = cell.contact;
    Some(Cell { status, contact, incarnation, generation, is_begun, is_barred, failed_at })
}

/// What a status becomes when its own incarnation is reported as `reported`.
fn next_status(cell: &Cell, reported: &Status) -> Status {
    let known = &cell.status;
    match (known, reported) {
        // H4: a late failure explains a timeout. It is no second end.
        (
            Status::Timeout { after, cause: None },
            Status::Failed(cause) | Status::Timeout { cause: Some(cause), .. },
        ) => Status::Timeout { after: *after, cause: Some(cause.clone()) },
        // H2: an end is final.
        (Status::Stopped | Status::Failed(_) | Status::Timeout { .. }, _) => known.clone(),
        // A question that overtook the order to start it.
        (Status::NotExist | Status::Initializing, Status::NotExist) => known.clone(),
        // Nobody has spoken of this life: the order to start it may be on its way still.
        (Status::Stopping, Status::NotExist) if !cell.is_begun => known.clone(),
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
