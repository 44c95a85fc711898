//! `ProcState`: what the process of a rank is, by the word of whichever controller has it.

use mesh_core::{Change, Epoch, Incarnation, Status};

/// What the process of a rank is.
#[derive(Clone, Debug)]
pub(super) struct ProcState {
    pub(super) incarnation: Incarnation,
    pub(super) status: Status,
    /// It has ended, and is started again.
    pub(super) will_restart: bool,
    /// Which controller has said so.
    told_by: Epoch,
}

impl ProcState {
    /// Nobody has said anything of it yet.
    pub(super) const UNHEARD: Self = Self {
        incarnation: Incarnation::FIRST,
        status: Status::Initializing,
        will_restart: false,
        told_by: Epoch::FIRST,
    };

    /// Takes what a controller says of it. Returns whether that says anything.
    pub(super) fn take(&mut self, change: &Change, by: Epoch) -> bool {
        // Whoever has adopted the processes knows of none until its agent has spoken of it: that says nothing. But that
        // it has given it up does, also where it has never heard which life that was (K3).
        let is_given_up = by > self.told_by && matches!(change.status, Status::Timeout { .. });
        let is_past = change.incarnation < self.incarnation && !is_given_up;
        if is_past || change.status == Status::NotExist {
            return false;
        }
        let has_ended = change.incarnation <= self.incarnation && self.status.is_terminal();
        if has_ended && !change.status.is_terminal() {
            return false;
        }
        // How it has ended stays, whatever a successor knows of that (H2).
        if !has_ended {
            (self.incarnation, self.status) = (change.incarnation, change.status.clone());
        }
        (self.will_restart, self.told_by) = (change.restart_in.is_some(), by);
        true
    }

    /// It is started again, as this controller says. Returns whether it has ended, and that was not known.
    pub(super) fn promise(&mut self, by: Epoch) -> bool {
        let is_news = self.has_ended_for_good();
        if is_news {
            (self.will_restart, self.told_by) = (true, by);
        }
        is_news
    }

    /// It is not started again, if it was to be and that was said `by` this controller. Returns whether that is so.
    pub(super) fn break_promise(&mut self, by: Option<Epoch>) -> bool {
        let is_broken = self.will_restart && by.is_none_or(|by| by == self.told_by);
        self.will_restart &= !is_broken;
        is_broken
    }

    /// Whether it has ended, and no other life of it was announced.
    pub(super) const fn has_ended_for_good(&self) -> bool {
        self.status.is_terminal() && !self.will_restart
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::{Cause, Reason};
    use mesh_shape::{Rank, RankSet};

    use super::*;

    const SECOND: Incarnation = Incarnation::FIRST.next();
    const SUCCESSOR: Epoch = Epoch::FIRST.next();
    const GIVEN_UP: Status = Status::Timeout { after: Duration::from_secs(6), cause: None };

    fn change(incarnation: Incarnation, status: Status) -> Change {
        let (restart_in, age) = (None, Duration::ZERO);
        Change { ranks: RankSet::from_iter([Rank::new(0)]), incarnation, status, restart_in, age }
    }

    /// RS3, K3: what another controller has promised is not broken by one that has not heard of that end.
    #[test]
    fn a_promise_is_broken_by_whoever_has_made_it() {
        let mut proc = ProcState::UNHEARD;
        let to_begin_again = Change {
            restart_in: Some(Duration::from_secs(1)),
            ..change(Incarnation::FIRST, Status::Stopped)
        };
        assert!(!proc.break_promise(None), "there is none");
        assert!(proc.take(&to_begin_again, Epoch::FIRST));
        assert!(!proc.break_promise(Some(SUCCESSOR)));
        assert!(!proc.has_ended_for_good());
        assert!(proc.break_promise(Some(Epoch::FIRST)) && proc.has_ended_for_good());
        assert!(!proc.break_promise(Some(Epoch::FIRST)), "once");
        assert!(proc.take(&to_begin_again, Epoch::FIRST) && proc.break_promise(None));
    }

    fn in_its_second_life() -> ProcState {
        let mut proc = ProcState::UNHEARD;
        assert!(proc.take(&change(SECOND, Status::Running), Epoch::FIRST));
        proc
    }

    /// N1, R1, C1, K3
    #[test]
    fn whom_a_successor_gives_up_unheard_has_ended_in_whichever_life() {
        let mut proc = in_its_second_life();
        assert!(!proc.take(&change(Incarnation::FIRST, GIVEN_UP), Epoch::FIRST), "that is past");
        assert_eq!(proc.status, Status::Running);
        assert!(proc.take(&change(Incarnation::FIRST, GIVEN_UP), SUCCESSOR));
        assert_eq!(proc.status, GIVEN_UP);
    }

    /// N9: what a successor has told of a later life is not ended by what it has said of an earlier one.
    #[test]
    fn who_lives_again_is_not_given_up_by_what_is_past() {
        let mut proc = in_its_second_life();
        assert!(proc.take(&change(SECOND, Status::Running), SUCCESSOR));
        assert!(!proc.take(&change(Incarnation::FIRST, GIVEN_UP), SUCCESSOR));
        assert_eq!(proc.status, Status::Running);
    }

    /// H2
    #[test]
    fn no_successor_undoes_how_a_process_has_ended() {
        let killed = Status::failed(Cause::new(Reason::Exit { code: 1 }));
        let mut proc = in_its_second_life();
        assert!(proc.take(&change(SECOND, killed.clone()), Epoch::FIRST));
        assert!(!proc.take(&change(SECOND, Status::Running), SUCCESSOR));
        assert!(proc.take(&change(SECOND, GIVEN_UP), SUCCESSOR));
        assert_eq!((proc.incarnation, &proc.status), (SECOND, &killed));
        assert!(proc.take(&change(Incarnation::FIRST, GIVEN_UP), SUCCESSOR.next()));
        assert_eq!((proc.incarnation, proc.status), (SECOND, killed));
        let mut next = in_its_second_life();
        assert!(next.take(&change(SECOND.next(), Status::Running), SUCCESSOR));
    }
}
