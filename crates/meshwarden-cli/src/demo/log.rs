//! What a driver does and hears, told as the story of the demonstration.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context, Result};
use meshwarden::mesh_core::{Change, Failures, MeshId, MeshLabel, Reason};
use meshwarden::mesh_shape::{Extent, Rank};
use meshwarden::proc_mesh::{Census, ProcSeat};
use rustix::process::{Pid, Signal, kill_process};

use crate::demo::story::{Event, Listener, Story, rounded};
use crate::demo::subscriber::{Heard, is_restart};
use crate::demo::tally::Tally;

/// The story so far, and what is needed to tell it.
pub(crate) struct Log {
    pub(crate) story: Story,
    pub(crate) census: Census,
    /// The mesh of processes, once there is one.
    pub(crate) procs: Option<MeshId>,
    /// Where ranks sat when they were spawned, in rank order.
    seats: Vec<ProcSeat>,
    /// The last fault.
    fault_at: Option<Instant>,
    /// The failures told, of a mesh, to somebody.
    n_told: BTreeMap<(MeshId, Listener), usize>,
    /// The lives that were told of, by mesh and rank. One that was suspended runs again, too.
    restarted: BTreeSet<(MeshId, Rank, u64)>,
}

impl Log {
    /// Begins with what was told before anything was started.
    pub(crate) const fn new(story: Story, census: Census) -> Self {
        Self {
            story,
            census,
            procs: None,
            seats: Vec::new(),
            fault_at: None,
            n_told: BTreeMap::new(),
            restarted: BTreeSet::new(),
        }
    }

    /// The processes of a mesh run.
    ///
    /// # Errors
    ///
    /// None that is known: ranks that sit somewhere are of the mesh.
    pub(crate) fn procs_spawned(
        &mut self,
        label: &MeshLabel,
        extent: &Extent,
        seats: Vec<ProcSeat>,
    ) -> Result<()> {
        self.procs = Some(label.id());
        seats.iter().for_each(|seat| self.census.seat(seat.pid));
        self.seats = seats;
        self.spawned(label, extent)
    }

    /// The ranks of a mesh run, each on the process of its rank.
    ///
    /// # Errors
    ///
    /// None that is known: ranks that sit somewhere are of the mesh.
    pub(crate) fn spawned(&mut self, label: &MeshLabel, extent: &Extent) -> Result<()> {
        let at = Instant::now();
        for seat in &self.seats {
            let event = Event::Spawned {
                mesh_kind: label.kind().to_owned(),
                mesh: label.id().to_string(),
                rank: seat.rank.index(),
                point: extent.unravel(seat.rank)?.to_string(),
                pid: seat.pid,
            };
            self.story.tell(at, event);
        }
        Ok(())
    }

    /// Kills the process of a rank in its first life.
    ///
    /// # Errors
    ///
    /// If it has none.
    pub(crate) fn kill(&mut self, rank: Rank) -> Result<()> {
        let pid = self.pid(rank).context("the victim has no process")?;
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let at = Instant::now();
        kill_process(raw.context("the victim has no process")?, Signal::KILL)
            .context("the victim cannot be killed")?;
        self.fault(at, Event::Killed { rank: rank.index(), pid });
        Ok(())
    }

    /// There is a fault, from now on.
    pub(crate) fn fault(&mut self, at: Instant, event: Event) {
        self.fault_at = Some(at);
        self.story.tell(at, event);
    }

    /// Where a rank sat when it was spawned.
    pub(crate) fn pid(&self, rank: Rank) -> Option<u32> {
        self.seats.iter().find(|seat| seat.rank == rank).map(|seat| seat.pid)
    }

    /// A call was answered, for this rank with an error.
    pub(crate) fn answered(
        &mut self,
        label: &MeshLabel,
        (rank, point): (Rank, String),
        error: String,
    ) {
        let at = Instant::now();
        let event = Event::Answer {
            mesh_kind: label.kind().to_owned(),
            mesh: label.id().to_string(),
            rank: rank.index(),
            point,
            error,
            seconds: self.since_fault(at),
        };
        self.story.tell(at, event);
    }

