//! Panics of actors: caught, with message, place and, if asked for, backtrace.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use crate::failure::Failure;

mod backtraces;

pub use backtraces::backtraces_logged;

thread_local! {
    /// Whether the code that runs on this thread is an actor's, so that a panic is told by its failure
    /// and not by the hook that was there before.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// What the hook saw of the panic that unwinds.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// What the hook sees of a panic. The place and the backtrace only it can see.
struct Seen {
    message: String,
    location: Option<String>,
    /// Its names are not looked up yet: that takes longer than all else, and is done when the panic was told.
    backtrace: Option<Backtrace>,
}

/// Installs the hook, once for the whole process. It passes on every panic that is not an actor's.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(
            move |info| {
                if IS_CAUGHT.get() { see(info) } else { before(info) }
            },
        ));
    });
}

/// Runs code of a user; a panic becomes a failure, with message and place, and is not told by the panic hook.
///
/// What an actor does is caught already. This is for what runs elsewhere; the place is known where there is a
/// [`Proc`](crate::Proc).
///
/// # Errors
///
/// The failure.
pub fn caught<T>(piece: impl FnOnce() -> T) -> Result<T, Failure> {
    let was_caught = IS_CAUGHT.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(piece));
    IS_CAUGHT.set(was_caught);
    outcome.map_err(|payload| failure(&*payload))
}

/// Runs a function of an actor to its end; a panic becomes its failure. It is pinned by whoever has it, since what a
/// function is given would stand in its future twice.
pub(crate) fn caught_async<T, F: Future<Output = Result<T, Failure>>>(
    mut work: Pin<&mut F>,
) -> impl Future<Output = Result<T, Failure>> {
    std::future::poll_fn(move |cx| poll_caught(work.as_mut(), cx))
}

fn poll_caught<T>(
    work: Pin<&mut impl Future<Output = Result<T, Failure>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, Failure>> {
    caught(|| work.poll(cx)).unwrap_or_else(|failure| Poll::Ready(Err(failure)))
}

/// The failure that the panic which unwinds here will be, if it is an actor's.
pub(crate) fn unwinding() -> Option<Failure> {
    if !std::thread::panicking() {
        return None;
    }
    SEEN.with_borrow(|seen| {
        let Seen { message, location, .. } = seen.as_ref()?;
        Some(Failure::panicked(message.clone(), location.clone()))
    })
}

fn see(info: &PanicHookInfo<'_>) {
    let message = message(info.payload());
    let location = info.location().map(ToString::to_string);
    let backtrace = backtraces::captured();
    SEEN.set(Some(Seen { message, location, backtrace }));
}

fn failure(payload: &(dyn Any + Send)) -> Failure {
    let message = message(payload);
    let Some(Seen { location, backtrace, .. }) = SEEN.take() else {
        return Failure::panicked(message, None);
    };
    if let Some(backtrace) = backtrace {
        backtraces::log(message.clone(), backtrace);
    }
    Failure::panicked(message, location)
}

fn message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned())
}

/// Drops what belongs to somebody else. What that panics with is logged: it is no failure of whoever lets go of
/// it, and two such values in one list would end the whole program.
pub(crate) fn discard<T>(value: T) {
    if let Err(failure) = caught(|| drop(value)) {
        tracing::error!(%failure, "a message panicked when it was dropped");
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::Reason;

    use super::*;

    /// E1
    #[test]
    fn a_panic_is_told_with_its_message_and_its_place() {
        install_hook();
        let line = line!() + 1;
        let failure = caught(|| -> () { panic!("no {}", "luck") }).unwrap_err();
        let Reason::Panic { message, location: Some(place) } = &failure.cause().reason else {
            panic!("{failure}")
        };
        assert_eq!(message, "no luck");
        assert!(place.starts_with(&format!("{}:{line}:", file!())), "{place}");
    }

    #[test]
    fn a_panic_with_a_value_is_told_too() {
        install_hook();
        let failure = caught(|| panic::panic_any(7)).unwrap_err();
        let Reason::Panic { message, .. } = &failure.cause().reason else { panic!("{failure}") };
        assert_eq!(message, "a value that is no text");
    }

    #[test]
    fn a_panic_within_what_was_caught_does_not_hide_the_next() {
        install_hook();
        let inner = caught(|| caught(|| panic!("inner")).is_err()).unwrap();
        let outer = caught(|| -> () { panic!("outer") }).unwrap_err();
        assert!(inner && outer.to_string().ends_with("outer"), "{outer}");
    }
}
