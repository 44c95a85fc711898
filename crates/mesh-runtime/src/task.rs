//! The task of an actor: one step after the other, with the control lane looked at between any two.
//!
//! It is a future of its own and not an `async fn`, so that whatever the actor awaits, the control lane
//! is read, and a kill gets through.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use mesh_core::{Cause, End, PortId, Reason};
use tokio::time::Instant;
use tracing::Span;

use crate::actor::{Actor, Stop};
use crate::context::Context;
use crate::failure::Failure;
use crate::intensity::Window;
use crate::kind::Kind;
use crate::letter::give_back;
use crate::letter::parcels::Parcels;
use crate::mailbox::{Line, WaitFor};
use crate::metrics::{Alive, SAMPLED};
use crate::panics::{caught, caught_async};
use crate::pulse::{Slot, Watched, Word};
use crate::shared::{Control, Parent, Shared};

mod asides;
mod children;
#[cfg(all(test, target_os = "linux", target_pointer_width = "64"))]
mod footprint;
mod meshes;
mod pace;
mod patience;
mod row;
mod turns;

use asides::{ASIDES_MAX, Aside, Asides, Asked};
pub(crate) use children::Decision;
use children::{EndingChild, Round};
pub(crate) use meshes::is_mended;
use pace::Pace;
use patience::Patience;
pub(crate) use row::{Ran, Row};
pub(crate) use turns::Turns;

/// An actor and its context: what every function of it is given.
pub(crate) struct Life<A: Actor> {
    pub(crate) actor: A,
    pub(crate) cx: Context<A>,
}

/// What a function of an actor comes to.
pub(crate) struct Turn<A: Actor> {
    /// `None` if there is no actor, since it could not be created.
    pub(crate) life: Option<Box<Life<A>>>,
    pub(crate) outcome: Outcome,
}

/// Whether it can go on, and what it has decided about a child, if it was asked about one.
pub(crate) type Outcome = Result<Option<Box<Decision>>, Failure>;

/// Runs one actor from its start to its end.
// In this order: what each message touches is first, beside what tokio touches to run it, and what is seldom touched last.
#[repr(C)]
pub(crate) struct ActorTask<A: Actor> {
    shared: Arc<Shared<A>>,
    life: Option<Box<Life<A>>>,
    /// Messages that were taken from the mailbox and are not handled yet.
    batch: Parcels<A>,
    /// What is told of the function that runs in `turn`, or has, as it was told last.
    word: Word,
    /// The message that was begun last, and the place of its name.
    last: (PortId, Slot),
    /// How many messages have been begun that the mailbox has not been told of.
    n_begun: u32,
    /// How many steps it has made since others on its thread had their turn.
    n_steps: u32,
    failure: Option<Failure>,
    /// Of the message that is handled, where spans of messages are wanted.
    span: Option<Box<Span>>,
    stage: Stage,
    /// Whether a function of the actor runs in `turn`, and has its life with it.
    is_busy: bool,
    /// It awaits something, or has not been polled yet.
    is_waiting: bool,
    /// Its constructor has returned.
    is_created: bool,
    /// How it has been asked to end; the strictest counts.
    stop: Option<Stop>,
    /// How many of the next messages are not timed.
    untimed: u8,
    /// Whether it lingers before it sleeps.
    patience: Patience,
    /// When the message that is timed was begun.
    timed: Option<Instant>,
    /// After how many it is told, and others on its thread have their turn.
    pace: Pace,
    /// What all actors of its type share.
    kind: Arc<Kind<A>>,
    asides: Asides,
    turn: Turns<A>,
    parent: Arc<dyn Parent>,
    /// The restarts of its children; made for the first.
    restarts: Option<Box<Window>>,
    born: Instant,
    alive: Alive,
}

/// How far the actor is.
enum Stage {
    /// It is created, or handles messages.
    Serving,
    /// It has children started again, and handles nothing meanwhile.
    Restarting(Box<Round>),
    /// It takes no more, and its children end, the youngest first.
    EndingChildren(Option<Box<EndingChild>>),
    /// It cleans up.
    Cleaning,
    /// It has ended, and everybody has been told.
    Ended,
}

/// What to do after a step.
enum Next {
    Step,
    Sleep(WaitFor),
    End,
}

