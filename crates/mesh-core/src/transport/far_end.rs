//! `FarEnd`: the other end of a session within one program, and whether that session lasts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

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
/// Sessions that are made from one another share a count of those that have: so whoever asks of very many before each
/// message ([`Lasting`]) looks at one place in memory, and not at one for each.
#[derive(Clone, Debug, Default)]
pub struct SessionEnd {
    /// [`OPEN`], [`ENDING`] or [`ENDED`].
    state: Arc<AtomicU8>,
    n_ended: Arc<AtomicU64>,
}

/// A session within one program, for somebody who asks again and again whether it lasts.
#[derive(Debug)]
pub struct Lasting {
    session: SessionEnd,
    /// How many had ended when this one was seen to last; [`NEVER`] before that.
    seen_at: AtomicU64,
}

const OPEN: u8 = 0;
/// It is not open for whoever looks at it; others have not been told to look.
const ENDING: u8 = 1;
const ENDED: u8 = 2;

/// So many never end.
const NEVER: u64 = u64::MAX;

impl SessionEnd {
    /// Another session, which has not ended, and shares the count.
    #[must_use]
    pub fn another(&self) -> Self {
        Self { state: Arc::default(), n_ended: Arc::clone(&self.n_ended) }
    }

    /// The session ends: when this returns, nobody finds it open. Whether this is the first to end it, who is to tell.
    pub fn end(&self) -> bool {
        let is_first = self.state.fetch_max(ENDING, Ordering::SeqCst) == OPEN;
        // Between the two: who has seen it open looks again before anybody finds that it has ended.
        self.n_ended.fetch_add(1, Ordering::SeqCst);
        self.state.store(ENDED, Ordering::SeqCst);
        is_first
    }

    /// Whether it has ended. Then it is so for each [`Lasting`], too.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ENDED
    }

    /// For somebody who asks often.
    #[must_use]
    pub fn lasting(&self) -> Lasting {
        Lasting { session: self.clone(), seen_at: AtomicU64::new(NEVER) }
    }
}

impl Lasting {
    /// Whether the session is open, and nobody can know that it has ended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        // First: what ends after that is seen the next time.
        let n_ended = self.session.n_ended.load(Ordering::SeqCst);
        if self.seen_at.load(Ordering::Relaxed) == n_ended {
            return true;
        }
        let is_open = self.session.state.load(Ordering::SeqCst) == OPEN;
        if is_open {
            self.seen_at.store(n_ended, Ordering::Relaxed);
        }
        is_open
    }
}

impl Clone for Lasting {
    fn clone(&self) -> Self {
        let seen_at = self.seen_at.load(Ordering::Relaxed).into();
        Self { session: self.session.clone(), seen_at }
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
        let lasting = sessions.each_ref().map(SessionEnd::lasting);
        let open = || lasting.each_ref().map(Lasting::is_open);
        assert_eq!((open(), open()), ([true; 3], [true; 3]));
        assert!(sessions[1].end() && !sessions[1].end(), "it ends once");
        assert_eq!((open(), open()), ([true, false, true], [true, false, true]));
        let clones = lasting.clone();
        assert!(sessions[0].end());
        assert_eq!(open(), [false, false, true]);
        assert_eq!(clones.each_ref().map(Lasting::is_open), [false, false, true]);
    }

    /// R1, H2: whoever can know that a session has ended finds it so wherever it is asked, whatever ends meanwhile.
    #[test]
    fn nobody_who_can_know_of_an_end_finds_the_session_open() {
        for _ in 0..500 {
            let one = SessionEnd::default();
            let (another, lasting) = (one.another(), one.lasting());
            thread::scope(|scope| {
                for session in [&one, &one, &another] {
                    scope.spawn(|| {
                        session.end();
                        assert!(session.has_ended() && !session.lasting().is_open());
                    });
                }
                scope.spawn(|| {
                    let mut has_ended = false;
                    while !has_ended {
                        // Asked once more after that.
                        has_ended = one.has_ended();
                        assert!(!(lasting.is_open() && has_ended));
                    }
                });
            });
        }
    }
}
