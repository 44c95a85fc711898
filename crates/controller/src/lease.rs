//! The agent's side of a lease: how long what it keeps may live without word of the controller.

use std::collections::VecDeque;
use std::time::Duration;

use mesh_core::{BeatSeq, Epoch, Timestamp};

/// How long an agent lets the ranks of one mesh live without word of their controller (K1, K2).
///
/// It ends one term after the *sending* of the newest beat that the controller has echoed. A
/// renewal that was on its way for long therefore extends nothing, and whatever the controller
/// counts from a beat that it has heard ends later than the lease: there are never two live
/// incarnations.
///
/// An agent that hears another controller than before sends it a beat at once: what the one before has echoed may be
/// old, and the lease would run out while the successor waits for a beat that it can echo (K1, K3).
///
/// The moments are of the agent's own clock, one that also counts suspend (`CLOCK_BOOTTIME`).
///
/// # State
///
/// Armed from the start; renewed any number of times; it may be paused and resumed. Once it has run
/// out, only an order to start that echoes a beat of this term lets it run again. At most
/// [`Self::BEATS_MAX`] beats are remembered.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use controller::Lease;
/// use mesh_core::{BeatSeq, Epoch, Timestamp};
///
/// let at = |seconds| Timestamp::from_start(Duration::from_secs(seconds));
/// let mut lease = Lease::armed(at(0), Duration::from_secs(10), Epoch::FIRST);
/// lease.beat_sent(at(4), BeatSeq::FIRST);
/// lease.renewed(at(9), Epoch::FIRST, BeatSeq::FIRST)?;
/// assert_eq!(lease.ends_at(), Some(at(14)), "counted from the beat, not from the renewal");
/// assert!(!lease.expire(at(13)));
/// assert!(lease.expire(at(14)), "cull now");
/// assert!(!lease.expire(at(15)), "but once");
/// # Ok::<(), controller::RefusedEpoch>(())
/// ```
///
/// # Source
///
/// Gray and Cheriton, "Leases" (1989): the holder's term ends before the grantor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    term: Duration,
    epoch: Epoch,
    state: State,
    /// The newest beat sent, whether it is kept in `beats` or not: what is later was never sent.
    newest_sent: Option<BeatSeq>,
    // Invariant: sequence numbers strictly increase, moments never decrease, neighbours are at
    // least `term / BEATS_PER_TERM` apart, and all are newer than the newest echoed one.
    beats: VecDeque<SentBeat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SentBeat {
    seq: BeatSeq,
    at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running { ends_at: Timestamp },
    Paused { since: Timestamp, left: Duration },
    Culled,
}

impl Lease {
    /// The most beats that one lease remembers.
    pub const BEATS_MAX: usize = BEATS_PER_TERM as usize + 2;

    /// A lease that ends one `term` from now: every supervised spawn has one at once (K2).
    #[must_use]
    pub fn armed(now: Timestamp, term: Duration, epoch: Epoch) -> Self {
        Self {
            term,
            epoch,
            state: State::Running { ends_at: now + term },
            newest_sent: None,
            beats: VecDeque::new(),
        }
    }

    /// Remembers that the beat `seq` was sent. A number that is not newer than the last is ignored.
    ///
    /// Beats whose echo could not extend the lease any more are forgotten, and of beats that follow
    /// each other closer than the term allows to remember, only the first is kept: an echo of the
    /// others counts as an echo of that one. Forgetting thus shortens a lease, and never extends it.
    pub fn beat_sent(&mut self, now: Timestamp, seq: BeatSeq) {
        if self.newest_sent.is_some_and(|newest| seq <= newest) {
            return;
        }
        self.newest_sent = Some(seq);
        while self.beats.front().is_some_and(|oldest| now.since(oldest.at) > self.term) {
            self.beats.pop_front();
        }
        let spacing = self.term / BEATS_PER_TERM;
        if self.beats.back().is_none_or(|last| now.since(last.at) > spacing) {
            self.beats.push_back(SentBeat { seq, at: now });
        }
    }

    /// Takes a renewal: the controller of this epoch has heard the beats up to `echoed` (K1).
    ///
    /// The lease then ends one term after that beat was sent, unless it ends later already. A
    /// higher epoch is adopted (K3). An echo of a beat that was never sent, or that is too old to
    /// be remembered, extends nothing; nor does any renewal once the lease has culled.
    ///
    /// A renewal that is read after the end, but before [`Self::expire`] was asked, still counts:
    /// it says what was heard, and that does not depend on when it is read.
    ///
    /// # Errors
    ///
    /// [`RefusedEpoch`] if a higher epoch has been heard (K3). Nothing changed.
    pub fn renewed(
        &mut self,
        now: Timestamp,
        epoch: Epoch,
        echoed: BeatSeq,
    ) -> Result<(), RefusedEpoch> {
        self.obey(epoch)?;
        if !self.is_culled()
            && let Some(sent) = self.take_echoed(echoed)
        {
            self.extend(now, sent);
        }
        Ok(())
    }