impl<A: Actor> ActorTask<A> {
    /// The task of an actor that is created from what `params` makes.
    pub(crate) fn new(
        shared: Arc<Shared<A>>,
        parent: Arc<dyn Parent>,
        params: impl FnOnce() -> Result<A::Params, Failure> + Send + 'static,
    ) -> Self {
        let mut cx = Context::new(Arc::clone(&shared));
        let alive = shared.kind.alive();
        let turn = Turns::once(async move {
            let created = caught_async(pin!(async { A::start(params()?, &mut cx).await })).await;
            match created {
                Ok(actor) => Turn { life: Some(Box::new(Life { actor, cx })), outcome: Ok(None) },
                Err(failure) => Turn { life: None, outcome: Err(failure) },
            }
        });
        Self {
            life: None,
            batch: Parcels::default(),
            word: Word::IDLE.begin(Slot::START),
            last: (PortId::named(""), Slot::OTHER),
            n_begun: 0,
            n_steps: 0,
            failure: None,
            span: None,
            stage: Stage::Serving,
            is_busy: true,
            is_waiting: true,
            is_created: false,
            stop: None,
            untimed: 0,
            patience: Patience::NEW,
            timed: None,
            pace: Pace::NEW,
            kind: Arc::clone(&shared.kind),
            asides: Asides::default(),
            turn,
            shared,
            parent,
            restarts: None,
            born: Instant::now(),
            alive,
        }
    }

    fn step(&mut self, cx: &mut TaskContext<'_>) -> Next {
        if self.is_busy {
            return self.go_on(cx);
        }
        match &mut self.stage {
            Stage::Serving => match self.serve() {
                Next::Step if self.is_busy => self.go_on(cx),
                next => next,
            },
            Stage::Restarting(_) => self.restart_children(cx),
            Stage::EndingChildren(_) => self.end_children(cx),
            Stage::Cleaning => self.end(),
            Stage::Ended => Next::End,
        }
    }

    /// Goes on with the function that runs.
    fn go_on(&mut self, cx: &mut TaskContext<'_>) -> Next {
        if std::mem::take(&mut self.is_waiting) {
            self.runs(self.word.go_on());
        }
        let polled = {
            let _within = self.span.as_ref().map(|span| span.enter());
            // The functions catch their own panics; this is for what they leave behind.
            caught(|| self.turn.poll(cx))
        };
        match polled {
            Ok(Poll::Pending) => return self.awaits(),
            Ok(Poll::Ready(turn)) => self.turn_ended(turn),
            Err(failure) => self.turn_ended(Turn { life: None, outcome: Err(failure) }),
        }
        self.go_on_in_row(cx)
    }

    /// The function that runs awaits something.
    fn awaits(&mut self) -> Next {
        self.is_waiting = true;
        self.says(self.word.wait());
        Next::Sleep(WaitFor::Control)
    }

    /// Tells whoever watches that a thread is in a function.
    fn runs(&mut self, word: Word) {
        self.word = word;
        let shared = &self.shared;
        shared.pulse.run(word, || Arc::clone(shared) as Arc<dyn Watched>);
    }

    fn says(&mut self, word: Word) {
        self.word = word;
        self.shared.pulse.set(word);
    }

    fn turn_ended(&mut self, Turn { life, outcome }: Turn<A>) {
        self.is_busy = false;
        self.life = life;
        self.span = None;
        drop(self.asides.take_asked());
        if let Some(begun) = self.timed.take() {
            self.kind.metrics().handled_in(begun.elapsed());
        }
        // The first turn is that of its constructor.
        if !self.is_created && outcome.is_ok() {
            self.is_created = true;
            self.parent.child_created();
        }
        match outcome {
            Ok(None) => (),
            Ok(Some(decision)) => self.decided(*decision),
            Err(failure) => {
                if matches!(failure.cause().reason, Reason::Panic { .. }) {
                    self.drop_life();
                }
                self.fail(failure);
            }
        }
    }

    /// The first failure is the one that counts; the log has the others.
    fn fail(&mut self, failure: Failure) {
        if self.failure.is_some() {
            tracing::error!(actor = %self.shared.name, %failure, "it had failed already");
            return;
        }
        self.failure = Some(failure);
    }

    /// Begins what comes next, or sleeps.
    fn serve(&mut self) -> Next {
        if self.failure.is_some() || self.stop >= Some(Stop::Now) {
            return self.leave();
        }
        if let Some(aside) = self.asides.pop_front() {
            self.begin_aside(aside);
            return Next::Step;
        }
        if self.batch.is_empty() && self.shared.mailbox.has_data() {
            let n = self.begun();
            self.shared.mailbox.take(&mut self.batch, n);
        }
        if let Some(label) = self.batch.label() {
            return self.begin(label);
        }
        if self.stop == Some(Stop::Drain) {
            return self.leave();
        }
        Next::Sleep(WaitFor::Anything)
    }

