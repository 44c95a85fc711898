//! What time brings: checks, deadlines, and lives that are due (L1 to L6).

use mesh_core::{News, Order};

use super::{Controller, Life};
use crate::changes::Changes;
use crate::event::Effect;
use crate::kind::Controlled;

impl<C: Controlled> Controller<C> {
    pub(super) fn on_tick(&mut self, effects: &mut Vec<Effect>) {
        self.expire_waits(effects);
        if self.life == Life::New || self.life.is_over() {
            return;
        }
        let mut changes = Changes::default();
        self.judge_poll(&mut changes);
        self.judge_silence(&mut changes, effects);
        self.press_stop(&mut changes, effects);
        self.press_round(effects);
        let starts = self.begin_again(&mut changes);
        // After that: an end is told before the life that follows begins.
        self.settle(&mut changes);
        self.publish(changes, effects);
        self.ask_starts(starts.into_vec(), effects);
        if self.check_due.is_some_and(|due| due <= self.now) {
            self.check(effects);
        }
    }

    /// Tells everybody that the controller lives, and asks every agent for the state of its ranks.
    fn check(&mut self, effects: &mut Vec<Effect>) {
        let period = self.spec.config.times.check;
        self.subscribers.tell_all(&News::Heartbeat { period }, effects);
        self.repeat_orders(effects);
        // After a pause of ours, the poll before this may have its time yet (L2).
        if self.poll_sent.is_none() {
            self.poll(effects);
        }
        self.schedule_check();
    }

    pub(super) fn poll(&mut self, effects: &mut Vec<Effect>) {
        for agent in self.roster.ids() {
            effects.push(self.ask(agent, Order::Poll));
        }
        self.poll_sent = Some(self.now);
    }

    /// A period from now, or a little less, so that many controllers do not tick at once (L5); but
    /// not before the poll that may be in flight has had its time (L2).
    pub(super) fn schedule_check(&mut self) {
        let times = self.spec.config.times;
        let slack = times.check.saturating_sub(times.poll_deadline);
        let less = self.spread.up_to(slack.min(times.check / 10));
        self.check_due = Some(self.now + (times.check - less));
    }

    fn expire_waits(&mut self, effects: &mut Vec<Effect>) {
        let expired = self.waits.expire(self.now);
        self.answer_waits(expired, effects);
    }
}
