//! `Ledger`: what has happened, as those who did it and those whom it was done to say.
//!
//! One for each thread, since a simulation is one thread, and an actor that is spawned by name cannot be handed
//! anything that does not travel.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use mesh_core::{ActorId, Escalation, Incarnation, Status, WhyUndelivered};
use tokio::time::Instant;

thread_local! {
    static LEDGER: RefCell<Ledger> = RefCell::default();
}

/// The number of what was sent: by whom, and his how manieth.
pub(crate) type Number = (usize, u64);

/// From here on, less this, are those who send to one of many, beside what they send to all: between the two there is
/// no order.
pub(crate) const OF_CHOSEN: usize = 500_000;

/// Senders from here on are lives of ranks, by their numbers.
pub(crate) const OF_LIVES: usize = 1_000_000;

/// How long word is on its way, or what has not been lost yet is said again.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Until all has arrived that was sent while nothing could, also by a session that has to begin anew.
const SAID_AGAIN: Duration = Duration::from_secs(5);

/// What a ledger is told of the plan.
#[derive(Clone, Copy, Default)]
pub(crate) struct Begun {
    /// Whoever is healthy is asked to end where another one has failed.
    pub(crate) is_together: bool,
    /// Whatever is sent may come late, and what was sent after it with it.
    pub(crate) is_lossy: bool,
}

#[derive(Default)]
pub(crate) struct Ledger {
    begun: Option<Instant>,
    plan: Begun,
    pub(crate) log: Vec<String>,
    pub(crate) lives: Vec<Life>,
    by_actor: BTreeMap<ActorId, usize>,
    pub(crate) sends: BTreeMap<Number, Send>,
    pub(crate) returned: Vec<(Number, ActorId, WhyUndelivered)>,
    /// Processes that were killed.
    pub(crate) crashed: Vec<usize>,
    /// Which processes were suspended, from when to when; in order.
    pauses: Vec<(usize, Duration, Duration)>,
    /// Ranks that nothing was heard of where the owner is, from when to when.
    silenced: Vec<(Range<usize>, Duration, Duration)>,
    /// Ranks that heard nothing from where the owner is, from when to when.
    deaf: Vec<(Range<usize>, Duration, Duration)>,
    /// Hosts that were killed: when, and the ranks that lived there.
    pub(crate) hosts_crashed: Vec<(Duration, Vec<usize>)>,
    /// When the process of the owner has died.
    pub(crate) died_at: Option<Duration>,
    /// Failures that the owner was told of.
    pub(crate) owner: Vec<(usize, Incarnation)>,
    /// Whether another life was promised with each of them (RS1).
    pub(crate) promises: BTreeMap<(usize, Incarnation), bool>,
    /// Of which of them that was taken back.
    pub(crate) withdrawn: Vec<(usize, Incarnation)>,
    /// That restarts cannot mend the mesh, as the owner was told it (RS3).
    pub(crate) escalations: Vec<Escalation>,
    pub(crate) watchers: BTreeMap<&'static str, Watcher>,
    /// The mesh is asked to end: what ends now does so as it should.
    pub(crate) is_ending: bool,
    /// Ranks whose processes have ended well, and what lived in them with them.
    pub(crate) ended_well: BTreeSet<usize>,
}

/// One life of the actor of a rank.
pub(crate) struct Life {
    pub(crate) rank: usize,
    pub(crate) actor: ActorId,
    pub(crate) handled: Vec<Number>,
    pub(crate) doing: Doing,
    pub(crate) early: Option<Early>,
    pub(crate) begun: Duration,
    /// When it has ended.
    pub(crate) ended: Option<Duration>,
}

/// What a life was at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Well,
    /// Its handler does not return.
    Busy,
    /// It ends as one does that is asked to.
    Asked,
    /// It was made to fail.
    Broken,
}

/// How a life has ended before its mesh was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// With a process that has ended well.
    Well,
    /// It was asked to, or was so busy or deaf that it may have been killed for that: together with one that failed, or since
    /// it was given up.
    LetGo,
    Failed,
}

impl Life {
    pub(crate) fn is_broken(&self) -> bool {
        self.doing == Doing::Broken
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.doing == Doing::Asked
    }

    pub(crate) const fn is_early(&self) -> bool {
        self.early.is_some()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.early == Some(Early::Failed)
    }

    pub(crate) fn is_let_go(&self) -> bool {
        self.early == Some(Early::LetGo)
    }
}

/// Something that was sent to a mesh, or to a slice of it.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) kind: &'static str,
    /// To whom, by their ranks in the mesh.
    pub(crate) to: Vec<usize>,
    pub(crate) begun: Duration,
    pub(crate) took: Option<Duration>,
    /// When it was over.
    pub(crate) over_at: Option<Duration>,
    /// What has come of it, where that is not an answer.
    pub(crate) errors: BTreeMap<usize, Wrong>,
    /// What is wrong with the answer as such.
    pub(crate) complaint: Option<String>,
}

/// An error of a rank: how it is judged, and its words.
pub(crate) type Wrong = (Kind, String);