    /// Begins the message with this label, the next one.
    fn begin(&mut self, (port, name): (PortId, &'static str)) -> Next {
        let Some(life) = self.life.take() else {
            // Not reached: without a life there is a failure, which is looked at first.
            return self.leave();
        };
        self.n_begun += 1;
        if self.n_begun >= self.pace.told_together(A::MAILBOX) {
            let n = self.begun();
            self.shared.mailbox.release(n);
        }
        // Before: to decode it is to run code of a user.
        let slot = self.slot(port, name);
        self.runs(self.word.begin(slot));
        self.observe(name);
        self.life = self.batch.begin(life, &mut self.turn);
        self.is_busy = self.life.is_none();
        if !self.is_busy {
            (self.timed, self.span) = (None, None);
        }
        Next::Step
    }

    /// The place of the name of a message; most follow one of their kind.
    fn slot(&mut self, port: PortId, name: &'static str) -> Slot {
        if self.last.0 != port {
            self.last = (port, self.kind.names().slot(port, name));
        }
        self.last.1
    }

    /// What is asked for of one message only now and then, or not at all.
    fn observe(&mut self, message: &'static str) {
        match self.untimed.checked_sub(1) {
            Some(untimed) => self.untimed = untimed,
            None => {
                let now = Instant::now();
                self.pace.look(now, SAMPLED);
                (self.untimed, self.timed) = (SAMPLED - 1, Some(now));
            }
        }
        if tracing::enabled!(tracing::Level::TRACE) {
            let actor = &*self.shared.name;
            self.span = Some(Box::new(tracing::trace_span!("message", actor, message)));
        }
    }

    /// How many messages have been begun that the mailbox is to be told of, so that there is room.
    fn begun(&mut self) -> usize {
        let n = std::mem::take(&mut self.n_begun) as usize;
        if n > 0 {
            self.kind.metrics().begun(n);
        }
        n
    }

    /// Asks to be woken for what arrives; `true` if it has arrived already.
    fn sleep(&mut self, wait_for: WaitFor, waker: &Waker) -> bool {
        let n = self.begun();
        let mailbox = &self.shared.mailbox;
        match wait_for {
            WaitFor::Anything => mailbox.rest(&mut self.batch, waker, n),
            WaitFor::Control => mailbox.sleep(wait_for, waker, n),
        }
    }

    /// Takes no more messages; those that wait go back to who sent them.
    fn leave(&mut self) -> Next {
        // What it was not told any more is not handled by it (E2).
        for aside in self.asides.take_waiting() {
            match aside {
                Aside::ChildFailed(_, failure) => self.unhandled(&failure),
                Aside::MeshFailed(failures, told) if !told.is_closed() => {
                    self.unhandled_of_mesh(&failures);
                }
                Aside::MeshFailed(..) => (),
                Aside::Returned(_) => (),
            }
        }
        let end = self.how_it_ends();
        self.shared.leave(&end);
        self.give_up_restarts();
        self.shared.mailbox.close();
        let mut waiting = std::mem::take(&mut self.batch);
        self.give_back(&mut waiting, &end);
        self.shared.mailbox.take(&mut waiting, 0);
        self.give_back(&mut waiting, &end);
        self.stage = Stage::EndingChildren(None);
        Next::Step
    }

    fn give_back(&self, parcels: &mut Parcels<A>, end: &End) {
        while let Some(letter) = parcels.pop() {
            give_back(letter, self.shared.index, end, &self.shared.proc);
        }
    }

    fn how_it_ends(&self) -> End {
        match (&self.failure, self.stop) {
            (Some(failure), _) => {
                let cause = Cause::clone(failure.cause());
                End::Failed(Arc::new(cause.with_alive(self.born.elapsed())))
            }
            (None, Some(Stop::Kill)) => End::Killed,
            (None, _) => End::Stopped,
        }
    }

    /// Lets the actor clean up, if its state can be trusted.
    fn clean(&mut self) -> Next {
        self.stage = Stage::Cleaning;
        let Some(mut life) = self.life.take() else { return Next::Step };
        if self.stop == Some(Stop::Kill) {
            self.life = Some(life);
            self.drop_life();
            return Next::Step;
        }
        life.cx.set_sender(None);
        self.is_busy = true;
        self.runs(self.word.begin(Slot::STOP));
        self.turn.set_once(async move {
            let Life { actor, cx } = &mut *life;
            let outcome = caught_async(pin!(actor.stop(cx))).await;
            cx.end_attached().await;
            Turn { life: Some(life), outcome: outcome.map(|()| None) }
        });
        Next::Step
    }

    /// The end, unless there are children that were spawned in cleaning up.
    fn end(&mut self) -> Next {
        self.drop_life();
        if self.shared.family().is_empty() {
            return Next::End;
        }
        self.stage = Stage::EndingChildren(None);
        Next::Step
    }

    fn drop_life(&mut self) {
        let life = self.life.take();
        if let Err(failure) = caught(|| drop(life)) {
            self.fail(failure);
        }
    }

    /// Cuts off the function that runs.
    fn drop_turn(&mut self) {
        if std::mem::take(&mut self.is_busy)
            && let Err(failure) = caught(|| self.turn.cut_off())
        {
            self.fail(failure);
        }
    }

    /// No function of the actor runs, if so: whoever watches is told before others have their turn.
    fn rests(&mut self) {
        if !self.is_busy {
            self.turn.rest();
            self.says(self.word.idle());
        }
    }

    /// Everything on the control lane.
    fn read_control(&mut self) {
        while let Some(control) = self.shared.mailbox.pop_control() {
            match control {
                Control::Stop(how) => self.stop_asked(how),
                Control::ChildEnded { place, index, name, end } => {
                    self.child_ended(place, index, (name, end));
                }
                Control::ChildCreated { place } => _ = self.child_created(place),
                Control::LetGo { place } => self.let_go(place),
                Control::Returned(undelivered) if self.asides.len() < ASIDES_MAX => {
                    self.asides.push_back(Aside::Returned(undelivered));
                }
                // It has been counted and logged.
                Control::Returned(_) => (),
                Control::AttachmentFailed(failure) => self.fail(failure),
                Control::MeshFailed(failures, told) => {
                    self.asides.push_back(Aside::MeshFailed(failures, told));
                }
            }
        }
    }

    fn stop_asked(&mut self, how: Stop) {
        self.stop = self.stop.max(Some(how));
        if how == Stop::Drain {
            self.shared.mailbox.close();
        }
        if how == Stop::Kill {
            self.shared.leave(&self.how_it_ends());
            self.drop_turn();
            match self.asides.take_asked() {
                Some(Asked::Child(failure)) => self.unhandled(&failure),
                Some(Asked::Mesh(failures)) => self.unhandled_of_mesh(&failures),
                None => (),
            }
        }
    }

    /// The actor has ended: everybody is told.
    fn finish(&mut self, end: End) {
        self.stage = Stage::Ended;
        // Those that it failed or was cut off with were begun too.
        self.begun();
        self.drop_turn();
        self.drop_life();
        self.says(self.word.idle());
        let (mut unread, control) = self.shared.mailbox.abandon();
        self.give_up_restarts();
        self.shared.finish(end.clone());
        self.alive.ended(&end);
        let mut batch = std::mem::take(&mut self.batch);
        self.give_back(&mut batch, &end);
        self.give_back(&mut unread, &end);
        drop(control);
        self.parent.child_ended(self.shared.index, &self.shared.name, &end);
    }
}

impl<A: Actor> Future for ActorTask<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let task = self.get_mut();
        task.n_steps = 0;
        while task.n_steps < task.pace.steps_in_turn() {
            task.n_steps += 1;
            if task.shared.mailbox.is_urgent() {
                task.read_control();
            }
            match task.step(cx) {
                Next::Step => (),
                Next::Sleep(wait_for) => {
                    task.rests();
                    let lingers = || task.shared.mailbox.linger();
                    if wait_for == WaitFor::Anything && task.patience.lingers(lingers) {
                        continue;
                    }
                    if !task.sleep(wait_for, cx.waker()) {
                        task.pace.rest();
                        return Poll::Pending;
                    }
                }
                Next::End => {
                    let end = task.how_it_ends();
                    task.finish(end);
                    return Poll::Ready(());
                }
            }
        }
        task.rests();
        // Others on this thread have their turn, for however long: whoever waits for room need not wait for them.
        task.pace.pause(SAMPLED - task.untimed);
        let n = task.begun();
        if n > 0 {
            task.shared.mailbox.release(n);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<A: Actor> Drop for ActorTask<A> {
    /// Dropped before its end, by whoever runs it: its children are killed, and nobody waits for it in
    /// vain.
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Ended) {
            self.shared.leave(&End::Lost);
            self.shared.family().living().for_each(|child| child.stop(Stop::Kill));
            self.finish(End::Lost);
        }
    }
}

// Nothing in it is pinned where it stands.
impl<A: Actor> Unpin for ActorTask<A> {}
