//! One rank, its agent and the controllers' view of it, around the real [`Silence`].

use std::time::Duration;

use mesh_core::Timestamp;

use super::super::{Contact, Pause, Silence, Verdict};
use super::leases::{EPOCHS, Kept, Leases, NOW};
use super::model::{Goal, Grid, Model, Variant};

/// One rank. Ages are in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rank {
    pub(super) kept: Kept,
    /// Whether the order to start it has arrived.
    pub(super) is_started: bool,
    /// Of the newest beat that each controller has heard. Echoes of it, and of all before it, are on
    /// their way for ever.
    heard: [Option<u8>; 2],
    /// Of the silence that the controller which reigns counts.
    silent: u8,
    contact: Contact,
    pub(super) is_given_up: bool,
    /// Of the newest beat whose echo has come through; kept for [`Goal::NoHarm`] only.
    pub(super) echoed: u8,
}

impl Rank {
    pub(super) const fn new(kept: Kept, is_started: bool) -> Self {
        let (heard, contact) = ([None; 2], Contact::Heard);
        Self { kept, is_started, heard, silent: 0, contact, is_given_up: false, echoed: 0 }
    }

    /// The ages of the beats that the controller may hear: all newer ones, and one for all others.
    pub(super) fn audible(&self, by: usize, model: &Model) -> impl Iterator<Item = u8> + use<> {
        // What is heard of a rank that was given up before it was started is about its next life.
        let is_beating = match self.kept {
            Kept::Unarmed | Kept::Counted(..) => !self.is_given_up,
            Kept::Culled => !self.is_started && !self.is_given_up,
            Kept::Armed(_) => false,
        };
        let newest = self.heard[by].unwrap_or_else(|| model.grid.age_max());
        (0..=newest).filter(move |_| is_beating)
    }

    /// The ages of the beats whose echo the agent may read, one for all that do the same.
    pub(super) fn echoes(
        &self,
        by: usize,
        model: &Model,
        leases: &Leases,
    ) -> impl Iterator<Item = u8> + use<> {
        let mut ages = Vec::new();
        let mut last = self.kept;
        let newest = self.heard[by].unwrap_or(u8::MAX);
        for age in newest..=model.grid.age_max() {
            let renewed = leases.renewed(self.kept, EPOCHS[by], age);
            let is_fresh = matches!(model.goal, Goal::NoHarm(_)) && age < self.echoed;
            if renewed != last || is_fresh {
                ages.push(age);
            }
            last = renewed;
        }
        ages.into_iter()
    }

    /// The orders to start that may arrive and start something: the echo of each, one for all that do
    /// the same. Any beat that was heard may be echoed, and none at all; an order that is sent after the
    /// rank was given up starts another life.
    pub(super) fn orders(
        &self,
        by: usize,
        model: &Model,
        leases: &Leases,
    ) -> impl Iterator<Item = Option<u8>> + use<> {
        let newest = self.heard[by].unwrap_or(u8::MAX);
        let echoes = (newest..=model.grid.age_max()).map(Some).chain([None]);
        let (mut orders, mut last) = (Vec::new(), None);
        for echoed in echoes.filter(|_| !self.is_started) {
            let admitted = leases.admitted(self.kept, EPOCHS[by], echoed);
            if admitted.is_some() && admitted != last {
                orders.push(echoed);
            }
            last = admitted;
        }
        orders.into_iter()
    }

    /// The agent reads an order to start.
    pub(super) fn start(&mut self, by: usize, echoed: Option<u8>, leases: &Leases) {
        if let Some(admitted) = leases.admitted(self.kept, EPOCHS[by], echoed) {
            (self.kept, self.is_started) = (admitted, true);
        }
    }

    /// Whether it runs.
    pub(super) const fn is_alive(&self) -> bool {
        self.is_started && self.kept.is_alive()
    }

    /// The controller hears a beat, and answers with the echo of the newest it has heard.
    pub(super) fn hear(&mut self, by: usize, age: u8, is_reigning: bool, model: &Model) {
        let newest = self.heard[by].map_or(age, |newest| newest.min(age));
        self.heard[by] = Some(newest);
        if !is_reigning {
            return;
        }
        let mut silence = self.silence(by, NOW, model);
        let _was_doubted = silence.heard(match model.variant {
            Variant::CountedFromPoll => NOW.before(model.check(by)),
            Variant::Sound
            | Variant::NoEcho
            | Variant::ArmedLate
            | Variant::CountedFromBeginning
            | Variant::BothReign
            | Variant::ArmedByOrder => NOW,
        });
        self.set_silence(&silence, by, NOW, model);
    }

