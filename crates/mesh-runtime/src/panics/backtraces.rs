//! Backtraces of actors that panic, logged where that holds up nobody who is to be told.
//!
//! To capture one takes microseconds, to look up its names hundreds of milliseconds the first time in a process: so
//! that is done on a thread of its own, a moment later, when whoever is told of the panic has been told.

use std::backtrace::{Backtrace, BacktraceStatus};
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
static WRITING: Writing = Writing { n: Mutex::new(0), is_less: Condvar::new() };

struct Writing {
    n: Mutex<usize>,
    is_less: Condvar,
}

impl Writing {
    fn n(&self) -> MutexGuard<'_, usize> {
        self.n.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room for one more.
    fn begin(&self) -> bool {
        let mut n = self.n();
        let has_room = *n < WRITING_MAX;
        *n += usize::from(has_room);
        has_room
    }

    fn end(&self) {
        *self.n() -= 1;
        self.is_less.notify_all();
    }
}

/// The backtrace of the caller, if one is asked for (`RUST_BACKTRACE`) and somebody reads the log.
pub(crate) fn captured() -> Option<Backtrace> {
    if !tracing::enabled!(Level::ERROR) {
        return None;
    }
    let backtrace = Backtrace::capture();
    (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace)
}

/// Logs the panic of an actor with its backtrace, as who calls would.
pub(crate) fn log(message: String, backtrace: Backtrace) {
    let (subscriber, span) =
        (tracing::dispatcher::get_default(Clone::clone), tracing::Span::current());
    let write = move || {
        thread::sleep(AFTER);
        tracing::dispatcher::with_default(&subscriber, || {
            span.in_scope(|| tracing::error!(message, "panic of an actor\n{backtrace}"));
        });
        WRITING.end();
    };
    if !WRITING.begin() {
        tracing::error!(
            "panic of an actor; its backtrace is left out, since too many are being looked up"
        );
        return;
    }
    let thread = thread::Builder::new().name("meshwarden-backtrace".to_owned()).spawn(write);
    if thread.is_err() {
        WRITING.end();
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
