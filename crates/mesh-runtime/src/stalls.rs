//! What hangs in a process, judged from what is seen of its actors again and again: pure.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{PeerId, Silence, Stall, StalledHandler};
use tokio::time::Instant;

use crate::pulse::{Doing, Watched, Word};

/// What hangs in a process, or in several that share a [`Watchdog`](crate::Watchdog).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    handlers: Vec<LongHandler>,
    /// The user's runtime runs nothing, and no handler is known to be why.
    runtime: Option<Duration>,
}

/// A function of an actor that has been running for longer than the threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongHandler {
    /// In which life of which process.
    pub peer: PeerId,
    /// The index of the actor that has no actor for a parent, and the one that hangs for a descendant; or
    /// of that one itself.
    pub root: NonZeroU64,
    /// Whose it is, what for, and how long it had run when that was first seen.
    pub handler: Arc<StalledHandler>,
    /// It has kept a thread for that long, without awaiting anything.
    pub is_blocking: bool,
}

impl Stalls {
    /// Every function that has been running for too long, the longest first.
    #[must_use]
    pub fn handlers(&self) -> &[LongHandler] {
        &self.handlers
    }

    /// What of it hangs in one process; a runtime that runs nothing is that of all of them.
    #[must_use]
    pub fn of(&self, peer: PeerId) -> Self {
        let handlers = self.handlers.iter().filter(|long| long.peer == peer).cloned().collect();
        Self { handlers, runtime: self.runtime }
    }

    /// Why the process as a whole makes no progress: a handler that keeps a thread, the longest of them;
    /// or else a runtime that runs nothing. A handler that awaits something holds up its actor, and nobody
    /// else.
    #[must_use]
    pub fn of_process(&self) -> Option<Stall> {
        let blocking = self.handlers.iter().find(|long| long.is_blocking);
        blocking
            .map(|long| Stall::Handler(Arc::clone(&long.handler)))
            .or_else(|| Some(Stall::silent(Silence::Runtime, self.runtime?)))
    }

    /// The function that has been running for the longest, of one actor and its descendants.
    #[must_use]
    pub fn of_actor(&self, root: NonZeroU64) -> Option<&Arc<StalledHandler>> {
        self.handlers.iter().find(|long| long.root == root).map(|long| &long.handler)
    }
}

/// How the threads of a runtime are: for each a number that grows when it falls asleep and when it wakes
/// up, and is odd while it sleeps.
pub(crate) type Threads = Vec<u64>;

/// Looks at what runs, and says what hangs. Time comes in as an argument.
pub(crate) struct Watch {
    threshold: Duration,
    /// When to look again, after the last look.
    next: Duration,
    looked: Option<Instant>,
    actors: BTreeMap<(PeerId, NonZeroU64), Seen>,
    threads: Threads,
    /// When something was given to the runtime that it has not run yet.
    probed: Option<Instant>,
    /// How long it had not when that was told.
    runtime: Option<Duration>,
}

/// What was seen of an actor.
struct Seen {
    actor: Arc<dyn Watched>,
    word: Word,
    /// When the function was first seen.
    begun: Instant,
    /// When it was first seen in this poll.
    polled: Instant,
    /// It did nothing when it was last looked at.
    is_leaving: bool,
    told: Option<Arc<StalledHandler>>,
}

/// What is to be done about the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Nothing.
    No,
    /// Give it something to run.
    Send,
}

impl Watch {
    pub(crate) fn new(threshold: Duration) -> Self {
        Self {
            threshold,
            next: Self::every(threshold),
            looked: None,
            actors: BTreeMap::new(),
            threads: Threads::new(),
            probed: None,
            runtime: None,
        }
    }

    /// When to look again; and whether somebody may begin something before, which is to be looked at then.
    pub(crate) fn next_look(&self) -> (Duration, bool) {
        (self.next, self.is_idle())
    }

    /// Nothing runs, for all that was seen.
    fn is_idle(&self) -> bool {
        let is_asleep = self.threads.iter().any(|count| count % 2 == 1);
        self.actors.is_empty() && self.probed.is_none() && (is_asleep || self.threads.is_empty())
    }