    /// The agent reads a renewal.
    pub(super) fn renew(&mut self, by: usize, age: u8, leases: &Leases, goal: Goal) {
        let is_refused = self.kept.epoch().is_some_and(|obeyed| EPOCHS[by] < obeyed);
        self.kept = leases.renewed(self.kept, EPOCHS[by], age);
        if matches!(goal, Goal::NoHarm(_)) && !is_refused {
            self.echoed = self.echoed.min(age);
        }
    }

    /// A step passes for the agent, and for what is on its way.
    pub(super) fn age(&mut self, leases: &Leases, model: &Model) {
        let older = |age: u8| (age + 1).min(model.grid.age_max());
        self.kept = leases.passed(self.kept);
        self.heard = self.heard.map(|heard| heard.map(older));
        if matches!(model.goal, Goal::NoHarm(_)) {
            self.echoed = older(self.echoed);
        }
    }

    /// The same step passes for the controller, which judges if it was not paused.
    pub(super) fn be_judged(&mut self, by: usize, was_paused: bool, model: &Model) {
        let step = model.steps[by];
        let now = NOW + step;
        let mut silence = self.silence(by, NOW, model);
        if was_paused {
            let pause = Pause { at_least: step, at_most: step, until: now };
            silence.forgive(pause, &model.grid.times);
        } else {
            let at = model.grid.judge_reading(now, step);
            let verdict = silence.judge(at, &model.grid.times, Duration::ZERO);
            self.is_given_up |= matches!(verdict, Some(Verdict::GivenUp { .. }));
        }
        self.set_silence(&silence, by, now, model);
    }

    /// A controller that dies counts no more; one that starts counts from then on.
    pub(super) fn change_reign(&mut self, is_start: bool, model: &Model) {
        let mut silence = Silence::since(NOW);
        if is_start && model.variant == Variant::CountedFromBeginning {
            silence = Silence::since(NOW.before(model.steps[1] * u32::from(model.grid.age_max())));
        }
        self.set_silence(&silence, 1, NOW, model);
    }

    /// Forgets echoes that cannot change anything any more; the tables have checked that.
    pub(super) fn forget(&mut self, is_first_over: bool, model: &Model) {
        let (Some(epoch), Some(counted)) = (self.kept.epoch(), self.kept.counted()) else { return };
        if model.variant == Variant::NoEcho {
            return;
        }
        let is_stale = |age: u8| age >= counted;
        if is_first_over && (epoch > EPOCHS[0] || self.heard[0].is_some_and(is_stale)) {
            self.heard[0] = None;
        }
        for (heard, own) in self.heard.iter_mut().zip(EPOCHS) {
            // It stays heard: its epoch may still be adopted.
            if own >= epoch && heard.is_some_and(is_stale) {
                *heard = Some(model.grid.age_max());
            }
        }
    }

    /// The rank as one number that is not zero.
    pub(super) fn key(&self) -> u64 {
        let [first, second] = self.heard.map(|heard| heard.unwrap_or(u8::MAX));
        let flags =
            u8::from(self.is_started) << 3 | (self.contact as u8) << 1 | u8::from(self.is_given_up);
        let [kind, counted] = self.kept.key();
        u64::from_be_bytes([0, kind, counted, first, second, self.silent, self.echoed, flags])
    }

    fn silence(&self, by: usize, now: Timestamp, model: &Model) -> Silence {
        let heard_at = now.before(model.steps[by] * u32::from(self.silent));
        // Excused already: then the verdict is the earliest that can be.
        Silence { heard_at, contact: self.contact, given_up: self.is_given_up, excused: true }
    }

    fn set_silence(&mut self, silence: &Silence, by: usize, now: Timestamp, model: &Model) {
        let silent = Grid::steps(now.since(silence.heard_at), model.steps[by]);
        self.silent = silent.min(model.grid.age_max());
        self.contact = silence.contact;
    }
}
