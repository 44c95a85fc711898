//! `Lines`: casts that cannot be sent at once stand in line, so that nothing of the same sender gets past them (R2).

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use mesh_core::ActorId;
use tokio::time::{Instant, Sleep, sleep_until};

/// What waits in this process on its way to the ranks of a mesh: for room, for a session, or for word of where they are.
/// Most often nothing.
#[derive(Debug, Default)]
pub(crate) struct Lines(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Each has casts.
    lines: BTreeMap<Pair, Line>,
}

/// Who sends, an actor or a program, and to whom; `None` if that is not known yet.
pub(crate) type Pair = (Option<ActorId>, Option<ActorId>);

/// Bound: each cast has a deadline, and each call. That of a cast holds also where nobody polls it any more.
#[derive(Debug, Default)]
struct Line {
    /// By their numbers.
    casts: BTreeMap<u64, Standing>,
    /// Of calls that wait for some of the casts, and that nobody waits for; by their numbers.
    calls: BTreeMap<u64, Waker>,
}

/// A cast in a line.
#[derive(Debug)]
struct Standing {
    until: Instant,
    /// Once it was looked whether it is the first.
    waker: Option<Waker>,
}

/// A cast that waits for its turn, or has begun and could not be done at once.
pub(crate) struct InLine<F> {
    place: Place,
    work: Pin<Box<F>>,
}

/// Waits until the casts have been sent that stand in line now.
#[derive(Debug)]
pub(crate) struct Turn {
    lines: Arc<Lines>,
    pair: Pair,
    /// Theirs are less.
    number: u64,
    alarm: Alarm,
}

/// Wakes whoever waits when the first of a line is given up: nobody may poll that any more.
#[derive(Debug)]
struct Alarm(Option<Pin<Box<Sleep>>>);

/// The place of a cast. The next has its turn when this is dropped.
pub(crate) struct Place(Turn);

impl Lines {
    /// Those whom something of a sender waits for, in order.
    pub(crate) fn to(&self, from: Option<ActorId>) -> Vec<ActorId> {
        let state = self.lock();
        let of_sender = state.lines.range((from, None)..).take_while(|((of, _), _)| *of == from);
        let now = Instant::now();
        let live = of_sender.filter(|(_, line)| line.is_live(now));
        live.filter_map(|((_, to), _)| *to).collect()
    }

    /// Casts, if nothing of the pair waits, and this need not either.
    ///
    /// # Errors
    ///
    /// It stands in line, and is to be awaited until then.
    pub(crate) async fn cast<F: Future>(
        self: &Arc<Self>,
        (pair, until): (Pair, Instant),
        work: F,
    ) -> Result<F::Output, InLine<F>> {
        let mut work = Box::pin(work);
        if !self.has(pair) {
            let polled = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            if let Poll::Ready(output) = polled {
                return Ok(output);
            }
        }
        Err(InLine { place: self.stand(pair, until), work })
    }

    /// The turn of a call, if casts of the pair wait.
    pub(crate) fn turn(self: &Arc<Self>, pair: Pair) -> Option<Turn> {
        let mut state = self.lock();
        state.has(&pair).then(|| state.number(Arc::clone(self), pair))
    }

    /// Whether a cast of the pair waits.
    pub(crate) fn has(&self, pair: Pair) -> bool {
        self.lock().has(&pair)
    }

    /// The last place in a line. It is given up then, whatever becomes of it.
    pub(crate) fn stand(self: &Arc<Self>, pair: Pair, until: Instant) -> Place {
        let mut state = self.lock();
        let turn = state.number(Arc::clone(self), pair);
        let standing = Standing { until, waker: None };
        state.lines.entry(pair).or_default().casts.insert(turn.number, standing);
        Place(turn)
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has(&self, pair: &Pair) -> bool {
        self.lines.get(pair).is_some_and(|line| line.is_live(Instant::now()))
    }

    /// The turn after all that were given so far.
    const fn number(&mut self, lines: Arc<Lines>, pair: Pair) -> Turn {
        let number = self.next;
        self.next += 1;
        Turn { lines, pair, number, alarm: Alarm(None) }
    }
}

impl Line {
    /// Whether anything waits in it.
    fn is_live(&self, now: Instant) -> bool {
        self.casts.values().any(|it| it.until > now)
    }

    /// When the first of those is given up that this number waits for; `None` if it has its turn. If not, `waker` is woken
    /// when it may have; with the one that was to be woken before.
    fn waits_until(&mut self, number: u64, waker: &Waker) -> Option<(Instant, Option<Waker>)> {
        let now = Instant::now();
        // Whichever of them: when the others have gone it may be the only one, and nobody polls it.
        let before = self.casts.range(..number).map(|(_, it)| it.until);
        let until = before.filter(|until| *until > now).min()?;
        let before = match self.casts.get_mut(&number) {
            Some(own) => own.waker.replace(waker.clone()),
            None => self.calls.insert(number, waker.clone()),
        };
        Some((until, before))
    }

    /// Who has its turn next.
    fn take_next(&mut self) -> Option<Waker> {
        let now = Instant::now();
        self.casts.values_mut().find(|it| it.until > now)?.waker.take()
    }
}

impl Turn {
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // What a waker holds may end with it, and be such a turn: not under the lock.
            let waits = {
                let mut state = self.lines.lock();
                let line = state.lines.get_mut(&self.pair);
                line.and_then(|line| line.waits_until(self.number, cx.waker()))
            };
            let Some((until, _)) = waits else { return Poll::Ready(()) };
            // Then there is another first, or none.
            ready!(self.alarm.poll(until, cx));
        }
    }
}

impl Drop for Turn {
    /// Nobody waits for it any more.
    fn drop(&mut self) {
        // What has looked at no line has no alarm, and is in none.
        if self.alarm.0.is_some() {
            let mut state = self.lines.lock();
            let waker =
                state.lines.get_mut(&self.pair).and_then(|it| it.calls.remove(&self.number));
            drop(state);
            // Outside of the lock: what a waker holds may end with it.
            drop(waker);
        }
    }
}

impl Alarm {
    fn poll(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(cx)
    }
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_turn(cx)
    }
}

impl Place {
    /// Waits until it is the first.
    pub(crate) async fn first(&mut self) {
        poll_fn(|cx| self.poll_first(cx)).await;
    }

    /// One that has stood for too long has no turn any more: whoever polls it gives it up.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self(turn) = self;
        let stands = {
            let state = turn.lines.lock();
            let own = state.lines.get(&turn.pair).and_then(|line| line.casts.get(&turn.number));
            own.is_some_and(|own| own.until > Instant::now())
        };
        if stands { turn.poll_turn(cx) } else { Poll::Pending }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(Turn { lines, pair, number, .. }) = self;
        let mut state = lines.lock();
        let Some(line) = state.lines.get_mut(pair) else { return };
        let own = line.casts.remove(number);
        let next = line.take_next();
        let calls = std::mem::take(&mut line.calls);
        if line.casts.is_empty() {
            state.lines.remove(pair);
        }
        drop(state);
        // Outside of the lock: what a waker holds may end with it, and whoever is woken may run at once.
        drop(own);
        next.into_iter().chain(calls.into_values()).for_each(Waker::wake);
    }
}

impl<F: Future> Future for InLine<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(self.place.poll_first(cx));
        self.work.as_mut().poll(cx)
    }
}

impl<F> fmt::Debug for InLine<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InLine").field("turn", &self.place.0).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
