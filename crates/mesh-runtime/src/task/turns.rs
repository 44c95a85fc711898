//! Where the functions of an actor run.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use super::{Life, Turn};
use crate::actor::Actor;

/// One function runs at a time. Those that handle messages run in memory that is used again, a piece for each of the
/// kinds that ran last: so most messages take none, and their futures are moved once.
pub(crate) struct Turns<A: Actor> {
    /// The one that runs is `current`, if none runs once. The oldest first; at most [`HOMES`].
    homes: Vec<Box<dyn AnyHome<A>>>,
    current: usize,
    /// What has run stays until the next function begins: to free it at once would make each spawn slower.
    once: Option<Once<A>>,
    runs_once: bool,
}

type Once<A> = Pin<Box<dyn Future<Output = Turn<A>> + Send>>;

/// Where functions of one kind run, one after the other. What is in it has ended, or runs.
pub(crate) struct Home<F>(Pin<Box<F>>);

trait AnyHome<A: Actor>: Send {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Turn<A>>;

    /// The home, to be used again.
    fn as_any(&mut self) -> &mut dyn Any;
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
}

impl<A: Actor> Turns<A> {
    /// A function that runs now, and not again.
    pub(super) fn once(turn: impl Future<Output = Turn<A>> + Send + 'static) -> Self {
        Self { homes: Vec::new(), current: 0, once: Some(Box::pin(turn)), runs_once: true }
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
        if let Some(home) = self.home::<F>(self.current) {
            return home.0.as_mut().set(turn);
        }
        for place in 0..self.homes.len() {
            if let Some(home) = self.home::<F>(place) {
                home.0.as_mut().set(turn);
                self.current = place;
                return;
            }
        }
        if self.homes.len() >= HOMES {
            self.homes.remove(0);
        }
        self.homes.reserve_exact(1);
        self.current = self.homes.len();
        self.homes.push(Box::new(Home(Box::pin(turn))));
    }

    /// Where the last function has run, if it was one of those that `make` makes.
    pub(crate) fn home_of<M, F: Future<Output = Turn<A>> + Send + 'static>(
        &mut self,
        _: impl FnOnce(Box<Life<A>>, M) -> F,
    ) -> Option<&mut Home<F>> {
        if self.runs_once { None } else { self.home(self.current) }
    }

    fn home<F: Future<Output = Turn<A>> + Send + 'static>(
        &mut self,
        place: usize,
    ) -> Option<&mut Home<F>> {
        self.homes.get_mut(place)?.as_any().downcast_mut()
    }

    /// Goes on with the function that runs.
    pub(super) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Turn<A>> {
        if let Some(once) = self.once.as_mut().filter(|_| self.runs_once) {
            return once.as_mut().poll(cx);
        }
        match self.homes.get_mut(self.current) {
            Some(home) => home.poll(cx),
            // Not reached: it is asked about what runs.
            None => Poll::Pending,
        }
    }

    /// Cuts off the function that runs.
    pub(super) fn cut_off(&mut self) {
        if std::mem::take(&mut self.runs_once) {
            self.once = None;
        } else if self.current < self.homes.len() {
            drop(self.homes.swap_remove(self.current));
        }
    }
}

/// How many kinds of functions have memory at a time.
const HOMES: usize = 4;
