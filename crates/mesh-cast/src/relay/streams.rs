//! `Streams`: the streams that a node knows, and for which of them anything is to be done.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::{MeshId, PeerId};

use super::Effect;
use super::stream::{Stream, put};
use crate::wire::StreamId;

/// Whose casts to which mesh. A process has one caster for a mesh at a time, with a higher index than all before it.
type Source = (PeerId, MeshId);

/// The newest stream of each source.
///
/// Invariant: `open`, `news` and `idle` say of every source what its stream is: whoever changes one
/// [notes](Self::note) it.
#[derive(Clone, Debug)]
pub(super) struct Streams<N, P, R> {
    known_max: usize,
    known: BTreeMap<Source, Known<N, P, R>>,
    /// Those that legs are open for.
    open: BTreeSet<Source>,
    /// Those of them of which a parent does not know all that is known here.
    news: BTreeSet<Source>,
    /// Those that owe nothing, in the order in which room is made for others.
    idle: BTreeSet<(Turn, Source)>,
    n_heard: u64,
    n_refused: u64,
}

/// What is known of a source.
#[derive(Clone, Debug)]
struct Known<N, P, R> {
    id: StreamId,
    /// `None` once its caster has ended: a leg of it that comes late is not taken for a new one.
    stream: Option<Stream<N, P, R>>,
    turn: Turn,
    /// How many ages ago it was heard of.
    n_ages: u8,
}

/// Which is forgotten first: one whose caster has ended, and then the one that was heard of longest ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_live: bool,
    n_heard: u64,
}

/// After how many ages without a word a source is forgotten.
const AGES: u8 = 2;

/// After how many it may make room for another: none of its legs is on its way any more, which would be taken for a new
/// one (R2). An age may end right after a word, so a whole one has passed.
const AGES_QUIET: u8 = 2;

/// What becomes of a leg of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is taken.
    Live,
    /// Its caster has ended: nobody wants it.
    Over,
    /// There is no room for one more stream.
    Full,
}

impl<N: Copy + Ord, P: Clone, R: Clone + PartialEq> Streams<N, P, R> {
    pub(super) const fn new(known_max: usize) -> Self {
        Self {
            known_max,
            known: BTreeMap::new(),
            open: BTreeSet::new(),
            news: BTreeSet::new(),
            idle: BTreeSet::new(),
            n_heard: 0,
            n_refused: 0,
        }
    }

