//! `FarEnd`: the other end of a session within one program, and whether that session lasts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Inbound;

/// The other end of a session within one program.
#[derive(Clone, Copy)]
pub struct FarEnd<'a> {
    /// Who is there.
    pub into: &'a dyn Inbound,
    /// Whether the session has ended: so before that is told to anybody ([`Inbound::lost`]).
    pub session: &'a SessionEnd,
}

/// Whether a session within one program has ended.
///
/// All sessions of a transport share a count of those that have: so whoever asks of very many before each message
/// ([`Lasting`]) looks at one place in memory, and not at one for each.
#[derive(Clone, Debug, Default)]
pub struct SessionEnd {
    has_ended: Arc<AtomicBool>,
    n_ended: Arc<AtomicU64>,
}

/// A session within one program, as somebody sees it who asks again and again whether it lasts.
#[derive(Debug)]
pub struct Lasting {
    session: SessionEnd,
    /// How many had ended when this one was seen to last; [`NEVER`] before that.
    seen_at: AtomicU64,
}

/// So many never end.
const NEVER: u64 = u64::MAX;

impl SessionEnd {
    /// Another session of the same transport, which has not ended.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { has_ended: Arc::default(), n_ended: Arc::clone(&self.n_ended) }
    }

    /// The session ends. Whether it had not before: then it is to be told.
    pub fn end(&self) -> bool {
        let is_first = !self.has_ended.swap(true, Ordering::SeqCst);
        if is_first {
            // Behind it: whoever sees the new count sees why.
            self.n_ended.fetch_add(1, Ordering::SeqCst);
        }
        is_first
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }

    /// For somebody who asks often.
    #[must_use]
    pub fn watch(&self) -> Lasting {
        Lasting { session: self.clone(), seen_at: AtomicU64::new(NEVER) }
    }
}

impl Lasting {
    /// Whether the session has not ended, or ends at this moment: what is told of its end comes after.
    #[must_use]
    pub fn is_open(&self) -> bool {
        // First: what ends after that is seen the next time.
        let n_ended = self.session.n_ended.load(Ordering::SeqCst);
        if self.seen_at.load(Ordering::Relaxed) == n_ended {
            return true;
        }
        let is_open = !self.session.has_ended();
        if is_open {
            self.seen_at.store(n_ended, Ordering::Relaxed);
        }
        is_open
    }
}

impl Clone for Lasting {
    fn clone(&self) -> Self {
        self.session.watch()
    }
}

impl fmt::Debug for FarEnd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FarEnd").field("session", &self.session).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_asks_often_is_told_of_each_end_and_of_no_other() {
        let first = SessionEnd::default();
        let sessions = [first.another(), first.another(), first];
        let watched = sessions.each_ref().map(SessionEnd::watch);
        let open = || watched.each_ref().map(Lasting::is_open);
        assert_eq!((open(), open()), ([true; 3], [true; 3]));
        assert!(sessions[1].end() && !sessions[1].end(), "it ends once");
        assert_eq!((open(), open()), ([true, false, true], [true, false, true]));
        assert!(sessions[0].end());
        let clones = watched.each_ref().map(Clone::clone);
        assert_eq!(open(), [false, false, true]);
        assert_eq!(clones.each_ref().map(Lasting::is_open), [false, false, true]);
    }

    /// R1, H2: whoever is told that a session has ended finds it so, whatever ends meanwhile and whoever asks.
    #[test]
    fn nobody_who_was_told_of_an_end_finds_the_session_open() {
        for _ in 0..200 {
            let (one, told) = (SessionEnd::default(), AtomicBool::new(false));
            let (another, watched) = (one.another(), one.watch());
            thread::scope(|scope| {
                scope.spawn(|| {
                    one.end();
                    told.store(true, Ordering::SeqCst);
                });
                scope.spawn(|| another.end());
                for _ in 0..2 {
                    scope.spawn(|| {
                        let mut is_told = false;
                        while !is_told {
                            // Asked once more after that.
                            is_told = told.load(Ordering::SeqCst);
                            assert!(!(watched.is_open() && is_told));
                        }
                    });
                }
            });
        }
    }
}
