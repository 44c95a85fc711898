//! Backtraces of actors that panic, logged where that holds up nobody who is to be told.
//!
//! To capture one takes microseconds, to look up its names hundreds of milliseconds the first time in a process: so
//! that is done on a thread of its own, a moment later, when whoever is told of the panic has been told.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Level;

/// How many backtraces may wait to be logged; those of further panics are left out.
const WRITING_MAX: usize = 16;

/// When names begin to be looked up: nothing in the process can be captured meanwhile, and many actors may panic at
/// once.
const AFTER: Duration = Duration::from_millis(100);

/// How many threads are at it. It belongs to the panic hook, which there is one of in a process.
static WRITING: Writing =
    Writing { n: Mutex::new(0), is_less: Condvar::new(), is_looking_up: AtomicBool::new(false) };

struct Writing {
    n: Mutex<usize>,
    is_less: Condvar,
    /// Names are being looked up. Whoever captures meanwhile waits until they are.
    is_looking_up: AtomicBool,
}

/// A place among those that are being logged.
struct Slot;

impl Writing {
    fn n(&self) -> MutexGuard<'_, usize> {
        self.n.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more place, if there is room.
    fn begin(&self) -> Option<Slot> {
        let mut n = self.n();
        let has_room = *n < WRITING_MAX;
        *n += usize::from(has_room);
        has_room.then_some(Slot)
    }

    /// The text of a backtrace.
    fn look_up(&self, backtrace: &Backtrace) -> String {
        self.is_looking_up.store(true, Ordering::Relaxed);
        let text = backtrace.to_string();
        self.is_looking_up.store(false, Ordering::Relaxed);
        text
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *WRITING.n() -= 1;
        WRITING.is_less.notify_all();
    }
}

/// The backtrace of the caller, if one is asked for (`RUST_BACKTRACE`) and somebody reads the log; and unless names are
/// being looked up: whoever panics meanwhile would be told of only when they are.
pub(crate) fn captured() -> Option<Backtrace> {
    if !tracing::enabled!(Level::ERROR) || WRITING.is_looking_up.load(Ordering::Relaxed) {
        return None;
    }
    let backtrace = Backtrace::capture();
    (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace)
}

/// Logs the panic of an actor with its backtrace, as who calls would.
pub(crate) fn log(message: String, backtrace: Backtrace) {
    let Some(slot) = WRITING.begin() else {
        tracing::error!(message, "panic of an actor; its backtrace is one too many and left out");
        return;
    };
    let (subscriber, span) =
        (tracing::dispatcher::get_default(Clone::clone), tracing::Span::current());
    let copy = message.clone();
    let write = move || {
        thread::sleep(AFTER);
        // Not within the subscriber, which may hold up others who log.
        let backtrace = WRITING.look_up(&backtrace);
        tracing::dispatcher::with_default(&subscriber, || {
            span.in_scope(|| tracing::error!(message, "panic of an actor\n{backtrace}"));
        });
        drop(slot);
    };
    let thread = thread::Builder::new().name("meshwarden-backtrace".to_owned()).spawn(write);
    if let Err(error) = thread {
        tracing::error!(message = copy, %error, "panic of an actor; its backtrace cannot be logged");
    }
}

/// Waits until the backtraces of actors that have panicked are logged, for as long as `within`: for a program that is
/// about to end because of one.
pub fn backtraces_logged(within: Duration) {
    let writing = WRITING.n();
    // If they are not, they are lost with the program.
    _ = WRITING.is_less.wait_timeout_while(writing, within, |n| *n > 0).is_ok();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Counts what is logged.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicUsize>);

    impl Subscriber for Lines {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// D1: whoever panics is told of before anybody looks up where, and the log has it all the same.
    #[test]
    fn a_backtrace_is_logged_by_somebody_else() {
        let lines = Lines::default();
        tracing::subscriber::with_default(lines.clone(), || {
            log("oh".to_owned(), Backtrace::force_capture());
        });
        let at_once = lines.0.load(Ordering::Relaxed);
        backtraces_logged(Duration::from_secs(30));
        assert_eq!((at_once, lines.0.load(Ordering::Relaxed)), (0, 1));
    }
}
