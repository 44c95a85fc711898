//! Whether an actor can be found by its address: from when that is asked for until it has ended, whichever
//! comes first on whichever thread.

use crate::sync::{AtomicU8, Ordering};

/// It is on the list, or was.
const LISTED: u8 = 1;
const ENDED: u8 = 2;

/// What the two sides tell each other: in one word, so that one of them is the first.
pub(crate) struct Listing(AtomicU8);

impl Listing {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// Sees to it that the actor is on the list, unless it has ended. Whoever gets its address afterwards finds
    /// it.
    pub(crate) fn list(&self, insert: impl FnOnce(), remove: impl FnOnce()) {
        if self.0.load(Ordering::Acquire) & LISTED != 0 {
            return;
        }
        // First it is there, and then that is known. Twice is once.
        insert();
        // It may have ended in between, and was not there to be taken off the list.
        if self.0.fetch_or(LISTED, Ordering::AcqRel) & ENDED != 0 {
            remove();
        }
    }

    /// The actor has ended.
    pub(crate) fn end(&self, remove: impl FnOnce()) {
        if self.0.fetch_or(ENDED, Ordering::AcqRel) & LISTED != 0 {
            remove();
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) & ENDED != 0
    }
}
