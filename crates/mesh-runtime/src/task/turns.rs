//! Where the functions of an actor run.

use std::any::Any;
use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use super::{Life, Turn};
use crate::actor::Actor;

/// One function runs at a time. Those that handle messages run in memory that is used again, by one actor after the
/// other on each thread: so most messages take none, and the memory is in the caches of its processor.
// In this order: what messages do not touch is last.
#[repr(C)]
pub(crate) struct Turns<A: Actor> {
    /// Where the last message was handled, or is, if no function runs once. None is kept by an actor that rests.
    home: Option<Box<dyn AnyHome<A>>>,
    runs_once: bool,
    /// What has run stays until the next function begins: to free it at once would make each spawn slower.
    once: Option<Once<A>>,
}

type Once<A> = Pin<Box<dyn Future<Output = Turn<A>> + Send>>;

/// Where functions of one kind run, one after the other. What is in it has ended, or runs.
pub(crate) struct Home<F>(Pin<Box<F>>);

trait AnyHome<A: Actor>: Send {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Turn<A>>;

    /// The home, to be used again.
    fn as_any(&mut self) -> &mut dyn Any;

    /// It is to be used by others.
    fn spare(self: Box<Self>);
}

impl<F: Future> Home<F> {
    /// Begins a function. Inlined, so that its future is made where it runs.
    #[inline]
    pub(crate) fn run(&mut self, turn: F, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        self.0.as_mut().set(turn);
        self.0.as_mut().poll(cx)
    }
}

impl<A: Actor, F: Future<Output = Turn<A>> + Send + 'static> AnyHome<A> for Home<F> {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Turn<A>> {
        self.0.as_mut().poll(cx)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn spare(self: Box<Self>) {
        if size_of::<F>() <= spare::BYTES {
            spare::put(self);
        }
    }
}

impl<A: Actor> Turns<A> {
    /// A function that runs now, and not again.
    pub(super) fn once(turn: impl Future<Output = Turn<A>> + Send + 'static) -> Self {
        Self { home: None, once: Some(Box::pin(turn)), runs_once: true }
    }

    /// The next function, which runs once.
    pub(super) fn set_once(&mut self, turn: impl Future<Output = Turn<A>> + Send + 'static) {
        self.once = Some(Box::pin(turn));
        self.runs_once = true;
    }

    /// The next function, one of many of its kind.
    pub(crate) fn set<F: Future<Output = Turn<A>> + Send + 'static>(&mut self, turn: F) {
        if std::mem::take(&mut self.runs_once) {
            self.once = None;
        }
        // Most follow their like.
        if let Some(home) = self.home::<F>() {
            return home.0.as_mut().set(turn);
        }
        self.rest();
        self.home = Some(match spare::take::<Home<F>>() {
            Some(mut home) => {
                home.0.as_mut().set(turn);
                home
            }
            None => Box::new(Home(Box::pin(turn))),
        });
    }

    /// Where the last function has run, if it was one of those that `make` makes.
    pub(crate) fn home_of<M, F: Future<Output = Turn<A>> + Send + 'static>(
        &mut self,
        _: impl FnOnce(Box<Life<A>>, M) -> F,
    ) -> Option<&mut Home<F>> {
        if self.runs_once { None } else { self.home() }
    }

    fn home<F: Future<Output = Turn<A>> + Send + 'static>(&mut self) -> Option<&mut Home<F>> {
        self.home.as_mut()?.as_any().downcast_mut()
    }

    /// Goes on with the function that runs.
    pub(super) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Turn<A>> {
        if let Some(once) = self.once.as_mut().filter(|_| self.runs_once) {
            return once.as_mut().poll(cx);
        }
        match &mut self.home {
            Some(home) => home.poll(cx),
            // Not reached: it is asked about what runs.
            None => Poll::Pending,
        }
    }

    /// None of its functions runs: others may use the memory.
    pub(super) fn rest(&mut self) {
        if let Some(home) = self.home.take() {
            home.spare();
        }
    }

    /// Cuts off the function that runs.
    pub(super) fn cut_off(&mut self) {
        if std::mem::take(&mut self.runs_once) {
            self.once = None;
        } else {
            self.home = None;
        }
    }
}

/// Homes in which nothing runs, for whichever actor of this thread needs one next.
mod spare {
    use super::{Any, RefCell};

