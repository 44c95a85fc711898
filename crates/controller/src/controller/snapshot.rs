//! What a new subscriber is told first, and one that lagged behind (N5, N7).

use mesh_core::{Change, Interest, News, Snapshot, Status, SubscriberId};
use mesh_shape::RankSet;

use super::{Controller, Life};
use crate::event::{Effect, Subscription};
use crate::kind::Controlled;
use crate::subscribers::Subscriber;

impl<C: Controlled> Controller<C> {
    pub(super) fn on_subscribed(&mut self, subscription: Subscription, effects: &mut Vec<Effect>) {
        let id = subscription.id;
        if !self.subscribers.add(subscription) {
            return;
        }
        self.tell_snapshot(id, false, effects);
        if self.life == Life::Closed {
            self.subscribers.tell(id, News::Closed, effects);
        }
    }

    /// Messages to it were lost, perhaps the last one too.
    pub(super) fn on_lagged(&mut self, id: SubscriberId, effects: &mut Vec<Effect>) {
        self.tell_snapshot(id, true, effects);
        if self.life == Life::Closed {
            self.subscribers.tell(id, News::Closed, effects);
        }
    }

    pub(super) fn tell_snapshot(
        &mut self,
        id: SubscriberId,
        lagged: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(subscriber) = self.subscribers.get(id) else { return };
        let snapshot = self.snapshot(subscriber, lagged);
        self.subscribers.tell(id, News::Snapshot(snapshot), effects);
    }

    pub(super) fn snapshot(&self, subscriber: &Subscriber, lagged: bool) -> Snapshot {
        let mut snapshot = Snapshot {
            period: self.spec.config.times.check,
            failed: Vec::new(),
            stopped: RankSet::new(),
            alive: Vec::new(),
            lagged,
        };
        for (range, cell) in self.health.runs() {
            let (status, incarnation) = (cell.view(), cell.incarnation);
            if subscriber.interest == Interest::Terminal && !status.is_terminal() {
                continue;
            }
            let ranks = subscriber.view(&RankSet::from(range));
            if ranks.is_empty() {
                continue;
            }
            if status == Status::Stopped {
                snapshot.stopped = snapshot.stopped.union(&ranks);
                continue;
            }
            let is_failure = status.is_failure();
            let change =
                Change { ranks, incarnation, status, restart_in: None, evidence: self.now };
            if is_failure {
                snapshot.failed.push(change);
            } else {
                snapshot.alive.push(change);
            }
        }
        snapshot
    }
}
