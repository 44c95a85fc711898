//! `Voice`: what a local agent says, in order, to its controller.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller::{Controlled, Reporter};
use mesh_core::{AgentId, Answer, Answers, BeatSeq, Incarnation, Undelivered};
use mesh_shape::Rank;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::clock::Clock;

/// Where reports are numbered, and where they go.
pub(super) struct Voice<C: Controlled> {
    pub(super) agent: AgentId,
    pub(super) reporter: Arc<Mutex<Reporter<C>>>,
    pub(super) clock: Clock,
    pub(super) answers: Answers<C::Report>,
    /// Something waits to be said, see [`due`](Self::due).
    pub(super) waits: Arc<Notify>,
}

impl<C: Controlled> Voice<C> {
    /// Something was seen of a rank just now. It is said at once; where much is, soon, together with all else.
    pub(super) fn report(&self, rank: Rank, incarnation: Incarnation, report: C::Report) {
        // Nobody waits at this agent, so no wait is over: its controller answers waits itself.
        self.reporter().report(rank, incarnation, self.clock.now(), report);
        self.flush_soon();
    }

    pub(super) fn answer_poll(&self) {
        let reports = self.reporter().poll(self.clock.now());
        self.say(Answer::Reported { agent: self.agent, life: Incarnation::FIRST, reports });
    }

    /// Says what may be lost, since it is said again with the next poll or beat. Returns whether the
    /// controller is still there.
    pub(super) fn say(&self, answer: Answer<C::Report>) -> bool {
        !matches!(self.answers.send(answer), Err(Undelivered::Closed(_)))
    }

    /// Says every `period` that the agent lives, and in between what was to wait, until its controller has ended.
    pub(super) async fn beat(self, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (agent, life, mut beat) = (self.agent, Incarnation::FIRST, BeatSeq::FIRST);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => (),
                () = self.due() => {
                    self.flush_soon();
                    continue;
                }
            }
            if !self.say(Answer::Heard { agent, life, beat }) {
                return;
            }
            beat = beat.next();
        }
    }

    /// Waits until something is to be said that had to wait.
    async fn due(&self) {
        loop {
            let due = self.reporter().send_due();
            match due {
                Some(due) if due <= self.clock.now() => return,
                // Something else may be said meanwhile, so it is looked again.
                Some(due) => sleep_until(self.clock.instant(due)).await,
                None => self.waits.notified().await,
            }
        }
    }

    /// Says what is new, if it is time to; else it waits. What the controller has no room for is kept for a while.
    fn flush_soon(&self) {
        let (mut reporter, now) = (self.reporter(), self.clock.now());
        if !reporter.is_due(now) {
            if reporter.has_unsent() {
                self.waits.notify_one();
            }
            return;
        }
        let reports = reporter.take_unsent(now);
        let answer = Answer::Reported { agent: self.agent, life: Incarnation::FIRST, reports };
        if let Err(Undelivered::Full(Answer::Reported { reports, .. })) = self.answers.send(answer)
        {
            reporter.keep(&reports);
            self.waits.notify_one();
        }
    }

    fn reporter(&self) -> MutexGuard<'_, Reporter<C>> {
        self.reporter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Controlled> Clone for Voice<C> {
    fn clone(&self) -> Self {
        let Self { agent, reporter, clock, answers, waits } = self;
        let (reporter, waits) = (Arc::clone(reporter), Arc::clone(waits));
        Self { agent: *agent, reporter, clock: *clock, answers: answers.clone(), waits }
    }
}