    /// How many streams there are whose caster is not known to have ended.
    pub(super) fn len(&self) -> usize {
        self.live().count()
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Stream<N, P, R>> {
        self.known.values().filter_map(|known| known.stream.as_ref())
    }

    pub(super) fn get(&self, id: &StreamId) -> Option<&Stream<N, P, R>> {
        let known = self.known.get(&source(id)).filter(|known| known.id == *id);
        known.and_then(|known| known.stream.as_ref())
    }

    /// A leg of a stream has come. One of a source that is not known takes the place of one that owes nothing and has
    /// been quiet for long, where there is no other.
    pub(super) fn hear(&mut self, id: StreamId, effects: &mut Vec<Effect<N, P, R>>) -> Heard {
        let source = source(&id);
        match self.known.get(&source) {
            Some(known) if is_later(&known.id, &id) => return Heard::Over,
            Some(Known { id: known, stream: None, .. }) if *known == id => return Heard::Over,
            Some(known) if known.id != id => self.close(id, effects),
            Some(_) => (),
            None if self.known.len() < self.known_max => (),
            None => match self.quiet(source) {
                Some(quiet) => self.forget(quiet),
                None => {
                    self.n_refused += 1;
                    return Heard::Full;
                }
            },
        }
        let turn = self.next_turn(true);
        let new = || Known { id, stream: None, turn, n_ages: 0 };
        let known = self.known.entry(source).or_insert_with(new);
        known.stream.get_or_insert_with(|| Stream::new(id));
        self.touch(source, turn);
        Heard::Live
    }

    /// The source that makes room for `another`: the first of those that have ended, or of the others.
    fn quiet(&self, another: Source) -> Option<Source> {
        let first_live = Turn { is_live: true, n_heard: 0 };
        let firsts = [self.idle.first(), self.idle.range((first_live, another)..).next()];
        let is_quiet = |source: &Source| {
            self.known.get(source).is_some_and(|known| known.n_ages >= AGES_QUIET)
        };
        firsts.into_iter().flatten().map(|(_, source)| *source).find(is_quiet)
    }

    fn forget(&mut self, source: Source) {
        if let Some(Known { turn, .. }) = self.known.remove(&source) {
            self.idle.remove(&(turn, source));
        }
    }

    /// How many legs were refused since there was no room, since this was asked last.
    pub(super) const fn take_n_refused(&mut self) -> u64 {
        std::mem::replace(&mut self.n_refused, 0)
    }

    /// Does something to a stream, if it is known.
    pub(super) fn change(&mut self, id: &StreamId, change: impl FnOnce(&mut Stream<N, P, R>)) {
        let known = self.known.get_mut(&source(id)).filter(|known| known.id == *id);
        if let Some(stream) = known.and_then(|known| known.stream.as_mut()) {
            change(stream);
            self.note(source(id));
        }
    }

    /// Does something to each stream that a leg is open for.
    pub(super) fn change_open(&mut self, change: impl FnMut(&mut Stream<N, P, R>)) {
        self.change_all(&self.open.clone(), change);
    }

    /// Does something to each stream of which a parent does not know all.
    pub(super) fn change_news(&mut self, change: impl FnMut(&mut Stream<N, P, R>)) {
        self.change_all(&self.news.clone(), change);
    }

    fn change_all(
        &mut self,
        sources: &BTreeSet<Source>,
        mut change: impl FnMut(&mut Stream<N, P, R>),
    ) {
        for source in sources {
            let known = self.known.get_mut(source);
            known.and_then(|known| known.stream.as_mut()).into_iter().for_each(&mut change);
            self.note(*source);
        }
    }

    /// Word of a stream has come: it is not forgotten for a while.
    pub(super) fn hear_word(&mut self, id: &StreamId) {
        if self.get(id).is_some() {
            let turn = self.next_turn(true);
            self.touch(source(id), turn);
        }
    }

    /// A caster has said farewell. Of one that was not heard of there is nothing to remember.
    pub(super) fn end(&mut self, id: StreamId, effects: &mut Vec<Effect<N, P, R>>) {
        let source = source(&id);
        if self.known.get(&source).is_some_and(|known| !is_later(&known.id, &id)) {
            self.close(id, effects);
            let turn = self.next_turn(false);
            self.touch(source, turn);
        }
    }

    /// A while has passed.
    pub(super) fn age(&mut self) {
        let Self { known, open, news, idle, .. } = self;
        known.retain(|source, known| {
            known.n_ages += 1;
            let is_kept = known.n_ages <= AGES;
            if !is_kept {
                open.remove(source);
                news.remove(source);
                idle.remove(&(known.turn, *source));
            }
            is_kept
        });
    }

    /// Whether a leg is open.
    pub(super) fn has_duties(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether a parent does not know all that is known here.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// The stream of a source that is known is over, and this is the newest.
    fn close(&mut self, id: StreamId, effects: &mut Vec<Effect<N, P, R>>) {
        if let Some(known) = self.known.get_mut(&source(&id)) {
            known.id = id;
            known.stream.take().into_iter().for_each(|stream| stream.close(effects));
            self.note(source(&id));
        }
    }

    const fn next_turn(&mut self, is_live: bool) -> Turn {
        self.n_heard += 1;
        Turn { is_live, n_heard: self.n_heard }
    }

    fn touch(&mut self, source: Source, turn: Turn) {
        if let Some(known) = self.known.get_mut(&source) {
            self.idle.remove(&(known.turn, source));
            (known.turn, known.n_ages) = (turn, 0);
            self.note(source);
        }
    }

    /// Sees what the stream of a source is now.
    fn note(&mut self, source: Source) {
        let Some(Known { stream, turn, .. }) = self.known.get(&source) else { return };
        put(&mut self.open, source, stream.as_ref().is_some_and(Stream::has_duties));
        put(&mut self.news, source, stream.as_ref().is_some_and(Stream::has_news));
        put(&mut self.idle, (*turn, source), stream.as_ref().is_none_or(Stream::is_idle));
    }
}

fn source(id: &StreamId) -> Source {
    (id.caster.peer(), id.mesh)
}

/// Whether a stream has begun after another one of the same source.
const fn is_later(one: &StreamId, other: &StreamId) -> bool {
    one.caster.index > other.caster.index
}

#[cfg(test)]
mod tests;
