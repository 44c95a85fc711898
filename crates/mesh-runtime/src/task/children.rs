//! What the task of an actor does with its children: it ends them, asks what their failures mean, and starts
//! them again.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Context as TaskContext;
use std::time::Duration;

use mesh_core::{End, Strategy};
use tokio::time::{Instant, Sleep, sleep};

use super::{ActorTask, Aside, Next, Stage};
use crate::actor::{Actor, Stop, Verdict};
use crate::child_failure::ChildFailure;
use crate::child_spec::ParentOf;
use crate::context::Context;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::family::{Ended, covers};
use crate::intensity::Intensity;
use crate::mailbox::WaitFor;
use crate::name::Name;
use crate::panics::{caught_async, discard};
use crate::shared::Parent;

/// A child that was asked to end.
pub(super) struct EndingChild {
    place: NonZeroU64,
    grace: Pin<Box<Sleep>>,
    is_killed: bool,
}

/// Children that are being started again: those that live end first.
pub(super) struct Round {
    strategy: Strategy,
    failed: NonZeroU64,
    ending: Option<Box<EndingChild>>,
    /// Once they have ended.
    starting: Option<Starting>,
}

/// Children that are started one after the other.
struct Starting {
    /// The oldest first.
    left: VecDeque<NonZeroU64>,
    /// Whose start the next one waits for.
    current: Option<NonZeroU64>,
}

/// The failure of a child that an actor is asked about.
pub(super) struct Case {
    pub(super) place: NonZeroU64,
    /// It could be started again when the actor was asked.
    pub(super) could_restart: bool,
    pub(super) failure: ChildFailure,
}

/// What an actor has decided about the failure of a child.
pub(crate) struct Decision {
    verdict: Verdict,
    case: Case,
}

impl<A: Actor> ActorTask<A> {
    /// A child has ended, in whatever way.
    pub(super) fn child_ended(
        &mut self,
        place: NonZeroU64,
        index: NonZeroU64,
        (child, end): (Name, End),
    ) {
        let ended = self.shared.family().ended(place, &end);
        // Others are started now, or with it once more.
        let was_starting = self.child_created(place);
        let cause = match (ended, end) {
            (Ended::LetGo, End::Failed(cause)) => {
                let failure = ChildFailure { child, id: self.shared.proc.actor_id(index), cause };
                return self.was_let_go(&failure);
            }
            (Ended::LetGo, _) => return,
            (_, End::Failed(cause)) => cause,
            (Ended::Unwanted, end) if !self.is_ending(place) => {
                Failure::new(format_args!("it has ended ({end}), though it is permanent")).shared()
            }
            _ => return,
        };
        let failure = ChildFailure { child, id: self.shared.proc.actor_id(index), cause };
        match &self.stage {
            Stage::Restarting(_) if self.is_ending(place) && self.can_restart(place) => {
                self.mended(&failure);
            }
            Stage::Restarting(round) if was_starting => {
                let strategy = round.strategy;
                self.start_failed(strategy, place, &failure);
            }
            Stage::Serving | Stage::Restarting(_) => {
                self.asides.push_back(Aside::ChildFailed(place, failure));
            }
            // It was not handled by anybody (E2).
            Stage::EndingChildren(_) | Stage::Cleaning | Stage::Ended => self.unhandled(&failure),
        }
    }

    /// Nobody waits for the child in this place to be created any more. Returns whether somebody has.
    pub(super) fn child_created(&mut self, place: NonZeroU64) -> bool {
        let Stage::Restarting(round) = &mut self.stage else { return false };
        let starting = round.starting.as_mut();
        starting.is_some_and(|it| it.current.take_if(|current| *current == place).is_some())
    }

    /// A child that others wait for could not be created: all of them begin anew, as if it had failed later.
    fn start_failed(&mut self, strategy: Strategy, place: NonZeroU64, failure: &ChildFailure) {
        match self.admit_restart() {
            Ok(()) => {
                self.mended(failure);
                self.stage = Stage::Restarting(Box::new(Round::new(strategy, place)));
            }
            Err(own) => self.fail(own.while_handling(&failure.child, &failure.cause)),
        }
    }