    thread_local! {
        /// That which was used last is the last. At most [`MOST`].
        static SPARE: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
    }

    /// How many are kept by each thread, of all kinds of functions.
    pub(super) const MOST: usize = 16;

    /// How many of one kind: while all of them run, others have homes of their own.
    pub(super) const ALIKE: usize = 4;

    /// How large one is at most that is kept.
    pub(super) const BYTES: usize = 4096;

    pub(super) fn take<H: 'static>() -> Option<Box<H>> {
        let take = |spare: &RefCell<Vec<Box<dyn Any>>>| {
            let mut spare = spare.borrow_mut();
            let at = spare.iter().rposition(|home| home.is::<H>())?;
            spare.remove(at).downcast().ok()
        };
        // A thread that ends has none.
        SPARE.try_with(take).ok().flatten()
    }

    pub(super) fn put<H: 'static>(home: Box<H>) {
        let put = |spare: &RefCell<Vec<Box<dyn Any>>>| {
            let mut spare = spare.borrow_mut();
            let is_alike = |home: &&Box<dyn Any>| home.is::<H>();
            if spare.len() >= ALIKE && spare.iter().filter(is_alike).count() >= ALIKE {
                return Some(home as Box<dyn Any>);
            }
            let oldest = (spare.len() >= MOST).then(|| spare.remove(0));
            spare.push(home);
            oldest
        };
        // What is not kept is dropped when nobody looks at those that are.
        drop(SPARE.try_with(put));
    }

    #[cfg(test)]
    pub(super) fn n() -> usize {
        SPARE.with_borrow(Vec::len)
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use tokio::sync::oneshot;

    use super::*;
    use crate::context::Context;
    use crate::failure::Failure;

    struct Nobody;

    impl Actor for Nobody {
        const NAME: &'static str = "nobody";
        type Params = ();

        async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
            Ok(Self)
        }
    }

    fn turns() -> Turns<Nobody> {
        Turns::once(async { Turn { life: None, outcome: Ok(None) } })
    }

    /// A function that ends when it is told to.
    async fn wait(until: oneshot::Receiver<()>) -> Turn<Nobody> {
        _ = until.await;
        Turn { life: None, outcome: Ok(None) }
    }

    /// Where the function runs.
    fn place(turns: &mut Turns<Nobody>) -> *const () {
        let home = turns.home.as_mut().map(|home| ptr::from_mut(home.as_any()).cast_const().cast());
        home.unwrap_or(ptr::null())
    }

    fn poll(turns: &mut Turns<Nobody>) -> Poll<Turn<Nobody>> {
        turns.poll(&mut TaskContext::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn who_rests_leaves_its_memory_to_others_and_who_awaits_does_not() {
        let (mut one, mut other, mut third) = (turns(), turns(), turns());
        let (tell_one, told) = oneshot::channel();
        one.set(wait(told));
        let first = place(&mut one);
        assert!(poll(&mut one).is_pending());
        let (tell_other, told) = oneshot::channel();
        other.set(wait(told));
        assert_ne!(place(&mut other), first, "it is in use");
        tell_one.send(()).unwrap();
        assert!(poll(&mut one).is_ready());
        one.rest();
        assert!(place(&mut one).is_null());
        third.set(wait(oneshot::channel().1));
        assert_eq!(place(&mut third), first);
        assert!(poll(&mut third).is_ready() && poll(&mut other).is_pending());
        tell_other.send(()).unwrap();
        assert!(poll(&mut other).is_ready(), "its own function, and nobody else's");
    }

    #[test]
    fn what_is_cut_off_is_gone_with_its_memory() {
        let mut one = turns();
        let (tell, told) = oneshot::channel();
        one.set(wait(told));
        assert!(poll(&mut one).is_pending());
        one.cut_off();
        assert!(tell.is_closed());
        one.rest();
        assert_eq!(spare::n(), 0);
        assert!(poll(&mut one).is_pending());
    }

    #[test]
    fn a_thread_keeps_memory_for_a_few() {
        let mut many: Vec<_> = (0..100).map(|_| turns()).collect();
        for turns in &mut many {
            turns.set(wait(oneshot::channel().1));
            assert!(poll(turns).is_ready());
        }
        many.iter_mut().for_each(Turns::rest);
        assert_eq!(spare::n(), spare::ALIKE);
    }
}
