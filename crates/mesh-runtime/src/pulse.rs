//! What an actor does at this moment, written by its task and read by a watchdog on another thread.
//!
//! A task stores one word for each message, and another one when it waits or has nothing to do. Whoever
//! watches knows how long something lasts by seeing the same word again, so that no clock is read for a
//! message.

use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};

use mesh_core::{PeerId, PortId};
use tokio::sync::Notify;

use crate::sync::{AtomicBool, AtomicU64, Mutex, Ordering, PoisonError};

/// What an actor does: a word that is never the same for two messages in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// What a word says of the function that was begun last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It has ended, and the actor does nothing.
    Nothing,
    /// A thread is in it.
    Runs,
    /// It awaits something.
    Waits,
}

/// Which function of the actor it is, by its place in [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u8);

impl Slot {
    pub(crate) const START: Self = Self(NAMES as u8);
    pub(crate) const STOP: Self = Self(NAMES as u8 + 1);
    pub(crate) const ON_FAILURE: Self = Self(NAMES as u8 + 2);
    pub(crate) const ON_UNDELIVERED: Self = Self(NAMES as u8 + 3);
    pub(crate) const OTHER: Self = Self(NAMES as u8 + 4);
}

// From the lowest bit: 2 of what it does, 8 of which function, 24 of how often it was polled, 30 of how
// many functions there were before. The counters wrap; between two looks they cannot come round.
const DOING_BITS: u32 = 2;
const SLOT_BITS: u32 = 8;
const POLL_BITS: u32 = 24;

impl Word {
    pub(crate) const IDLE: Self = Self(0);

    /// The next function begins.
    #[must_use]
    pub(crate) const fn begin(self, slot: Slot) -> Self {
        let function = (self.0 >> (DOING_BITS + SLOT_BITS + POLL_BITS)).wrapping_add(1);
        Self(function << (DOING_BITS + SLOT_BITS + POLL_BITS) | (slot.0 as u64) << DOING_BITS | 1)
    }

    /// The function awaits something.
    #[must_use]
    pub(crate) const fn wait(self) -> Self {
        Self(self.0 & !0b11 | 2)
    }

    /// A thread is in the function again.
    #[must_use]
    pub(crate) const fn go_on(self) -> Self {
        const POLLS: u64 = ((1 << POLL_BITS) - 1) << (DOING_BITS + SLOT_BITS);
        const ONE: u64 = 1 << (DOING_BITS + SLOT_BITS);
        Self(self.0 & !POLLS & !0b11 | (self.0 & POLLS).wrapping_add(ONE) & POLLS | 1)
    }

    /// There is nothing to do.
    #[must_use]
    pub(crate) const fn idle(self) -> Self {
        Self(self.0 & !0b11)
    }

    pub(crate) const fn doing(self) -> Doing {
        match self.0 & 0b11 {
            1 => Doing::Runs,
            2 => Doing::Waits,
            _ => Doing::Nothing,
        }
    }

    pub(crate) const fn slot(self) -> Slot {
        Slot((self.0 >> DOING_BITS) as u8)
    }

    /// Whether both are of the same function.
    pub(crate) const fn is_same_function(self, other: Self) -> bool {
        (self.0 ^ other.0) >> (DOING_BITS + SLOT_BITS + POLL_BITS) == 0
    }
}

/// How many messages of one type of actor have a name here; the others are told without.
const NAMES: usize = 64;

/// The names of the messages that actors of one type have handled, learned as they come.
pub(crate) struct Names([OnceLock<(PortId, &'static str)>; NAMES]);

impl Names {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; NAMES])
    }

    /// The place of the name that has this port: one load, where it is known and no other is in its way.
    pub(crate) fn slot(&self, port: PortId, name: &'static str) -> Slot {
        let first = port.number() as usize;
        for offset in 0..NAMES {
            let at = first.wrapping_add(offset) % NAMES;
            let (known, _) = self.0[at].get_or_init(|| (port, name));
            if *known == port {
                return Slot(at as u8);
            }
        }
        Slot::OTHER
    }

    pub(crate) fn name(&self, slot: Slot) -> &'static str {
        match slot {
            Slot::START => "start",
            Slot::STOP => "stop",
            Slot::ON_FAILURE => "on_failure",
            Slot::ON_UNDELIVERED => "on_undelivered",
            Slot(at) => {
                let known = self.0.get(usize::from(at)).and_then(OnceLock::get);
                known.map_or("a message", |(_, name)| name)
            }
        }
    }
}

