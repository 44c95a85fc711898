//! The loop: waits for the next event or the next deadline, steps the controller, performs what it
//! says.

use std::fmt;
use std::time::Duration;

use controller::{Controlled, Controller, Effect, Event, Spec, Subscription};
use mesh_core::{
    Agents, Answer, Answers, Incarnation, MeshEvent, MeshRequest, Order, OwnerNews, Refusal, Reply,
    StopReason, SubscriberId, Timestamp, Update,
};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::clock::{Clock, Queued};
use crate::handle::{ControllerRef, INBOX_MESSAGES, Inbox};
use crate::metrics::{Detection, MeshMetrics};
use crate::outlets::{Outlets, Told};
use crate::owner::Owner;

/// How many queued events may pass before a tick that is due.
const EVENTS_BEFORE_TICK: usize = 256;

/// How much news may wait for the owner before the loop keeps it.
const OWNER_NEWS: usize = 64;

/// How long subscribers that lag may take to make room for the last word.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(5);

/// A controller that is set up and not yet running.
#[derive(Debug)]
pub struct Supervision<R> {
    /// How the program talks to it.
    pub controller: ControllerRef<R>,
    /// The owner's end. Dropping it ends the mesh.
    pub owner: Owner,
    /// Where the agents of the mesh send what they have to say.
    pub answers: Answers<R>,
}

/// What a loop is set up with.
pub struct Setup<C: Controlled, A> {
    /// The machine that decides.
    pub controller: Controller<C>,
    /// Who reaches the ranks.
    pub agents: A,
    /// What time it is.
    pub clock: Clock,
    /// How the mesh begins.
    pub opening: Opening,
    /// Who is shown every step, if anybody.
    pub trace: Option<Box<dyn Trace<C::Report>>>,
}

impl<C: Controlled, A> Setup<C, A> {
    /// A mesh whose ranks are to be started, and of which no trace is kept.
    #[must_use]
    pub fn new(controller: Controller<C>, agents: A, clock: Clock) -> Self {
        Self { controller, agents, clock, opening: Opening::Start, trace: None }
    }
}

impl<C: Controlled, A> fmt::Debug for Setup<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mesh = &self.controller.spec().mesh;
        f.debug_struct("Setup").field("mesh", mesh).finish_non_exhaustive()
    }
}

/// How a mesh begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Its ranks are started.
    Start,
    /// Another controller has started them, and is dead; this one takes them over (K3), with a higher
    /// epoch.
    Adopt,
}

/// Is shown every step of a loop, as it happens.
///
/// # Contract
///
/// It must not block: the loop waits for it.
pub trait Trace<R>: Send {
    /// The loop is set up, and supervises this. Called once, before the first step: what a machine
    /// made of the same spec is given to replay the run.
    fn begin(&mut self, spec: &Spec) {
        _ = spec;
    }

    /// `event` came at `now` and led to `effects`, which have not been performed yet.
    fn record(&mut self, now: Timestamp, event: &Event<R>, effects: &[Effect]);
}

/// Sets up the loop of one mesh: returns how to talk to it, and the loop itself, to be run.
///
/// The loop is to be spawned on the control thread. It ends when the owner has gone; then the agents
/// are dropped, and with them the ranks that are left. What is left of the loop then takes at most five seconds
/// more, so that subscribers that lag are told. A [`ControllerRef`] keeps nothing alive, and dropping every one of
/// them ends nothing.
///
/// # Cancellation
///
/// Dropping the loop's future drops the agents (C2).
pub fn supervise<C, A>(
    setup: Setup<C, A>,
) -> (Supervision<C::Report>, impl Future<Output = ()> + Send)
where
    C: Controlled + Send + 'static,
    C::Report: Send + 'static,
    A: Agents<Report = C::Report> + Send + 'static,
{
    let Setup { controller, agents, clock, opening, mut trace } = setup;
    if let Some(trace) = &mut trace {
        trace.begin(controller.spec());
    }
    let mesh = controller.spec().mesh.clone();
    let (inbox, messages) = mpsc::channel(INBOX_MESSAGES);
    let (news, owner) = mpsc::channel(OWNER_NEWS);
    let answers = ControllerRef::answers(inbox.downgrade(), clock);
    let shell = Shell {
        metrics: MeshMetrics::new(&mesh),
        answers: ControllerRef::answers(inbox.downgrade(), clock),
        _inbox: inbox.clone(),
        outlets: Outlets::new(news, clock),
        controller,
        agents: Some(agents),
        clock,
        opening,
        trace,
        refused: None,
        passed: 0,
    };
    let supervision = Supervision {
        controller: ControllerRef::new(inbox, clock),
        owner: Owner::new(owner, clock, Detection::new(&mesh)),
        answers,
    };
    (supervision, shell.run(messages))
}