impl Send {
    /// What has just been sent.
    pub(crate) fn new((kind, begun): (&'static str, Duration), to: Vec<usize>) -> Self {
        let (took, over_at, errors) = (None, None, BTreeMap::new());
        Self { kind, to, begun, took, over_at, errors, complaint: None }
    }
}

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ended,
    Late,
    Other,
}

/// What a subscriber was told.
#[derive(Default)]
pub(crate) struct Watcher {
    /// The ends of lives, in its own ranks.
    pub(crate) ends: BTreeMap<(usize, Incarnation), End>,
    /// When a rank was told to run.
    pub(crate) running: Vec<(usize, Duration)>,
    /// When a life of a rank was told of first.
    pub(crate) lives: BTreeMap<(usize, Incarnation), Duration>,
    pub(crate) is_closed: bool,
    /// How often it was told that restarts cannot mend the mesh.
    pub(crate) n_escalated: usize,
    /// When it was told that its controller is lost.
    pub(crate) lost_at: Vec<Duration>,
    pub(crate) complaints: Vec<String>,
}

/// The end of a life, as a subscriber was told it.
pub(crate) struct End {
    pub(crate) status: Status,
    pub(crate) n_told: usize,
    /// When it was told first.
    pub(crate) at: Duration,
}

/// Does something with the ledger of this thread.
pub(crate) fn with<T>(work: impl FnOnce(&mut Ledger) -> T) -> T {
    LEDGER.with_borrow_mut(work)
}

/// Begins a new one.
pub(crate) fn begin(plan: Begun) {
    with(|it| *it = Ledger { begun: Some(Instant::now()), plan, ..Ledger::default() });
}

/// Takes what was written.
pub(crate) fn take() -> Ledger {
    LEDGER.take()
}

/// Writes a line.
pub(crate) fn note(what: impl Display) {
    with(|it| it.note(what));
}