    /// How many messages wait for the actors that do something, by the names of their types. Whoever has one
    /// that waits does something, or is about to.
    pub(crate) fn waiting(&self) -> BTreeMap<&'static str, usize> {
        let mut waiting = BTreeMap::new();
        for Seen { actor, .. } in self.actors.values() {
            *waiting.entry(actor.type_name()).or_default() += actor.n_waiting();
        }
        waiting
    }

    /// How often to look where nothing runs: what begins wakes us, but for what is no actor.
    fn seldom(threshold: Duration) -> Duration {
        (threshold / 8).min(Duration::from_millis(500)).max(Self::every(threshold))
    }

    /// How often to look, so that what hangs is told no later than 150 ms after the threshold: what begins is seen
    /// by a look, and looked at when it will have run for too long. Each look of a process that has slept since costs
    /// more than what it looks at.
    fn every(threshold: Duration) -> Duration {
        (threshold / 20).clamp(Duration::from_millis(5), Duration::from_millis(150))
    }

    /// When to look again while something runs: no later than when the first of it will have run for too long, be it a
    /// function or one poll of it, or the runtime will have been silent for too long.
    fn soon(&self, now: Instant) -> Duration {
        let every = Self::every(self.threshold);
        let of_actors = self.actors.values().flat_map(Seen::awaited);
        let begun = of_actors.chain(self.probed.filter(|_| self.runtime.is_none()));
        let long = begun.map(|begun| (begun + self.threshold).saturating_duration_since(now));
        // What is late by now was told. Not more often than a timer can tell apart.
        long.filter(|it| !it.is_zero()).fold(every, Duration::min).max(Duration::from_millis(1))
    }

    /// Looks at all that runs. `is_back`: what was given to the runtime last has run.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        begun: Vec<Arc<dyn Watched>>,
        (threads, is_back): (Threads, bool),
    ) -> (Stalls, Probe) {
        self.forgive(now);
        for actor in begun {
            let fresh = Seen::new(Arc::clone(&actor), now);
            self.actors.entry((actor.peer(), actor.index())).or_insert(fresh).is_leaving = false;
        }
        self.actors.retain(|_, seen| seen.look(now));
        let threshold = self.threshold;
        let mut handlers: Vec<LongHandler> =
            self.actors.values_mut().filter_map(|seen| seen.long(threshold, now)).collect();
        handlers.sort_by_key(|long| std::cmp::Reverse(long.handler.age));
        let probe = self.look_at_runtime(now, threads, is_back);
        self.next = if self.is_idle() { Self::seldom(threshold) } else { self.soon(now) };
        (Stalls { handlers, runtime: self.runtime }, probe)
    }

    /// We come late: all may have been suspended with us, and nothing has run for longer by that.
    fn forgive(&mut self, now: Instant) {
        let gap = self
            .looked
            .map(|looked| now - looked)
            .filter(|gap| *gap > (self.next * 3).max(PAUSE_MIN));
        if let Some(gap) = gap {
            for seen in self.actors.values_mut() {
                seen.begun = (seen.begun + gap).min(now);
                seen.polled = (seen.polled + gap).min(now);
            }
            self.probed = self.probed.map(|probed| (probed + gap).min(now));
        }
        self.looked = Some(now);
    }

    fn look_at_runtime(&mut self, now: Instant, threads: Threads, is_back: bool) -> Probe {
        if is_back {
            (self.probed, self.runtime) = (None, None);
        }
        // One that has slept, or woken up, since we looked does run something.
        let are_busy = !threads.is_empty()
            && threads == self.threads
            && threads.iter().all(|count| count % 2 == 0);
        self.threads = threads;
        match self.probed {
            None if are_busy => {
                self.probed = Some(now);
                return Probe::Send;
            }
            None => (),
            Some(probed) => {
                // A handler that is about to be told is why.
                let is_known = self.actors.values().any(|seen| {
                    seen.word.doing() == Doing::Runs && now - seen.polled >= self.threshold / 2
                });
                let age = now - probed;
                if self.runtime.is_none() && age >= self.threshold && !is_known {
                    self.runtime = Some(age);
                }
            }
        }
        Probe::No
    }
}

impl Seen {
    fn new(actor: Arc<dyn Watched>, now: Instant) -> Self {
        let word = actor.pulse().word();
        Self { actor, word, begun: now, polled: now, is_leaving: false, told: None }
    }

    /// Looks at it again. `false` if it need not be looked at any more.
    fn look(&mut self, now: Instant) -> bool {
        let word = self.actor.pulse().word();
        if word != self.word {
            self.polled = now;
            if !word.is_same_function(self.word) {
                (self.begun, self.told) = (now, None);
            }
            self.word = word;
        }
        if word.doing() != Doing::Nothing {
            if std::mem::take(&mut self.is_leaving) {
                self.actor.pulse().keep();
            }
            return true;
        }
        self.told = None;
        if self.is_leaving {
            return false;
        }
        self.is_leaving = true;
        self.actor.pulse().let_go();
        true
    }

    /// When the function that it runs began, and when the thread went into it: what may have lasted for too long one day.
    fn awaited(&self) -> impl Iterator<Item = Instant> {
        let begun = (self.word.doing() != Doing::Nothing).then_some(self.begun);
        let polled = (self.word.doing() == Doing::Runs).then_some(self.polled);
        begun.into_iter().chain(polled)
    }

    /// What it runs, if that has been for longer than the threshold.
    fn long(&mut self, threshold: Duration, now: Instant) -> Option<LongHandler> {
        let age = now - self.begun;
        if self.word.doing() == Doing::Nothing || age < threshold {
            return None;
        }
        let handler = self.told.get_or_insert_with(|| {
            let message = self.actor.names().name(self.word.slot()).to_owned();
            Arc::new(StalledHandler { actor: self.actor.name().to_owned(), message, age })
        });
        let is_blocking = self.word.doing() == Doing::Runs && now - self.polled >= threshold;
        let (peer, root) = (self.actor.peer(), self.actor.root());
        Some(LongHandler { peer, root, handler: Arc::clone(handler), is_blocking })
    }
}

/// Less is no pause, on a busy machine.
const PAUSE_MIN: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
