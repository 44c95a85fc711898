//! `Followers`: who is told of each change of the actors of a mesh here, and what each of them has not had (L1, N7).
//! Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use mesh_core::{Incarnation, MeshId, Refusal, Status, Timestamp, Update};
use mesh_shape::Rank;

use crate::agent::{StateNews, StreamState, Streamed};

/// How many streams there may be at once.
const STREAMS_MAX: usize = 1_024;

/// How many states are told at once: with the longest of causes they fit a frame of the control lane.
const STATES_AT_ONCE: usize = 16;

/// Of how many lives of a rank that others have followed it is kept how they ended.
const ENDS_MAX: usize = 8;

/// When who had no room is told again; the next time it is twice as long, and so on.
const AGAIN: Duration = Duration::from_millis(20);

/// The longest of that.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Those who follow the actors of meshes: `F` is where each of them is told.
///
/// # Bounds
///
/// [`STREAMS_MAX`] streams; of each and of every rank of its mesh here, the newest life of which something is unsent, and
/// how [`ENDS_MAX`] lives before that ended.
pub(super) struct Followers<F> {
    /// By who is told, by mesh.
    meshes: BTreeMap<MeshId, BTreeMap<F, Stream>>,
    /// How many there have been.
    n_streams: u64,
}

/// What is told of one mesh to one of them.
struct Stream {
    number: u64,
    unsent: Unsent,
    /// Nothing has been told yet.
    is_new: bool,
    /// Nothing follows what is unsent.
    is_over: bool,
    /// When something is told next, whether anything has changed or not.
    due: Timestamp,
    /// How long it is left alone for lack of room; zero if it has some.
    pause: Duration,
}

/// What somebody has not had of each life of each rank, and since when: the newest. Of a rank that is in a later life
/// only ends are left of those before it.
#[derive(Default)]
struct Unsent {
    states: BTreeMap<(Rank, Incarnation), (Update<Status>, Timestamp)>,
    /// How some lives ended is not told any more: there were too many.
    has_lagged: bool,
}

impl<F> Default for Followers<F> {
    fn default() -> Self {
        Self { meshes: BTreeMap::new(), n_streams: 0 }
    }
}