impl Ledger {
    /// How long the run has lasted.
    pub(crate) fn now(&self) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| begun.elapsed())
    }

    pub(crate) fn note(&mut self, what: impl Display) {
        let micros = self.now().as_micros();
        self.log.push(format!("{:>9}.{:03} ms  {what}", micros / 1_000, micros % 1_000));
    }

    pub(crate) fn born(&mut self, rank: usize, actor: ActorId) -> usize {
        let (life, begun) = (self.lives.len(), self.now());
        self.lives.push(Life {
            rank,
            actor,
            handled: Vec::new(),
            doing: Doing::Well,
            early: None,
            begun,
            ended: None,
        });
        _ = self.by_actor.insert(actor, life);
        self.note(format_args!("rank {rank} lives as {actor}"));
        life
    }

    pub(crate) fn died(&mut self, life: usize) {
        let now = self.now();
        let is_deaf = self.lives.get(life).is_some_and(|it| self.is_deaf(it.rank, now));
        // One of an earlier run that was left over is not here.
        let Some(it) = self.lives.get_mut(life) else { return };
        it.ended = Some(now);
        let is_easy = matches!(it.doing, Doing::Asked | Doing::Busy);
        let may_be_let_go = self.plan.is_together && (is_easy || is_deaf && !it.is_broken());
        it.early = match (self.is_ending, self.ended_well.contains(&it.rank)) {
            (true, _) => None,
            (false, true) => Some(Early::Well),
            (false, false) if may_be_let_go => Some(Early::LetGo),
            (false, false) => Some(Early::Failed),
        };
        let (rank, how) = (it.rank, if it.is_asked() { ", as it was asked to be" } else { "" });
        self.note(format_args!("rank {rank} is gone{how}"));
    }

    /// Nobody has heard that it began, nor that it ended with its process, and the rank has begun again: its order was
    /// carried out anew in the next life of that process, as the same life of the actor (N1).
    pub(crate) fn is_unseen(&self, life: &Life) -> bool {
        let later = self.lives.iter().filter(|it| it.rank == life.rank && it.begun > life.begun);
        let Some(next) = later.map(|it| it.begun).min() else { return false };
        let Some(all) = self.watchers.get("all") else { return false };
        let is_then =
            |rank: usize, at: Duration| rank == life.rank && (life.begun..next).contains(&at);
        let ran = all.running.iter().any(|(rank, at)| is_then(*rank, *at));
        let is_next = all.lives.iter().any(|((rank, _), at)| is_then(*rank, *at));
        !life.is_broken()
            && !ran
            && !is_next
            && !all.ends.iter().any(|((rank, _), end)| is_then(*rank, end.at))
    }

    /// Its process was cut off as it failed, and had ended well before anything was heard of it again: so of the failure
    /// nobody can know, and the end of the process is told (N1).
    pub(crate) fn is_unheard(&self, life: &Life) -> bool {
        let (Some(ended), Some(all)) = (life.ended, self.watchers.get("all")) else { return false };
        let is_silenced = |told: Duration| {
            let mut own = self.silenced.iter().filter(|(ranks, ..)| ranks.contains(&life.rank));
            own.any(|(_, from, to)| {
                *from <= ended + ON_ITS_WAY && (ended..=*to + ON_ITS_WAY).contains(&told)
            })
        };
        let own = all.ends.iter().filter(|((rank, _), _)| *rank == life.rank);
        let mut stopped = own.filter(|(_, end)| end.status == Status::Stopped);
        self.ended_well.contains(&life.rank) && stopped.any(|(_, end)| is_silenced(end.at))
    }

    /// Whether what it was asked may have come together with its end.
    fn is_deaf(&self, rank: usize, now: Duration) -> bool {
        if self.plan.is_lossy {
            return true;
        }
        let paused = self.pauses.iter().map(|(it, from, to)| (*it..it + 1, *from, *to));
        let mut own = paused.chain(self.deaf.iter().cloned());
        own.any(|(ranks, from, to)| {
            ranks.contains(&rank) && (from..=to + SAID_AGAIN).contains(&now)
        })
    }

    /// What one process sends to another is lost for so long; the first is that of the owner.
    pub(crate) fn cuts(&mut self, (from, to): (usize, usize), lasting: Duration) {
        match (from.checked_sub(1), to.checked_sub(1)) {
            (Some(rank), None) => self.silences(rank..rank + 1, lasting),
            (None, Some(rank)) => self.deafens(rank..rank + 1, lasting),
            (None, None) | (Some(_), Some(_)) => (),
        }
    }

    /// Processes of these ranks hear nothing from where the owner is, for so long.
    pub(crate) fn deafens(&mut self, ranks: Range<usize>, lasting: Duration) {
        let now = self.now();
        self.deaf.push((ranks, now, now + lasting));
    }

    /// What processes of these ranks say is not heard where the owner is, for so long.
    pub(crate) fn silences(&mut self, ranks: Range<usize>, lasting: Duration) {
        let now = self.now();
        self.silenced.push((ranks, now, now + lasting));
    }

    /// What a life does from now on, but for one that is about to fail.
    pub(crate) fn does(&mut self, life: usize, doing: Doing) {
        if let Some(it) = self.lives.get_mut(life).filter(|it| !it.is_broken()) {
            it.doing = doing;
        }
    }

    pub(crate) fn handled(&mut self, life: usize, number: Number) {
        let Some(it) = self.lives.get_mut(life) else { return };
        it.handled.push(number);
        let rank = it.rank;
        self.note(format_args!("rank {rank} has {number:?}"));
    }

    /// The process of a rank is suspended for so long, if it lives.
    pub(crate) fn pauses(&mut self, rank: usize, lasting: Duration) {
        let now = self.now();
        self.pauses.push((rank, now, now + lasting));
    }

    /// The process of a rank is killed, and is not suspended any more.
    pub(crate) fn crashes(&mut self, rank: usize) {
        let now = self.now();
        self.crashed.push(rank);
        let own = self.pauses.iter_mut().filter(|(it, ..)| *it == rank);
        own.for_each(|(_, _, to)| *to = now.min(*to));
    }

    /// When so much time has gone by since then for the process of a rank: what is suspended has no sense of time.
    pub(crate) fn after(&self, rank: usize, (since, within): (Duration, Duration)) -> Duration {
        let own = self.pauses.iter().filter(|(it, ..)| *it == rank);
        own.fold(since + within, |at, (_, from, to)| {
            let paused =
                if *from < at { to.saturating_sub(since.max(*from)) } else { Duration::ZERO };
            at + paused
        })
    }

    /// All processes of a host are about to be killed, which has these ranks.
    pub(crate) fn host_crashes(&mut self, ranks: Range<usize>) {
        let alive = self.lives.iter().filter(|it| ranks.contains(&it.rank) && it.ended.is_none());
        let alive = alive.map(|life| life.rank).collect();
        self.hosts_crashed.push((self.now(), alive));
    }

    /// Which rank an actor is, in which life.
    pub(crate) fn rank_of(&self, actor: ActorId) -> Option<usize> {
        self.by_actor.get(&actor).map(|life| self.lives[*life].rank)
    }

    /// Ranks that are told to have been silent for too long, and have begun again with no others since.
    pub(crate) fn timed_out(&self) -> Vec<usize> {
        let ends = self.watchers.get("all").into_iter().flat_map(|all| &all.ends);
        let silent = ends.filter(|(_, end)| matches!(end.status, Status::Timeout { .. }));
        silent.filter(|(of, _)| !self.lives_again(**of)).map(|((rank, _), _)| *rank).collect()
    }

    /// Whether a rank has begun another life with others than itself: one that was given up, say, does not otherwise.
    pub(crate) fn lives_again(&self, (rank, life): (usize, Incarnation)) -> bool {
        let lives = self.watchers.get("all").into_iter().flat_map(|all| all.lives.keys());
        self.plan.is_together && lives.into_iter().any(|it| it.0 == rank && it.1 > life)
    }

    pub(crate) fn n_alive(&self) -> usize {
        self.lives.iter().filter(|life| life.ended.is_none()).count()
    }
}
