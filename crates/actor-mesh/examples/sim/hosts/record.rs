//! `Record`: what has happened to attached hosts, and what was told of it. One for each thread, as the ledger is.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use mesh_core::{AgentId, Answer, BeatSeq, Incarnation, Stall, Status};

use crate::ledger;

thread_local! {
    static RECORD: RefCell<Record> = RefCell::default();
}

/// A life of a rank.
pub(crate) type Of = (usize, Incarnation);

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
    /// The beats of a host that a controller has heard: when each was sent, and when it was heard.
    pub(crate) heard: BTreeMap<(u64, usize), Vec<(Duration, Duration)>>,
    /// Of which lives of a rank a controller knows, and since when: it has ordered or announced them, or an agent has
    /// told of them.
    pub(crate) known: BTreeMap<(u64, usize), BTreeMap<Incarnation, Duration>>,
    /// Of which lives each controller has told that they are suspended, and not since that they go on
    /// or have ended, if not by arithmetic.
    suspended: BTreeSet<(u64, Of)>,
    /// When each beat was sent, by its host and number.
    beats: BTreeMap<(usize, BeatSeq), Duration>,
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
    /// By a signal, that is not of its agent.
    Killed,
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
    /// When it has said that all have ended.
    pub(crate) closed: Option<Duration>,
}

/// A host that has died.
#[derive(Clone, Debug)]
pub(crate) struct Crash {
    pub(crate) host: usize,
    pub(crate) at: Duration,
    /// Those that are on it.
    pub(crate) ranks: Range<usize>,
    /// Who lived there.
    pub(crate) lives: Vec<Of>,
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

impl Life {
    pub(crate) const fn of(&self) -> Of {
        (self.rank, self.incarnation)
    }
}

impl Told {
    pub(crate) const fn of(&self) -> Of {
        (self.rank, self.incarnation)
    }
}

impl Reign {
    /// Whether it has died, or is cut off.
    pub(crate) const fn is_out(&self) -> bool {
        self.to.is_some() && self.rejoined.is_none()
    }

    /// Whether it was not in charge any more.
    pub(crate) fn is_over(&self, at: Duration) -> bool {
        self.to.is_some_and(|to| to <= at)
    }

    /// Whether it was in charge so late, and had something to say yet.
    pub(crate) fn outlasts(&self, at: Duration) -> bool {
        [self.to, self.replaced, self.closed].iter().flatten().all(|end| at < *end)
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

    /// An agent sends a beat.
    pub(crate) fn beats(&mut self, agent: AgentId, beat: BeatSeq) {
        _ = self.beats.insert((agent.index(), beat), now());
    }

    /// A controller hears an agent.
    pub(crate) fn hears(&mut self, epoch: u64, answer: &Answer<Status>) {
        match answer {
            Answer::Heard { agent, beat, .. } => {
                let host = agent.index();
                if let Some(sent) = self.beats.get(&(host, *beat)) {
                    self.heard.entry((epoch, host)).or_default().push((*sent, now()));
                }
            }
            Answer::Reported { reports, .. } => {
                let lives = reports.iter().filter(|(_, it)| it.report != Status::NotExist);
                lives.for_each(|(rank, it)| self.knows(epoch, (rank.index(), it.incarnation)));
            }
            _ => (),
        }
    }

    /// A controller knows of a life.
    pub(crate) fn knows(&mut self, epoch: u64, (rank, incarnation): Of) {
        let lives = self.known.entry((epoch, rank)).or_default();
        _ = lives.entry(incarnation).or_insert_with(now);
    }

    /// A controller tells how a life is.
    pub(crate) fn tells(&mut self, epoch: u64, of: Of, status: &Status) {
        match status {
            Status::Stalled(Stall::Suspended { .. }) => _ = self.suspended.insert((epoch, of)),
            Status::Running | Status::Stopped | Status::Failed(_) => {
                _ = self.suspended.remove(&(epoch, of));
            }
            _ => (),
        }
    }

    /// H4: evidence of the kernel that a process is suspended holds back that it is given up. If its host has died after
    /// that, nobody says more of it: for this controller it stays suspended, until the mesh is stopped or let go.
    pub(crate) fn is_held_back(&self, epoch: u64, of: Of) -> bool {
        let has_died = self.crashes.iter().any(|crash| crash.ranks.contains(&of.0));
        has_died && self.suspended.contains(&(epoch, of))
    }

    /// The ranks that the last controller cannot give up.
    pub(crate) fn held_back(&self) -> BTreeSet<usize> {
        let Some(Reign { epoch, .. }) = self.reigns.last() else { return BTreeSet::new() };
        let last: BTreeMap<_, _> = self.lives.iter().map(Life::of).collect();
        last.into_iter().filter(|of| self.is_held_back(*epoch, *of)).map(|(rank, _)| rank).collect()
    }

    /// Whether a later life of a rank has begun, or was ordered or announced by some controller.
    pub(crate) fn is_succeeded(&self, (rank, incarnation): Of) -> bool {
        let known = self.known.iter().filter(|((_, it), _)| *it == rank);
        known.flat_map(|(_, lives)| lives.keys()).any(|life| *life > incarnation)
    }

    /// What is told from now on is told together.
    pub(crate) fn next_step(&mut self) -> usize {
        self.n_steps += 1;
        self.n_steps
    }

    pub(crate) fn reign(&mut self, epoch: u64) -> Option<&mut Reign> {
        self.reigns.iter_mut().find(|reign| reign.epoch == epoch)
    }

    /// The ranks that are alive.
    pub(crate) fn alive(&self) -> BTreeSet<usize> {
        self.lives.iter().filter(|life| life.ended.is_none()).map(|life| life.rank).collect()
    }

    /// The rank of each life that has ended.
    pub(crate) fn ended(&self) -> Vec<usize> {
        self.lives.iter().filter(|life| life.ended.is_some()).map(|life| life.rank).collect()
    }

    pub(crate) fn n_alive(&self) -> usize {
        self.lives.iter().filter(|life| life.ended.is_none()).count()
    }
}