/// The word of one actor.
pub(crate) struct Pulse {
    word: AtomicU64,
    /// It is on the list, or nobody wants to know.
    is_watched: AtomicBool,
    list: Option<Arc<WatchList>>,
}

impl Pulse {
    pub(crate) fn new(list: Option<Arc<WatchList>>) -> Self {
        let (word, is_watched) = (AtomicU64::new(Word::IDLE.0), AtomicBool::new(list.is_none()));
        Self { word, is_watched, list }
    }

    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, word: Word) {
        self.word.store(word.0, Ordering::Relaxed);
    }

    /// A thread is about to be in a function: whoever watches looks at it until there is nothing to do.
    pub(crate) fn run(&self, word: Word, of: impl FnOnce() -> Arc<dyn Watched>) {
        self.set(word);
        if !self.is_watched.load(Ordering::Relaxed)
            && let Some(list) = &self.list
        {
            self.is_watched.store(true, Ordering::Relaxed);
            list.push(of());
        }
    }

    /// It is looked at once more, and then not until it does something. Once more, since what its task
    /// does at this moment may not be seen here yet, nor this there: by the next look, milliseconds later, it is.
    /// So a message needs no more than a store; all but that time is shown by a model checker.
    pub(crate) fn let_go(&self) {
        self.is_watched.store(false, Ordering::Relaxed);
    }

    /// It is still looked at.
    pub(crate) fn keep(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }
}

/// An actor, as whoever watches sees it.
pub(crate) trait Watched: Send + Sync {
    fn pulse(&self) -> &Pulse;
    /// The life of the process that it lives in.
    fn peer(&self) -> PeerId;
    fn index(&self) -> NonZeroU64;
    /// The actor that has no actor for a parent, and this one for a descendant; or this one itself.
    fn root(&self) -> NonZeroU64;
    fn name(&self) -> &str;
    /// The name of its type.
    fn type_name(&self) -> &'static str;
    /// How many messages wait for it.
    fn n_waiting(&self) -> usize;
    /// What its functions are called.
    fn names(&self) -> &Names;
}

/// The actors that have begun something since it was looked at.
///
/// An actor is put here at most twice for each look, so that a look costs no more than what was begun
/// since the one before.
#[derive(Default)]
pub(crate) struct WatchList {
    begun: Mutex<Vec<Arc<dyn Watched>>>,
    /// Wakes whoever watches, if he sleeps for long since nobody did anything.
    wakeup: Notify,
}

impl WatchList {
    fn push(&self, actor: Arc<dyn Watched>) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(actor);
        self.wakeup.notify_one();
    }

    /// Waits until somebody begins something.
    pub(crate) async fn something_begins(&self) {
        self.wakeup.notified().await;
    }

    pub(crate) fn take(&self) -> Vec<Arc<dyn Watched>> {
        std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_is_done_and_differs_from_function_to_function() {
        let names = Names::new();
        let count = names.slot(PortId::named("Count"), "Count");
        let first = Word::IDLE.begin(count);
        assert_eq!((first.doing(), names.name(first.slot())), (Doing::Runs, "Count"));
        let waits = first.wait();
        assert_eq!((waits.doing(), names.name(waits.slot())), (Doing::Waits, "Count"));
        assert!(waits.is_same_function(first));
        let again = waits.go_on();
        assert_eq!(again.doing(), Doing::Runs);
        assert!(again != first && again.is_same_function(first), "another poll of the same");
        let second = again.begin(count);
        assert!(!second.is_same_function(first));
        assert_eq!(second.idle().doing(), Doing::Nothing);
        assert!(second.idle().is_same_function(second));
    }

    #[test]
    fn the_polls_of_a_function_wrap_and_touch_nothing_else() {
        let mut word = Word::IDLE.begin(Slot::STOP);
        let first = word;
        for _ in 0..1 << POLL_BITS {
            word = word.wait().go_on();
        }
        assert_eq!(word, first);
    }

    #[test]
    fn more_messages_than_have_room_are_told_without_a_name() {
        let names = Names::new();
        let text: &'static str = "words.Count";
        let slots: Vec<Slot> = (0..NAMES + 3)
            .map(|number| names.slot(PortId::named(&number.to_string()), text))
            .collect();
        assert_eq!(slots.iter().filter(|slot| names.name(**slot) == text).count(), NAMES);
        assert_eq!(names.name(slots[NAMES]), "a message");
        assert_eq!(names.slot(PortId::named("5"), text), slots[5], "each has its own");
    }
}