    /// The child in this place is to end for good.
    pub(super) fn let_go(&mut self, place: NonZeroU64) {
        let seat = self.shared.family().let_go(place);
        let Some(seat) = seat else { return };
        discard(seat);
        for aside in self.asides.take_waiting() {
            match aside {
                Aside::ChildFailed(its, failure) if its == place => self.was_let_go(&failure),
                aside => self.asides.push_back(aside),
            }
        }
    }

    /// Nobody is asked about the failure of a child that was to end for good.
    fn was_let_go(&self, failure: &ChildFailure) {
        tracing::warn!(actor = %self.shared.name, "it was to end for good: {}", failure.report());
    }

    /// Whether the child in this place is to end, now or in its turn.
    fn is_ending(&self, place: NonZeroU64) -> bool {
        match &self.stage {
            Stage::Serving => false,
            Stage::Restarting(round) => round.ends(place),
            Stage::EndingChildren(_) | Stage::Cleaning | Stage::Ended => true,
        }
    }

    fn can_restart(&self, place: NonZeroU64) -> bool {
        self.shared.family().can_restart(place)
    }

    /// The child is started again with others: nobody is asked about its failure.
    fn mended(&self, failure: &ChildFailure) {
        tracing::warn!(actor = %self.shared.name, "a restart of others mends: {}", failure.report());
    }

    /// Nobody handles the failure of a child: the actor fails with it, unless it has failed already; then
    /// the log at least says so.
    pub(super) fn unhandled(&mut self, failure: &ChildFailure) {
        if self.failure.is_some() {
            tracing::error!(actor = %self.shared.name, "nobody was told: {}", failure.report());
            return;
        }
        self.fail(Failure::of_child(&failure.child, &failure.cause));
    }

    /// Does what the actor has decided.
    pub(super) fn decided(&mut self, Decision { verdict, case }: Decision) {
        let Case { place, could_restart, failure } = case;
        match verdict {
            Verdict::Handled => {
                let seat = self.shared.family().give_up(place);
                discard(seat);
            }
            Verdict::Stop => self.stop_asked(Stop::Now),
            // Not reached: that is a failure of the function that decides.
            Verdict::Escalate => self.unhandled(&failure),
            Verdict::Restart(strategy) => match self.may_restart(could_restart) {
                Ok(()) => self.stage = Stage::Restarting(Box::new(Round::new(strategy, place))),
                Err(own) => self.fail(own.while_handling(&failure.child, &failure.cause)),
            },
        }
    }

    /// No child is started again.
    pub(super) fn give_up_restarts(&self) {
        let seats = self.shared.family().give_up_all();
        seats.into_iter().for_each(discard);
    }

    /// Whether there is something to start again, and that is not too often. If the child was let go since, it may
    /// be that the others are.
    fn may_restart(&mut self, could_restart: bool) -> Result<(), Failure> {
        if !could_restart {
            let why = "a child that was not spawned by `supervise` cannot be started again";
            return Err(Failure::new(why));
        }
        self.admit_restart()
    }

    /// Counts one more restart, unless that is too many.
    fn admit_restart(&mut self) -> Result<(), Failure> {
        if !self.restarts.get_or_insert_default().admits(A::INTENSITY, Instant::now()) {
            let Intensity { max_restarts, period } = A::INTENSITY;
            let restarts = if max_restarts == 1 { "restart" } else { "restarts" };
            let why = format!("more than {max_restarts} {restarts} of children within {period:?}");
            return Err(Failure::new(why));
        }
        Ok(())
    }

    /// Goes on with a restart: one child after the other ends, and then one after the other is started.
    pub(super) fn restart_children(&mut self, cx: &mut TaskContext<'_>) -> Next {
        if self.failure.is_some() || self.stop >= Some(Stop::Now) {
            return self.leave();
        }
        let Stage::Restarting(round) = &mut self.stage else { return Next::Step };
        if round.starting.is_some() {
            return self.start_next();
        }
        let (strategy, failed) = (round.strategy, round.failed);
        let family = self.shared.family();
        if let Some((youngest, child)) = family.youngest(|place| covers(strategy, failed, place)) {
            EndingChild::end(&mut round.ending, (youngest, &**child), cx);
            return Next::Sleep(WaitFor::Control);
        }
        let left = family.to_restart(strategy, failed);
        drop(family);
        round.starting = Some(Starting { left: left.clone(), current: None });
        // Whatever else had happened to them before is mended with this.
        let is_mended = |place| left.contains(&place);
        for aside in self.asides.take_waiting() {
            match aside {
                Aside::ChildFailed(place, failure) if is_mended(place) => self.mended(&failure),
                aside => self.asides.push_back(aside),
            }
        }
        Next::Step
    }

