//! `Record`: what has happened to attached hosts, and what was told of it. One for each thread, as the ledger is.

use std::cell::RefCell;
use std::time::Duration;

use mesh_core::{Incarnation, Status};

use crate::ledger;

thread_local! {
    static RECORD: RefCell<Record> = RefCell::default();
}

#[derive(Default)]
pub(crate) struct Record {
    pub(crate) lives: Vec<Life>,
    /// What owners were told, and what subscribers were.
    pub(crate) owners: Vec<Told>,
    pub(crate) subscribers: Vec<Told>,
    pub(crate) reigns: Vec<Reign>,
    pub(crate) crashes: Vec<Crash>,
    /// Which host was cut off, from when to when.
    pub(crate) cuts: Vec<(usize, Duration, Duration)>,
    n_steps: usize,
}

/// One life of a rank, as it was.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) rank: usize,
    pub(crate) incarnation: Incarnation,
    /// Whose order it was.
    pub(crate) epoch: u64,
    pub(crate) begun: Duration,
    pub(crate) ended: Option<(Duration, How)>,
}

/// How a life has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Exit(i32),
    Asked,
    Orphaned,
    HostDied,
    /// Another life of the rank has begun.
    Succeeded,
}

/// An end that somebody was told of.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    /// By whom.
    pub(crate) epoch: u64,
    pub(crate) at: Duration,
    /// What was told together has one number.
    pub(crate) step: usize,
    pub(crate) rank: usize,
    pub(crate) incarnation: Incarnation,
    pub(crate) status: Status,
}

/// The time of one controller.
#[derive(Clone, Debug)]
pub(crate) struct Reign {
    pub(crate) epoch: u64,
    pub(crate) from: Duration,
    /// When it died or was cut off.
    pub(crate) to: Option<Duration>,
    /// When it could speak again, after that.
    pub(crate) rejoined: Option<Duration>,
    /// When it was told that another one is in its place.
    pub(crate) replaced: Option<Duration>,
    pub(crate) is_closed: bool,
}

/// A host that has died.
#[derive(Clone, Debug)]
pub(crate) struct Crash {
    pub(crate) host: usize,
    pub(crate) at: Duration,
    /// The ranks that lived there.
    pub(crate) ranks: Vec<usize>,
}

/// Does something with the record of this thread.
pub(crate) fn with<T>(work: impl FnOnce(&mut Record) -> T) -> T {
    RECORD.with_borrow_mut(work)
}

/// Takes the record of this thread, and leaves an empty one.
pub(crate) fn take() -> Record {
    RECORD.take()
}

/// How long the run has lasted.
pub(crate) fn now() -> Duration {
    ledger::with(|it| it.now())
}

impl Reign {
    /// Whether it has died, or is cut off.
    pub(crate) const fn is_out(&self) -> bool {
        self.to.is_some() && self.rejoined.is_none()
    }
}

impl Record {
    /// A life begins. Returns its number.
    pub(crate) fn born(&mut self, rank: usize, incarnation: Incarnation, epoch: u64) -> usize {
        let begun = now();
        ledger::note(format_args!("rank {rank}, {incarnation} begins by the order of {epoch}"));
        self.lives.push(Life { rank, incarnation, epoch, begun, ended: None });
        self.lives.len() - 1
    }

    pub(crate) fn died(&mut self, life: usize, how: How) {
        let Some(life) = self.lives.get_mut(life) else { return };
        life.ended = Some((now(), how));
        ledger::note(format_args!("rank {}, {} ends: {how:?}", life.rank, life.incarnation));
    }

    /// What is told from now on is told together.
    pub(crate) fn next_step(&mut self) -> usize {
        self.n_steps += 1;
        self.n_steps
    }

    pub(crate) fn reign(&mut self, epoch: u64) -> Option<&mut Reign> {
        self.reigns.iter_mut().find(|reign| reign.epoch == epoch)
    }

    pub(crate) fn n_alive(&self) -> usize {
        self.lives.iter().filter(|life| life.ended.is_none()).count()
    }
}