    /// Takes an order of the controller of this epoch to start a rank, which echoes the newest beat that
    /// it had heard, if it had heard any. Says whether the rank may begin, under this lease.
    ///
    /// The order counts as a renewal. If the lease has culled, it runs again, as if that beat had just
    /// been echoed by one: so what an order starts ends before its controller gives it up, however long
    /// the order was on its way (K1). An order that echoes nothing lets no lease run again.
    ///
    /// # Errors
    ///
    /// [`RefusedEpoch`] if a higher epoch has been heard (K3). Nothing changed.
    pub fn admit(
        &mut self,
        now: Timestamp,
        epoch: Epoch,
        echoed: Option<BeatSeq>,
    ) -> Result<bool, RefusedEpoch> {
        self.obey(epoch)?;
        if let Some(sent) = echoed.and_then(|echoed| self.take_echoed(echoed)) {
            let ends_at = sent + self.term;
            if self.is_culled() && now < ends_at {
                self.state = State::Running { ends_at };
            }
            self.extend(now, sent);
        }
        Ok(match self.state {
            State::Running { ends_at } => now < ends_at,
            State::Paused { left, .. } => !left.is_zero(),
            State::Culled => false,
        })
    }

    /// Stops the time of the lease: its owner was suspended and took its ranks with it.
    ///
    /// Pausing twice is pausing once.
    pub fn pause(&mut self, now: Timestamp) {
        if let State::Running { ends_at } = self.state {
            self.state = State::Paused { since: now, left: ends_at.since(now) };
        }
    }

    /// Lets the time go on, with what was left of it. Nothing happens if it is not paused.
    pub fn resume(&mut self, now: Timestamp) {
        if let State::Paused { left, .. } = self.state {
            self.state = State::Running { ends_at: now + left };
        }
    }

    /// Whether the lease has run out just now: true exactly once, until an order lets it run again; and
    /// then the ranks must be killed (K2).
    #[must_use = "the ranks must be killed, and this is said only once"]
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let State::Running { ends_at } = self.state else { return false };
        let ran_out = now >= ends_at;
        if ran_out {
            self.state = State::Culled;
        }
        ran_out
    }

    /// When it runs out unless it is renewed. `None` while it is paused, and after the cull.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Running { ends_at } => Some(ends_at),
            State::Paused { .. } | State::Culled => None,
        }
    }

    /// Whether it has run out, and [`Self::expire`] has said so.
    #[must_use]
    pub const fn is_culled(&self) -> bool {
        matches!(self.state, State::Culled)
    }

    /// The highest epoch heard: the controller that is obeyed.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn obey(&mut self, epoch: Epoch) -> Result<(), RefusedEpoch> {
        if epoch < self.epoch {
            return Err(RefusedEpoch { refused: epoch, obeyed: self.epoch });
        }
        self.epoch = epoch;
        Ok(())
    }

    /// When the newest beat was sent that this echo tells of. It and those before it are forgotten.
    fn take_echoed(&mut self, echoed: BeatSeq) -> Option<Timestamp> {
        if self.newest_sent.is_none_or(|newest| echoed > newest) {
            return None;
        }
        let n_heard = self.beats.partition_point(|beat| beat.seq <= echoed);
        self.beats.drain(..n_heard).next_back().map(|beat| beat.at)
    }

    /// Moves the end to one term after `sent`, but never backwards.
    fn extend(&mut self, now: Timestamp, sent: Timestamp) {
        match &mut self.state {
            State::Running { ends_at } => *ends_at = (*ends_at).max(sent + self.term),
            // Time stands still since the pause began, also for a beat that was sent after it.
            State::Paused { since, left } => {
                let age = since.since(sent.min(now));
                *left = (*left).max(self.term.saturating_sub(age));
            }
            State::Culled => {}
        }
    }
}

/// A renewal of a controller that another one has replaced. It changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("epoch {refused} is refused: the controller of epoch {obeyed} has taken over")]
pub struct RefusedEpoch {
    /// The epoch of the renewal.
    pub refused: Epoch,
    /// The highest epoch heard.
    pub obeyed: Epoch,
}

/// How finely beats are told apart: an end is too early by at most this part of the term.
const BEATS_PER_TERM: u32 = 512;

#[cfg(test)]
mod tests;