struct Shell<C: Controlled, A> {
    controller: Controller<C>,
    /// `None` once the owner has gone: then nobody is ordered anything.
    agents: Option<A>,
    answers: Answers<C::Report>,
    /// Keeps the inbox open: the loop lives as long as the owner, not as long as those who talk to it.
    _inbox: mpsc::Sender<Inbox<C::Report>>,
    outlets: Outlets,
    metrics: MeshMetrics,
    clock: Clock,
    opening: Opening,
    trace: Option<Box<dyn Trace<C::Report>>>,
    /// Why the subscription that this step is about was not taken.
    refused: Option<Refusal>,
    /// Events that have passed since a tick was due. At most [`EVENTS_BEFORE_TICK`].
    passed: usize,
}

/// What the loop woke up for.
enum Woken<R> {
    Message(Inbox<R>),
    CaughtUp(SubscriberId),
    Due,
    Told,
    Abandoned,
}

impl<C, A> Shell<C, A>
where
    C: Controlled,
    A: Agents<Report = C::Report>,
{
    async fn run(mut self, mut messages: mpsc::Receiver<Inbox<C::Report>>) {
        self.step(match self.opening {
            Opening::Start => Event::Opened,
            Opening::Adopt => Event::Adopted,
        });
        let owner_gone = self.outlets.owner_gone();
        tokio::pin!(owner_gone);
        loop {
            let due = self.controller.next_deadline();
            if self.passed >= EVENTS_BEFORE_TICK {
                self.tick();
                continue;
            }
            let woken = tokio::select! {
                // In this order: what has arrived is known before silence is judged.
                biased;
                () = &mut owner_gone => Woken::Abandoned,
                message = messages.recv() => message.map_or(Woken::Abandoned, Woken::Message),
                caught_up = self.outlets.room() => caught_up.map_or(Woken::Told, Woken::CaughtUp),
                () = sleep_until_or_never(due.map(|due| self.clock.instant(due))) => Woken::Due,
            };
            // It may have come due while the loop slept: asked after waking, so that none is missed.
            if due.is_some_and(|due| due <= self.clock.now()) {
                self.passed += 1;
            }
            match woken {
                Woken::Message(message) => self.receive(message),
                Woken::CaughtUp(id) => self.step(Event::Lagged(id)),
                Woken::Due => self.tick(),
                Woken::Told => (),
                Woken::Abandoned => break,
            }
        }
        self.step(Event::Abandoned);
        self.agents = None;
        self.outlets.forget_questions();
        // From now on it has ended, for all who ask.
        drop(messages);
        // A subscriber that does not read holds nobody up for longer.
        _ = timeout(CAUGHT_UP_WITHIN, self.catch_up()).await.is_ok();
    }

    /// Tells whoever lags what it has missed, and the last word (N7).
    async fn catch_up(&mut self) {
        while self.outlets.is_anybody_lagging() {
            if let Some(id) = self.outlets.room().await {
                self.step(Event::Lagged(id));
            }
        }
    }

    fn receive(&mut self, message: Inbox<C::Report>) {
        match message {
            Inbox::Answered(Queued { since, item: answer }) => {
                let waited = self.clock.now().since(since);
                self.step(Event::Answered(aged(answer, waited)));
            }
            Inbox::Subscribe { interest, region, again, queue, taken } => {
                // Those who have gone take nobody's place.
                self.forget_the_gone();
                let id = self.outlets.add_subscriber(queue);
                self.step(Event::Subscribed(Subscription { id, interest, region, again }));
                let answer = self.refused.take().map_or(Ok(()), Err);
                // Whoever asked may have gone; its queue tells, too.
                _ = taken.send(answer).is_ok();
            }
            Inbox::Ask { request, answer } => {
                match &request {
                    MeshRequest::Stop { grace, reason } => {
                        let why = reason.as_ref().map_or("", StopReason::as_str);
                        info!(mesh = %self.mesh_name(), ?grace, why, "stop asked");
                    }
                    MeshRequest::Kill => info!(mesh = %self.mesh_name(), "kill asked"),
                    // The number is exact: whoever has gone since is not in it (N5).
                    MeshRequest::GetSubscriberCount => self.forget_the_gone(),
                    MeshRequest::WaitRankStatus { .. } => self.forget_the_withdrawn(),
                    MeshRequest::CreateOrUpdate { .. } | MeshRequest::GetState => (),
                }
                let ask = self.outlets.add_question(answer);
                self.step(Event::Asked { ask, request });
            }
        }
    }

    fn forget_the_gone(&mut self) {
        for id in self.outlets.gone() {
            self.step(Event::Unsubscribed(id));
        }
    }

    fn forget_the_withdrawn(&mut self) {
        for ask in self.outlets.withdrawn() {
            self.step(Event::Withdrawn(ask));
        }
    }

    /// A deadline has come. If it is that of a check, its lateness is measured (L4).
    fn tick(&mut self) {
        self.passed = 0;
        let now = self.clock.now();
        if let Some(due) = self.controller.check_due().filter(|due| *due <= now) {
            let lateness = now.since(due);
            self.metrics.checked(lateness);
            if lateness > self.period() {
                self.metrics.stalled();
                warn!(
                    mesh = %self.mesh_name(), ?lateness, period = ?self.period(),
                    "stalled: a check started late, so this process did not run for a while"
                );
            }
        }
        self.step(Event::Tick);
        self.forget_the_withdrawn();
        // Messages come first in the loop, so whoever has waited for room is served here at last.
        for id in self.outlets.caught_up() {
            self.step(Event::Lagged(id));
        }
    }

    fn period(&self) -> Duration {
        self.controller.spec().config.times.check
    }

    fn mesh_name(&self) -> &str {
        self.controller.spec().mesh.name()
    }

    fn step(&mut self, event: Event<C::Report>) {
        let now = self.clock.now();
        let shown = self.trace.is_some().then(|| event.clone());
        let effects = self.controller.step(now, event);
        if let (Some(trace), Some(event)) = (&mut self.trace, shown) {
            trace.record(now, &event, &effects);
        }
        self.metrics.ranks(&self.controller.counts());
        for effect in effects {
            self.perform(effect);
        }
    }

    /// Starts the work of one effect. One log line for each kind.
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Ask(request) => {
                if let Order::Start { ranks, incarnation, .. } = &request.order
                    && *incarnation != Incarnation::FIRST
                {
                    self.metrics.restarted(ranks.len());
                    info!(mesh = %self.mesh_name(), %ranks, %incarnation, "starting again");
                }
                debug!(mesh = %self.mesh_name(), agent = %request.agent, order = ?request.order, "ask");
                if let Some(agents) = &mut self.agents {
                    agents.perform(request, &self.answers);
                }
            }
            Effect::Tell { to, event } => self.tell(to, event),
            Effect::TellOwner(failures) => {
                self.metrics.failed(&failures);
                info!(mesh = %self.mesh_name(), ranks = failures.len(), "failed");
                self.outlets.tell_owner(OwnerNews::Failed(failures));
            }
            Effect::Refuse { to, why } => {
                warn!(mesh = %self.mesh_name(), subscriber = %to, %why, "subscription refused");
                self.metrics.refused();
                self.outlets.forget(to);
                self.refused = Some(why);
            }
            Effect::Answer { ask, reply } => {
                debug!(mesh = %self.mesh_name(), ask = ask.number(), "answer");
                if matches!(reply, Reply::Refused(_)) {
                    self.metrics.refused();
                }
                self.outlets.answer(ask, reply);
            }
            Effect::Finish => {
                info!(mesh = %self.mesh_name(), "finished");
                self.outlets.tell_owner(OwnerNews::Finished(self.controller.state()));
            }
        }
    }

    fn tell(&mut self, to: SubscriberId, event: MeshEvent) {
        debug!(mesh = %self.mesh_name(), subscriber = %to, seq = event.seq, "tell");
        match self.outlets.tell(to, event) {
            Told::Sent | Told::Behind => (),
            Told::Lagged => self.metrics.lagged(),
            Told::Closed | Told::Gone => self.step(Event::Unsubscribed(to)),
        }
    }
}

/// What an agent has said, as old as it is now.
fn aged<R: Clone + PartialEq>(answer: Answer<R>, waited: Duration) -> Answer<R> {
    match answer {
        // Ages of less are of no interest, and looking at every run is not for nothing.
        Answer::Reported { agent, life, reports } if waited >= Duration::from_millis(1) => {
            let older = |update: &Update<R>| Update { age: update.age + waited, ..update.clone() };
            Answer::Reported { agent, life, reports: reports.map(older) }
        }
        answer => answer,
    }
}

async fn sleep_until_or_never(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