impl<F: Ord> Followers<F> {
    /// Somebody follows a mesh, of which this is known. The same one twice counts once, and begins anew: it may not have
    /// had what it was told before (N5).
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`] if as many do as may; nothing has changed.
    pub(super) fn follow(
        &mut self,
        now: Timestamp,
        (mesh, to): (MeshId, F),
        known: impl IntoIterator<Item = (Rank, Update<Status>)>,
    ) -> Result<(), Refusal> {
        let is_there = self.meshes.get(&mesh).is_some_and(|streams| streams.contains_key(&to));
        if !is_there && self.len() >= STREAMS_MAX {
            return Err(Refusal::TooMany { limit: STREAMS_MAX });
        }
        self.n_streams += 1;
        let mut stream = Stream::new(self.n_streams, now);
        known.into_iter().for_each(|(rank, update)| stream.note(now, rank, update));
        self.meshes.entry(mesh).or_default().insert(to, stream);
        Ok(())
    }

    /// Somebody follows a mesh no longer. Of one who does not this is a no-op.
    pub(super) fn unfollow(&mut self, mesh: MeshId, to: &F) {
        if let Some(streams) = self.meshes.get_mut(&mesh) {
            streams.remove(to);
            if streams.is_empty() {
                self.meshes.remove(&mesh);
            }
        }
    }

    /// Something that a stream told has come back: it is over (N7). The same port may have another one by now, which
    /// goes on.
    pub(super) fn came_back(&mut self, (mesh, number): (MeshId, u64), to: &F) {
        let streams = self.meshes.get(&mesh);
        if streams.and_then(|it| it.get(to)).is_some_and(|stream| stream.number == number) {
            self.unfollow(mesh, to);
        }
    }

    /// A rank of a mesh is something else than it was, or in another life.
    pub(super) fn note(
        &mut self,
        now: Timestamp,
        (mesh, rank): (MeshId, Rank),
        is: &Update<Status>,
    ) {
        self.of(mesh).for_each(|stream| stream.note(now, rank, is.clone()));
    }

    /// Nothing follows in a mesh what was told already.
    pub(super) fn close(&mut self, now: Timestamp, mesh: MeshId) {
        self.of(mesh).for_each(|stream| stream.close(now));
    }

    /// Tells everybody what is due. `send` gives back what there is no room for: it is told again later, or what is
    /// newer then.
    pub(super) fn tell(
        &mut self,
        now: Timestamp,
        mut send: impl FnMut(&F, Streamed) -> Result<(), Streamed>,
    ) {
        self.meshes.retain(|mesh, streams| {
            streams.retain(|to, stream| {
                let number = stream.number;
                let streamed = |news| Streamed { mesh: *mesh, stream: number, news };
                stream.tell(now, |news| send(to, streamed(news)).map_err(|back| back.news))
            });
            !streams.is_empty()
        });
    }

    /// When something is to be told next.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.meshes.values().flat_map(BTreeMap::values).map(|stream| stream.due).min()
    }

    fn len(&self) -> usize {
        self.meshes.values().map(BTreeMap::len).sum()
    }

    fn of(&mut self, mesh: MeshId) -> impl Iterator<Item = &mut Stream> {
        self.meshes.get_mut(&mesh).into_iter().flat_map(BTreeMap::values_mut)
    }
}

impl Stream {
    fn new(number: u64, now: Timestamp) -> Self {
        let (unsent, pause) = (Unsent::default(), Duration::ZERO);
        Self { number, unsent, is_new: true, is_over: false, due: now, pause }
    }

    fn note(&mut self, now: Timestamp, rank: Rank, is: Update<Status>) {
        self.unsent.push(now, rank, is);
        self.hurry(now);
    }

    fn close(&mut self, now: Timestamp) {
        self.is_over = true;
        self.hurry(now);
    }

    /// There is something to tell: at once, if there may be room for it.
    fn hurry(&mut self, now: Timestamp) {
        if self.pause.is_zero() {
            self.due = self.due.min(now);
        }
    }

    /// Tells what is due, as far as there is room. Says whether there may be more to tell.
    fn tell(
        &mut self,
        now: Timestamp,
        mut send: impl FnMut(StateNews) -> Result<(), StateNews>,
    ) -> bool {
        while self.due <= now {
            let news = self.next(now);
            let is_last = news == StateNews::Closed;
            if let Err(news) = send(news) {
                self.keep(now, news);
                return true;
            }
            if is_last {
                return false;
            }
            (self.is_new, self.pause) = (false, Duration::ZERO);
            let has_more = self.is_over || !self.unsent.is_empty();
            self.due = if has_more { now } else { now + StreamState::PERIOD };
        }
        true
    }

    fn next(&mut self, now: Timestamp) -> StateNews {
        if std::mem::take(&mut self.unsent.has_lagged) {
            return StateNews::Lagged;
        }
        let states = self.unsent.take(now);
        if !states.is_empty() {
            StateNews::States(states)
        } else if self.is_over {
            StateNews::Closed
        } else if self.is_new {
            StateNews::NotExist
        } else {
            StateNews::Unchanged
        }
    }

    /// There was no room for it.
    fn keep(&mut self, now: Timestamp, news: StateNews) {
        match news {
            StateNews::States(states) => {
                states.into_iter().for_each(|(rank, is)| self.unsent.push(now, rank, is));
            }
            StateNews::Lagged => self.unsent.has_lagged = true,
            StateNews::NotExist | StateNews::Unchanged | StateNews::Closed => (),
        }
        self.pause = (2 * self.pause).clamp(AGAIN, AGAIN_MAX);
        self.due = now + self.pause;
    }
}

impl Unsent {
    /// A rank is this now; or was, if a later life of it is unsent, too.
    fn push(&mut self, now: Timestamp, rank: Rank, is: Update<Status>) {
        let life = (rank, is.incarnation);
        let before = (rank, Incarnation::FIRST)..life;
        self.states.insert(life, (is, now));
        // What a life was that another has followed is of no use, unless it is how it ended.
        let last = self.states.range(before.clone()).next_back();
        let alive = last.filter(|(_, (is, _))| !is.report.is_terminal()).map(|(life, _)| *life);
        if let Some(alive) = alive {
            self.states.remove(&alive);
        }
        // A life that was replaced may end after others have begun.
        let beyond = (Rank::new(rank.index().saturating_add(1)), Incarnation::FIRST);
        let mut ends = self.states.range((rank, Incarnation::FIRST)..beyond).map(|(life, _)| *life);
        // The newest is what the rank is; or one end more, if that has been told.
        ends.next_back();
        let oldest = ends.next().filter(|_| ends.count() >= ENDS_MAX);
        if let Some(oldest) = oldest {
            self.states.remove(&oldest);
            self.has_lagged = true;
        }
    }

    /// A few of them, as old as they are by now.
    fn take(&mut self, now: Timestamp) -> Vec<(Rank, Update<Status>)> {
        let unsent = std::iter::from_fn(|| self.states.pop_first()).take(STATES_AT_ONCE);
        let aged = unsent.map(|((rank, _), (mut is, since))| {
            is.age += now.since(since);
            (rank, is)
        });
        aged.collect()
    }

    fn is_empty(&self) -> bool {
        self.states.is_empty() && !self.has_lagged
    }
}

#[cfg(test)]
mod tests;
