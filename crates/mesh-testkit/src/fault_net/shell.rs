//! The loop around the network: it owns the clock, and performs what the network decides.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use mesh_core::{Credit, DialError, Head, Inbound, PeerId};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use super::end::EndId;
use super::event::Event;
use super::net::{Effect, Net};
use super::transport::FaultOutbound;

/// Who receives at an end.
pub(crate) type Receiver = Arc<dyn Inbound>;

/// A network with its clock and those who wait for it.
pub(crate) struct Shell {
    state: Mutex<State>,
    /// When the network began.
    origin: OnceLock<Instant>,
    /// Something is to be performed, or another deadline is the next.
    changed: Notify,
}

struct State {
    net: Net<Receiver>,
    /// Senders that wait for room, or for an acknowledgement.
    waiting: BTreeMap<EndId, Vec<Waker>>,
    /// Who waits for what becomes of a dial.
    dials: BTreeMap<EndId, oneshot::Sender<Result<PeerId, DialError>>>,
    /// Whether the loop runs.
    is_driven: bool,
    /// Whether the loop does what has become due; the network's time is behind the clock's then.
    is_catching_up: bool,
}

/// Tells what has become of a dial.
pub(crate) type Dialled = oneshot::Receiver<Result<PeerId, DialError>>;

impl State {
    /// Everything that was due before now comes before what is done now; but what is done by somebody who
    /// is just told of the past is done in the past.
    fn go_on_to(&mut self, now: Duration) {
        if !self.is_catching_up {
            while self.net.next_deadline().is_some_and(|deadline| deadline <= now) {
                self.net.step();
            }
            self.net.set_now(now);
        }
    }

    fn wait(&mut self, cx: &Context<'_>, end: EndId) {
        let waiting = self.waiting.entry(end).or_default();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }
}

impl Shell {
    pub(crate) fn new(net: Net<Receiver>) -> Self {
        let (waiting, dials) = (BTreeMap::new(), BTreeMap::new());
        let state = State { net, waiting, dials, is_driven: false, is_catching_up: false };
        Self { state: Mutex::new(state), origin: OnceLock::new(), changed: Notify::new() }
    }