    /// Starts the next child, unless the one before it is still being created. The last one is not waited for.
    fn start_next(&mut self) -> Next {
        let Stage::Restarting(round) = &mut self.stage else { return Next::Step };
        let starting = round.starting.as_mut().filter(|starting| !starting.left.is_empty());
        let Some(Starting { left, current }) = starting else {
            self.stage = Stage::Serving;
            return Next::Step;
        };
        if current.is_some() {
            return Next::Sleep(WaitFor::Control);
        }
        let Some(place) = left.pop_front() else { return Next::Step };
        let me = &self.shared;
        // It may have been let go since.
        let Some(seat) = me.family().seat_in(place).cloned() else { return Next::Step };
        let is_awaited = !left.is_empty();
        *current = is_awaited.then_some(place);
        let parent = ParentOf { place, parent: Arc::clone(me), is_awaited };
        let adopt = |child| me.family().adopt(place, child);
        seat.respawn(&me.proc, Arc::new(parent) as Arc<dyn Parent>, &adopt);
        Next::Step
    }

    /// Ends the children, the youngest first; all at once if the actor is killed.
    pub(super) fn end_children(&mut self, cx: &mut TaskContext<'_>) -> Next {
        let Stage::EndingChildren(ending) = &mut self.stage else { return Next::Step };
        let family = self.shared.family();
        let Some((youngest, child)) = family.youngest(|_| true) else {
            drop(family);
            return self.clean();
        };
        if self.stop == Some(Stop::Kill) {
            let is_told = |ending: &EndingChild| ending.is_killed && ending.place == youngest;
            if !ending.as_deref().is_some_and(is_told) {
                family.living().for_each(|child| child.stop(Stop::Kill));
                *ending = Some(Box::new(EndingChild::new(youngest, child.grace(), true)));
            }
        } else {
            EndingChild::end(ending, (youngest, &**child), cx);
        }
        Next::Sleep(WaitFor::Control)
    }
}

impl EndingChild {
    fn new(place: NonZeroU64, grace: Duration, is_killed: bool) -> Self {
        Self { place, grace: Box::pin(sleep(grace)), is_killed }
    }

    /// Sees to it that the child ends: asks it to, and kills it when its time is over.
    fn end(
        ending: &mut Option<Box<Self>>,
        (place, child): (NonZeroU64, &dyn Endpoint),
        cx: &mut TaskContext<'_>,
    ) {
        let current = match ending {
            Some(current) if current.place == place => current,
            _ => {
                child.stop(Stop::Now);
                ending.insert(Box::new(Self::new(place, child.grace(), false)))
            }
        };
        if !current.is_killed && current.grace.as_mut().poll(cx).is_ready() {
            current.is_killed = true;
            child.stop(Stop::Kill);
        }
    }
}

impl Round {
    const fn new(strategy: Strategy, failed: NonZeroU64) -> Self {
        Self { strategy, failed, ending: None, starting: None }
    }

    /// Whether the child in this place ends for it, now or in its turn.
    fn ends(&self, place: NonZeroU64) -> bool {
        self.starting.is_none() && covers(self.strategy, self.failed, place)
    }
}

/// What the parent makes of the failure of a child (E2).
pub(super) async fn on_failure<A: Actor>(
    actor: &mut A,
    case: Case,
    cx: &mut Context<A>,
) -> Result<Option<Box<Decision>>, Failure> {
    // A panic has its cause too.
    let failure = &case.failure;
    let told = failure.clone();
    match caught_async(pin!(async { actor.on_failure(told, cx).await })).await {
        Ok(Verdict::Escalate) => Err(Failure::of_child(&failure.child, &failure.cause)),
        Ok(verdict) => Ok(Some(Box::new(Decision { verdict, case }))),
        Err(own) => Err(own.while_handling(&failure.child, &failure.cause)),
    }
}
