//! How a mesh begins and ends: started here, or taken over from another controller; closed, or taken
//! over by another one (N4, L6, K3).

use std::ops::Range;

use mesh_core::{
    AgentId, Cause, Epoch, Incarnation, News, Reason, Refusal, Reply, Status, Timestamp, Trouble,
};
use mesh_shape::RankSet;

use super::{Controller, Life};
use crate::cells::Cell;
use crate::changes::Changes;
use crate::event::Effect;
use crate::kind::Controlled;

/// A mesh that another controller has started, while its ranks turn up.
#[derive(Clone, Debug)]
pub(super) struct Settling {
    /// When those that have not are given up next.
    pub(super) at: Timestamp,
    /// The ranks that their agents have said not to know.
    pub(super) unknown: RankSet,
    /// The highest life of any rank that was reported: the next life of one that nobody knows is above it.
    pub(super) highest: Incarnation,
}

impl<C: Controlled> Controller<C> {
    pub(super) fn on_opened(&mut self, effects: &mut Vec<Effect>) {
        if self.life != Life::New {
            return;
        }
        self.watch();
        let mut changes = Changes::default();
        // A rank of which its agent has spoken before is not started over (H2).
        self.health.update(0..self.health.size(), self.now, &mut changes, |cell| {
            (cell.status == Status::NotExist)
                .then(|| Cell { status: Status::Initializing, ..cell.clone() })
        });
        let starts: Vec<_> = changes.iter().map(|c| (c.ranks.clone(), c.incarnation)).collect();
        self.publish(changes, effects);
        self.ask_starts(starts, effects);
    }

    /// Another controller has started the ranks: they are asked for, and nothing is started or missed
    /// before every lease that it may have renewed would have run out (K3, rule 9 of the design).
    pub(super) fn on_adopted(&mut self, effects: &mut Vec<Effect>) {
        if self.life != Life::New {
            return;
        }
        self.watch();
        self.restarts.adopt();
        for (ranks, cell) in self.health.runs() {
            self.restarts.inherit(ranks.len(), cell.incarnation);
        }
        let at = self.now + self.spec.config.times.lease;
        let (unknown, highest) = (RankSet::new(), Incarnation::FIRST);
        self.settling = Some(Box::new(Settling { at, unknown, highest }));
        self.poll(effects);
    }

    /// From now on silence counts, and checks are made.
    pub(super) fn watch(&mut self) {
        self.life = Life::Open;
        self.roster.open(self.now, &self.spec.config.times);
        self.schedule_check();
    }

    /// An agent speaks of this life of a rank.
    pub(super) fn note_life(&mut self, life: Incarnation) {
        if let Some(settling) = &mut self.settling {
            settling.highest = settling.highest.max(life);
        }
    }

    /// An agent knows these ranks. Those of an adopted mesh that are heard of for the first time were
    /// started by the controller before, and so often again as their lives come to (RS3).
    pub(super) fn note_found(&mut self, range: Range<usize>, life: Incarnation) {
        if !self.restarts.is_adopted() {
            return;
        }
        for (ranks, _) in self.health.runs_in(range).filter(|(_, cell)| cell.is_unheard()) {
            self.restarts.inherit(ranks.len(), life);
        }
    }

    /// An agent does not know some of its ranks. In a mesh that is being adopted, they may yet be
    /// reported by a message that is still on its way.
    pub(super) fn note_unknown(&mut self, range: Range<usize>) {
        if let Some(settling) = &mut self.settling {
            settling.unknown.insert_range(range);
        }
    }

    /// Ranks that have not turned up since the mesh was adopted are lost, if their agents have said that
    /// they do not know them; while the mesh is being stopped, they have stopped. Those of which nobody
    /// has said anything are asked for again.
    ///
    /// Which life the lost ones were in, nobody knows: the highest that was reported of any rank is
    /// assumed, so that none is begun twice. It says nothing of how often each was started again.
    pub(super) fn settle(&mut self, changes: &mut Changes) {
        let Some(settling) = self.settling.take_if(|settling| settling.at <= self.now) else {
            return;
        };
        let highest = settling.highest;
        let lost = Status::failed(Cause::new(Reason::LostByAgent));
        let is_stopping = matches!(self.life, Life::Stopping(_));
        let (status, failed_at) =
            if is_stopping { (Status::Stopped, Timestamp::START) } else { (lost, self.now) };
        for range in settling.unknown.runs() {
            self.health.update(range, self.now, changes, |cell| {
                let status = status.clone();
                let incarnation = cell.incarnation.max(highest);
                (cell.status == Status::NotExist).then(|| Cell {
                    status,
                    failed_at,
                    incarnation,
                    ..cell.clone()
                })
            });
        }
        if self.health.runs().any(|(_, cell)| cell.status == Status::NotExist) {
            let at = self.now + self.spec.config.times.check;
            let unknown = RankSet::new();
            self.settling = Some(Box::new(Settling { at, unknown, highest }));
        }
    }

    /// The end: every rank has ended and none is to start again (N4, L6, RS2).
    pub(super) fn close_if_ended(&mut self, effects: &mut Vec<Effect>) {
        let asked_by = match &mut self.life {
            Life::New | Life::Closed | Life::Replaced(_) | Life::Abandoned => return,
            _ if self.health.n_alive() > 0 || self.restarts.has_pending() => return,
            Life::Open => Vec::new(),
            Life::Stopping(stop) => std::mem::take(&mut stop.asked_by),
        };
        self.rest(Life::Closed);
        self.subscribers.tell_all(&News::Closed, effects);
        self.answer_stops(asked_by, effects);
        effects.push(Effect::Finish);
    }

    /// An agent obeys a controller that came later: this one lets go of the mesh. It stops nothing,
    /// since the ranks are the other's now (K3).
    pub(super) fn on_refused(&mut self, agent: AgentId, obeyed: Epoch, effects: &mut Vec<Effect>) {
        let is_none = self.roster.ranks(agent).is_none();
        if is_none || obeyed <= self.spec.epoch || self.life.is_over() {
            return;
        }
        let mut asked_by: Vec<_> = self.waits.take_all().into_iter().map(|wait| wait.ask).collect();
        if let Life::Stopping(stop) = &mut self.life {
            asked_by.append(&mut stop.asked_by);
        }
        self.rest(Life::Replaced(obeyed));
        self.subscribers.tell_all(&News::Trouble(Trouble::Replaced { by: obeyed }), effects);
        for ask in asked_by {
            let why = Refusal::Replaced { by: obeyed };
            effects.push(Effect::Answer { ask, reply: Reply::Refused(why) });
        }
        effects.push(Effect::Finish);
    }

    /// The owner has gone: whoever has subscribed is not to find that out by silence (N10). Questions that wait are the
    /// shell's, which forgets them.
    pub(super) fn on_abandoned(&mut self, effects: &mut Vec<Effect>) {
        if self.life == Life::New || self.life.is_over() {
            return;
        }
        _ = self.waits.take_all();
        self.rest(Life::Abandoned);
        self.subscribers.tell_all(&News::Trouble(Trouble::Abandoned), effects);
    }

    /// Nothing is watched any more.
    fn rest(&mut self, life: Life) {
        self.life = life;
        self.check_due = None;
        self.poll_sent = None;
        self.settling = None;
        self.restarts.cancel();
        self.health.await_nothing();
    }
}