    /// Asks the network something.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Net<Receiver>) -> T) -> T {
        question(&self.lock().net)
    }

    /// Does something to the network, now.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Net<Receiver>) -> T) -> T {
        let now = self.now();
        let mut state = self.lock();
        state.go_on_to(now);
        let answer = change(&mut state.net);
        drop(state);
        self.changed.notify_one();
        answer
    }

    /// Dials. What becomes of it is told by the receiver.
    pub(crate) fn dial<E>(
        &self,
        dial: impl FnOnce(&mut Net<Receiver>) -> Result<EndId, E>,
    ) -> Result<(EndId, Dialled), E> {
        let now = self.now();
        let (tell, told) = oneshot::channel();
        let mut state = self.lock();
        state.go_on_to(now);
        let end = dial(&mut state.net)?;
        state.dials.insert(end, tell);
        drop(state);
        self.changed.notify_one();
        Ok((end, told))
    }

    /// Whoever has dialled has gone.
    pub(crate) fn abandon(&self, end: EndId) {
        self.change(|net| net.abandon(end));
        drop(self.lock().dials.remove(&end));
    }

    /// Runs the loop on the runtime that is entered here, unless it runs already.
    pub(crate) fn drive(self: &Arc<Self>) {
        let was_driven = std::mem::replace(&mut self.lock().is_driven, true);
        if !was_driven {
            drop(tokio::spawn(run(Driver { shell: Arc::clone(self), is_over: false })));
        }
    }

    /// Whether an envelope is to wait; its sender is woken when there may be room. What has ended makes
    /// nobody wait.
    pub(crate) fn is_to_wait(&self, cx: &Context<'_>, end: EndId, head: &Head) -> bool {
        let mut state = self.lock();
        if head.is_answer() || state.net.has_room(end) || !state.net.is_open(end) {
            return false;
        }
        state.wait(cx, end);
        true
    }

    /// Whether so many envelopes were acknowledged, or the session has ended; if not, the task is woken then.
    pub(crate) fn is_acknowledged(&self, cx: &Context<'_>, end: EndId, n_taken: u64) -> bool {
        let mut state = self.lock();
        let is_so = state.net.is_acknowledged(end, n_taken);
        if !is_so {
            state.wait(cx, end);
        }
        is_so
    }

    pub(crate) fn history(&self) -> Vec<Event> {
        self.lock().net.history()
    }

    /// Does all that has become due, each at its own time, and performs what comes of it. Returns when
    /// there is more to do, and whether there will ever be.
    fn catch_up(self: &Arc<Self>) -> (Option<Instant>, bool) {
        let now = self.now();
        loop {
            let mut state = self.lock();
            if let Some(effect) = state.net.next_effect() {
                drop(state);
                self.perform(effect);
                continue;
            }
            let deadline = state.net.next_deadline();
            state.is_catching_up = deadline.is_some_and(|deadline| deadline <= now);
            if !state.is_catching_up {
                let is_in_use = state.net.is_in_use();
                state.is_driven = is_in_use;
                return (deadline.map(|at| self.origin() + at), is_in_use);
            }
            state.net.step();
        }
    }

    /// Without the lock: whoever is told may send at once.
    fn perform(self: &Arc<Self>, effect: Effect<Receiver>) {
        match effect {
            Effect::Joined { into, end, peer, lane } => {
                into.joined(lane, Arc::new(FaultOutbound::new(Arc::clone(self), end, peer)));
            }
            Effect::Dialled { end, outcome } => {
                let dial = self.lock().dials.remove(&end);
                // Whoever has dialled may have gone meanwhile, and has said so.
                _ = dial.map(|dial| dial.send(outcome)).is_some();
            }
            Effect::Deliver { into, end, from, envelope } => {
                let credit = self.credit(end, &envelope.head);
                into.deliver(from, envelope, credit);
            }
            Effect::Room(end) => self.wake(end),
            Effect::Lost { into, end, peer, lane, why, back } => {
                self.wake(end);
                into.lost(peer, lane, why, back);
            }
        }
    }

    fn wake(&self, end: EndId) {
        let waiting = self.lock().waiting.remove(&end).unwrap_or_default();
        waiting.into_iter().for_each(Waker::wake);
    }

    fn credit(self: &Arc<Self>, end: EndId, head: &Head) -> Credit {
        if head.is_answer() {
            return Credit::NONE;
        }
        let shell = Arc::downgrade(self);
        Credit::new(move || {
            if let Some(shell) = shell.upgrade() {
                shell.change(|net| net.release(end));
            }
        })
    }

    fn origin(&self) -> Instant {
        *self.origin.get_or_init(Instant::now)
    }

    fn now(&self) -> Duration {
        let origin = self.origin();
        Instant::now().saturating_duration_since(origin)
    }

    /// A lock that is poisoned is as good as any: nothing that can panic runs under it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who runs the loop. If its runtime ends, another may.
struct Driver {
    shell: Arc<Shell>,
    /// Whether it has ended as it should; then another may run already.
    is_over: bool,
}

impl Drop for Driver {
    fn drop(&mut self) {
        if !self.is_over {
            let mut state = self.shell.lock();
            (state.is_driven, state.is_catching_up) = (false, false);
        }
    }
}

async fn run(mut driver: Driver) {
    loop {
        let (deadline, is_in_use) = driver.shell.catch_up();
        if !is_in_use {
            driver.is_over = true;
            return;
        }
        let changed = driver.shell.changed.notified();
        match deadline {
            Some(deadline) => _ = timeout_at(deadline, changed).await.is_ok(),
            None => changed.await,
        }
    }
}
