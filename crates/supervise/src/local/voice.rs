//! `Voice`: what a local agent says, in order, to its controller.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller::{Controlled, Reporter};
use mesh_core::{AgentId, Answer, Answers, BeatSeq, Incarnation, Undelivered};
use mesh_shape::Rank;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::Clock;

/// Where reports are numbered, and where they go.
pub(super) struct Voice<C: Controlled> {
    pub(super) agent: AgentId,
    pub(super) reporter: Arc<Mutex<Reporter<C>>>,
    pub(super) clock: Clock,
    pub(super) answers: Answers<C::Report>,
}

impl<C: Controlled> Voice<C> {
    /// Something was seen of a rank just now.
    pub(super) fn report(&self, rank: Rank, incarnation: Incarnation, report: C::Report) {
        // Nobody waits at this agent, so no wait is over: its controller answers waits itself.
        self.reporter().report(rank, incarnation, self.clock.now(), report);
        self.flush();
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

    /// Says every `period` that the agent lives, until its controller has ended.
    pub(super) async fn beat(self, period: Duration) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (agent, life, mut beat) = (self.agent, Incarnation::FIRST, BeatSeq::FIRST);
        loop {
            ticks.tick().await;
            if !self.say(Answer::Heard { agent, life, beat }) {
                return;
            }
            self.flush();
            beat = beat.next();
        }
    }

    /// Sends what is new. What the controller has no room for is kept until the next beat.
    fn flush(&self) {
        let mut reporter = self.reporter();
        let reports = reporter.take_unsent(self.clock.now());
        if reports.is_empty() {
            return;
        }
        let answer = Answer::Reported { agent: self.agent, life: Incarnation::FIRST, reports };
        if let Err(Undelivered::Full(Answer::Reported { reports, .. })) = self.answers.send(answer)
        {
            reporter.keep(&reports);
        }
    }

    fn reporter(&self) -> MutexGuard<'_, Reporter<C>> {
        self.reporter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C: Controlled> Clone for Voice<C> {
    fn clone(&self) -> Self {
        let Self { agent, reporter, clock, answers } = self;
        let (reporter, answers) = (Arc::clone(reporter), answers.clone());
        Self { agent: *agent, reporter, clock: *clock, answers }
    }
}
