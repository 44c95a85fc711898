//! How long one agent has been silent, and what that has come to mean: arithmetic, and nothing else.

use std::time::Duration;

use mesh_core::Timestamp;

use crate::config::Times;

/// Whether an agent is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Contact {
    Heard,
    Suspect,
    Unreachable,
}

/// The silence of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Silence {
    heard_at: Timestamp,
    contact: Contact,
    /// Its ranks have been given up: by now their lease has run out.
    given_up: bool,
    /// This side was paused since it was heard, and has forgiven the longest that that can have been.
    excused: bool,
}

/// A pause of this side, seen when it is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// Since the deadline that was missed.
    pub(crate) at_least: Duration,
    /// Since the event before.
    pub(crate) at_most: Duration,
    pub(crate) until: Timestamp,
}

/// What a silence has come to mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Contact(Contact),
    GivenUp { after: Duration },
}

impl Silence {
    /// Counted from `now` on.
    pub(crate) const fn since(now: Timestamp) -> Self {
        Self { heard_at: now, contact: Contact::Heard, given_up: false, excused: false }
    }

    /// It was heard. Returns whether it had been doubted.
    pub(crate) fn heard(&mut self, now: Timestamp) -> bool {
        let was_doubted = self.contact != Contact::Heard;
        *self = Self::since(now);
        was_doubted
    }

    /// This side was paused: nobody is to blame for it (rule 6 of the design).
    ///
    /// When the pause began is not known, and what came meanwhile may not have been read when this is
    /// called. So who was not doubted is forgiven the longest that the pause can have been, and has at
    /// least a heartbeat's time to be heard in; but once only until it is heard, or a side that is always
    /// late would never doubt anybody.
    pub(crate) fn forgive(&mut self, pause: Pause, times: &Times) {
        let Pause { at_least, at_most, until } = pause;
        let is_first = self.contact == Contact::Heard && !self.excused;
        let forgiven = if is_first { at_most } else { at_least };
        self.heard_at = (self.heard_at + forgiven).min(until);
        if is_first {
            // Before that neither the silence nor a poll that was not answered means anything.
            let first_doubt = times.suspect.min(times.poll_deadline);
            let counted_at_most = first_doubt.saturating_sub(times.heartbeat);
            self.heard_at = self.heard_at.max(until.before(counted_at_most));
        }
        self.excused = true;
    }

    /// It is gone, and will not answer. Returns whether that is news.
    pub(crate) fn lost(&mut self) -> bool {
        let is_news = self.contact != Contact::Unreachable;
        self.contact = Contact::Unreachable;
        is_news
    }

    /// It was asked at `sent` and has had the time to answer (L3). Returns whether it becomes suspect.
    pub(crate) fn doubt_since(&mut self, sent: Timestamp) -> bool {
        let becomes = self.contact == Contact::Heard && self.heard_at < sent;
        if becomes {
            self.contact = Contact::Suspect;
        }
        becomes
    }

    /// What the silence means at `now`, if that is more than it meant before. Giving up is held back
    /// by `hold`.
    pub(crate) fn judge(
        &mut self,
        now: Timestamp,
        times: &Times,
        hold: Duration,
    ) -> Option<Verdict> {
        let silence = now.since(self.heard_at);
        if self.given_up {
            return None;
        }
        if silence >= times.timeout.saturating_add(hold) {
            self.given_up = true;
            self.contact = Contact::Unreachable;
            return Some(Verdict::GivenUp { after: silence });
        }
        let contact = if silence >= times.unreachable {
            Contact::Unreachable
        } else if silence >= times.suspect {
            Contact::Suspect
        } else {
            Contact::Heard
        };
        if contact <= self.contact {
            return None;
        }
        self.contact = contact;
        Some(Verdict::Contact(contact))
    }

    /// When it will mean more; `None` if it never will.
    pub(crate) fn due(&self, times: &Times) -> Option<Timestamp> {
        let bound = match self.contact {
            Contact::Heard => times.suspect,
            Contact::Suspect => times.unreachable,
            Contact::Unreachable => times.timeout,
        };
        (!self.given_up).then(|| self.heard_at + bound)
    }

    /// Whether it is so long that the agent cannot be reached.
    pub(crate) fn is_long(&self, now: Timestamp, times: &Times) -> bool {
        now.since(self.heard_at) >= times.unreachable
    }

    /// When it began, if the agent has been given up.
    pub(crate) fn given_up_since(&self) -> Option<Timestamp> {
        self.given_up.then_some(self.heard_at)
    }

    pub(crate) const fn is_given_up(&self) -> bool {
        self.given_up
    }
}

#[cfg(test)]
mod exhaustive;