    /// The owner was told of failures just now.
    pub(crate) fn owner_told(&mut self, failures: &Failures) {
        let at = Instant::now();
        for (rank, change) in failures.each() {
            let whom = (&failures.mesh, rank, failures.point(rank));
            self.told(Listener::Owner, at, whom, change);
        }
    }

    /// The subscriber was told of failures.
    pub(crate) fn subscriber_told(&mut self, heard: &Heard, extent: &Extent) {
        for change in heard.changes.iter().filter(|change| change.status.is_failure()) {
            for rank in change.ranks.iter() {
                let point = extent.unravel(rank).map(|point| point.to_string());
                let whom = (&heard.mesh, rank, point.unwrap_or_default());
                self.told(Listener::Subscriber, heard.at, whom, change);
            }
        }
    }

    /// Ranks run again, on the processes that sit there now.
    pub(crate) fn restarted(&mut self, heard: &Heard, seats: &[ProcSeat]) {
        for change in heard.changes.iter().filter(|change| is_restart(change)) {
            for rank in change.ranks.iter() {
                // If it is gone already, its failure tells.
                let Some(seat) = seats.iter().find(|seat| seat.rank == rank) else { continue };
                let life = (rank, change.incarnation.number());
                self.restarted_at(heard.at, &heard.mesh, life, seat.pid);
            }
        }
    }

    /// A rank runs again.
    pub(crate) fn restarted_at(
        &mut self,
        at: Instant,
        label: &MeshLabel,
        (rank, incarnation): (Rank, u64),
        pid: u32,
    ) {
        self.census.seat(pid);
        if !self.restarted.insert((label.id(), rank, incarnation)) {
            return;
        }
        let (mesh_kind, rank) = (label.kind().to_owned(), rank.index());
        self.story.tell(at, Event::Restarted { mesh_kind, rank, incarnation, pid });
    }

    /// All is counted: this, and one thread has counted that.
    pub(crate) fn counted(&mut self, total: &Tally, serial: &Tally) {
        let event = Event::Result {
            words: total.words(),
            distinct: total.distinct(),
            top: total.top(TOP),
            equal_to_serial: total == serial,
        };
        self.story.tell(Instant::now(), event);
    }

    /// How many failures of a mesh everybody was told of.
    pub(crate) fn n_told_to_all(&self, mesh: MeshId) -> usize {
        let told = |to| self.n_told.get(&(mesh, to)).copied().unwrap_or(0);
        told(Listener::Owner).min(told(Listener::Subscriber))
    }

    /// How many ranks of a mesh were started again.
    pub(crate) fn n_restarted(&self, mesh: MeshId) -> usize {
        self.restarted.iter().filter(|(of, ..)| *of == mesh).count()
    }

    fn told(
        &mut self,
        to: Listener,
        at: Instant,
        (mesh, rank, point): (&MeshLabel, Rank, String),
        change: &Change,
    ) {
        *self.n_told.entry((mesh.id(), to)).or_default() += 1;
        let cause = change.status.cause();
        let root = cause.map(|it| it.chain.last().map_or(&it.reason, |link| &link.reason));
        let signal = match root {
            Some(Reason::Signal { signal, .. }) => Some(*signal),
            _ => None,
        };
        let event = Event::Failure {
            to,
            mesh_kind: mesh.kind().to_owned(),
            mesh: mesh.id().to_string(),
            rank: rank.index(),
            point,
            incarnation: change.incarnation.number(),
            cause: cause.map_or_else(|| change.status.to_string(), ToString::to_string),
            signal,
            seconds: self.since_fault(at),
        };
        self.story.tell(at, event);
    }

    fn since_fault(&self, at: Instant) -> f64 {
        let after = self.fault_at.map(|fault_at| at.saturating_duration_since(fault_at));
        rounded(after.unwrap_or_default())
    }
}

/// How many of the most frequent words are told.
const TOP: usize = 10;
