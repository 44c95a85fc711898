//! `lives`: whether each rank has had the lives that it was to have, and answered in no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mesh_core::{Escalation, EscalationReason, Incarnation};

use super::{After, Case, KNOWN_WITHIN, is_silent};
use crate::ledger::{Ledger, Life, OF_LIVES, Send, Watcher};
use crate::plan::MANY;
use crate::world::CULLED_WITHIN;

impl Case<'_> {
    /// H2, R1: who was given up answers nobody who knows, and takes nothing from him, whether it lives or not.
    pub(super) fn given_up(&self, wrong: &mut Vec<String>) {
        let Some(all) = self.ledger.watchers.get("all") else { return };
        let silent = all.ends.iter().filter(|(_, end)| is_silent(&end.status));
        // It may begin again with others that do.
        let silent = silent.filter(|(of, _)| !self.ledger.lives_again(**of));
        let silent: BTreeMap<usize, Duration> =
            silent.map(|((rank, _), end)| (*rank, end.at)).collect();
        // A rank that sends may be cut off with those who do not know.
        let sends = self.ledger.sends.iter().filter(|((sender, _), _)| *sender < OF_LIVES);
        for (number, send) in sends.filter(|(_, send)| !self.is_after_death(send)) {
            let is_late =
                |rank: &&usize| silent.get(rank).is_some_and(|at| *at + KNOWN_WITHIN <= send.begun);
            let answers = send.to.iter().filter(is_late).filter(|it| !send.errors.contains_key(it));
            for rank in answers {
                let Send { kind, begun, .. } = send;
                wrong.push(format!(
                    "H2: {kind} {number:?} at {begun:?} is taken by rank {rank}, which was given up"
                ));
            }
        }
    }

    /// RS1, RS3: no more begin again than may, and that it is not enough is told once, to all; if it is not, all that
    /// can begin again do.
    pub(super) fn restarts(&self, after: &After, wrong: &mut Vec<String>) {
        if self.ledger.died_at.is_some() {
            return;
        }
        let Ledger { promises, escalations, watchers, .. } = self.ledger;
        let is_together = self.plan.is_together();
        let n_restarts = if is_together {
            // All that begin together are one restart: whoever is in each has had as many.
            let lives = watchers.get("all").into_iter().flat_map(|all| all.lives.keys());
            lives.map(|(_, life)| life.number() as usize).max().unwrap_or(0)
        } else {
            promises.values().filter(|is_promised| **is_promised).count()
        };
        let n_most = if self.plan.restarts { self.plan.max_restarts as usize } else { 0 };
        if n_restarts > n_most {
            wrong.push(format!("RS3: {n_restarts} are to begin again, and {n_most} may"));
        }
        let mut taken_back = BTreeSet::new();
        for life in &self.ledger.withdrawn {
            let all = watchers.get("all").into_iter().flat_map(|all| all.lives.keys());
            let begins = all.into_iter().any(|(rank, it)| *rank == life.0 && *it > life.1);
            if !taken_back.insert(life) || begins || promises.get(life) != Some(&true) {
                wrong.push(format!("RS1: that {life:?} begins again is taken back for nothing"));
            }
        }
        // Whom the first has promised a start may turn out not to be able to: that is told, too.
        let is_broken = |it: &Escalation| is_together && !it.starting.is_empty();
        if escalations.len() > 1 + usize::from(escalations.first().is_some_and(is_broken)) {
            wrong.push(format!("RS3: it is told again: {escalations:?}"));
        }
        for escalation in escalations.iter().filter(|_| !is_together) {
            if n_restarts < n_most {
                wrong.push(format!("RS3: {escalation}, and {n_restarts} of {n_most} were"));
            }
        }
        // Restarts that begin together are fewer than those that are granted: one may join another.
        let is_enough = |it: &&Escalation| {
            is_together
                && it.reason == EscalationReason::Intensity
                && self.plan.max_restarts == MANY
        };
        let is_whole = self.crashed.is_empty() && after.homeless.is_empty();
        let can_start = |it: &&Escalation| is_whole && it.reason == EscalationReason::CannotStart;
        for escalation in escalations.iter().filter(|it| is_enough(it) || can_start(it)) {
            wrong.push(format!("RS3: {escalation}, for no reason"));
        }
        for (name, Watcher { n_escalated, .. }) in watchers {
            if *n_escalated != escalations.len() {
                let n = escalations.len();
                wrong.push(format!("RS3: {name} is told {n_escalated} times, the owner {n}"));
            }
        }
        let is_left = |(of @ (rank, _), is_promised): &(&(usize, Incarnation), &bool)| {
            let is_over = after.homeless.contains(rank) || self.ledger.lives_again(**of);
            !**is_promised && !is_over
        };
        if self.plan.restarts && escalations.is_empty() {
            let left = promises.iter().filter(is_left).map(|(life, _)| life);
            wrong.extend(left.map(|life| format!("RS1: {life:?} does not begin again")));
        }
    }

    /// RS1, N9: ranks are let go only where another one has failed with which they begin again, and then all of them end
    /// before any of them begins.
    pub(super) fn rounds(&self, wrong: &mut Vec<String>) {
        if !self.plan.is_together() {
            return;
        }
        let all = &self.ledger.lives;
        let told = self.ledger.watchers.get("all").into_iter().flat_map(|all| &all.ends);
        let told: Vec<_> = told.filter(|(_, end)| end.status.is_failure()).collect();
        for (rank, lives) in self.lives.iter().enumerate() {
            for life in lives.iter().filter(|life| life.is_let_go() && life.is_asked()) {
                let has_failed = |it: &&Life| {
                    let is_before = it.ended.is_some_and(|ended| Some(ended) <= life.ended);
                    is_before && (it.has_failed() || it.is_let_go() && !it.is_asked())
                };
                // Of who never began it is told, and of who was given up.
                let is_told = told.iter().filter(|(_, end)| Some(end.at) <= life.ended);
                let is_so = all.iter().filter(has_failed).map(|it| it.rank);
                let is_so = is_so.chain(is_told.map(|((rank, _), _)| *rank));
                if !is_so.into_iter().any(|failed| self.plan.begins_again(rank, failed)) {
                    let ended = life.ended;
                    wrong.push(format!("N9, RS1: rank {rank} ends at {ended:?} for nothing"));
                }
            }
            for (one, next) in lives.iter().zip(lives.iter().skip(1)) {
                if self.ledger.is_unseen(one) {
                    continue;
                }
                let is_in_both = |it: &&Life| {
                    self.plan.begins_again(it.rank, rank)
                        && Some(it.begun) < one.ended
                        && it.ended.is_none_or(|ended| ended > next.begun)
                };
                for other in all.iter().filter(is_in_both) {
                    let (begun, other) = (next.begun, other.rank);
                    wrong.push(format!("RS1: rank {rank} begins at {begun:?}, {other} lives on"));
                }
            }
        }
    }

    /// C2, K2: those whose owner has died end too, and in time, of which a pause of their own is no part: nobody is blamed
    /// for it, and whoever goes on waits as long as any other until a keeper is lost. K1: nobody begins before who was there
    /// has ended.
    pub(super) fn orphaned(&self, wrong: &mut Vec<String>) {
        let died_at = self.ledger.died_at;
        for (rank, lives) in self.lives.iter().enumerate() {
            for life in lives {
                let since = died_at.map(|died_at| died_at.max(life.begun));
                let until = since.map(|since| self.ledger.after(rank, (since, CULLED_WITHIN)));
                if until.is_some_and(|until| life.ended.is_none_or(|ended| ended > until)) {
                    let Life { begun, ended, .. } = life;
                    wrong.push(format!(
                        "C2, K2: rank {rank} lives from {begun:?} to {ended:?}, its owner to {died_at:?}"
                    ));
                }
            }
            for (one, next) in lives.iter().zip(lives.iter().skip(1)) {
                if one.ended.is_none_or(|ended| ended > next.begun) {
                    let (begun, ended) = (next.begun, one.ended);
                    wrong.push(format!(
                        "K1: rank {rank} begins at {begun:?}, the life before ends at {ended:?}"
                    ));
                }
            }
        }
    }
}
