//! By which session the messages of one lane go to one peer, and when another one takes over: [`Route`].
//!
//! Between two sessions there is no order. So before the first message goes by another session than the one before
//! it, the peer has acknowledged all that went by that one; then none can be overtaken. Whoever is to send waits for
//! that, no longer than a session lasts: what is not acknowledged by its end comes back.
//!
//! There is no clock, no I/O and no waiting here; what sessions say is asked of them.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mesh_core::Outbound;

/// The way of the messages of one lane to one peer.
#[derive(Default)]
pub(crate) struct Route {
    /// The sessions on this very lane, oldest first: two, where both sides have dialled at once.
    own: Vec<Arc<dyn Outbound>>,
    /// By which the messages go, if there were any.
    stretch: Option<Arc<Stretch>>,
    /// What is to be acknowledged before the next message may go. Bound: one for each session with the peer.
    before: Vec<Before>,
}

/// Some messages that follow each other by the same session.
pub(crate) struct Stretch {
    session: Arc<dyn Outbound>,
    /// Whether the session is on the lane of the messages.
    is_own: bool,
    /// Another session has taken over.
    is_over: AtomicBool,
}

/// So many envelopes of a session.
#[derive(Clone)]
pub(crate) struct Before {
    pub(crate) session: Arc<dyn Outbound>,
    pub(crate) n_taken: u64,
}

/// What whoever has a message is to do.
pub(crate) enum Step {
    /// Send it by this session.
    Send(Arc<Stretch>),
    /// Ask again when this was acknowledged.
    Wait(Before),
    /// There is no session.
    Nowhere,
}

impl Route {
    /// There is another session on this lane.
    pub(crate) fn connect(&mut self, session: Arc<dyn Outbound>) {
        self.own.push(session);
    }

    /// Forgets the sessions that have ended. `false` if nothing is left.
    pub(crate) fn tidy(&mut self) -> bool {
        self.own.retain(|session| session.is_open());
        self.before.retain(|before| before.session.is_open());
        self.stretch.take_if(|stretch| !stretch.session.is_open());
        !self.own.is_empty() || self.stretch.is_some() || !self.before.is_empty()
    }

    /// The sessions on this lane.
    pub(crate) fn own(&self) -> &[Arc<dyn Outbound>] {
        &self.own
    }

    /// The oldest session on this lane that is open.
    pub(crate) fn first(&self) -> Option<&Arc<dyn Outbound>> {
        self.own.iter().find(|session| session.is_open())
    }

    /// By which session the next message goes, where there is nothing to wait for and nothing to change: so it is
    /// for almost every message.
    pub(crate) fn settled(&self) -> Option<&Arc<Stretch>> {
        let stretch = self.stretch.as_ref().filter(|stretch| stretch.session.is_open())?;
        let stays = self.before.is_empty() && (stretch.is_own || self.first().is_none());
        stays.then_some(stretch)
    }

    /// The session by which the last message went that the peer may not have yet: what is said of a message is best
    /// said behind it.
    pub(crate) fn last(&self) -> Option<&Arc<dyn Outbound>> {
        let before = self.before.iter().map(|before| &before.session);
        let present = self.stretch.iter().map(|stretch| &stretch.session);
        before.chain(present).find(|session| session.is_open())
    }

    /// What is to be done for the next message. `other` is a session with the peer on another lane: it is better
    /// than none.
    pub(crate) fn step(&mut self, other: Option<Arc<dyn Outbound>>) -> Step {
        let present = self.stretch.as_ref().filter(|stretch| stretch.session.is_open()).cloned();
        let stretch = match present {
            // Also if there is an older one: nothing changes without need.
            Some(present) if present.is_own => present,
            present => match (self.first(), present, other) {
                (Some(own), ..) => self.take_over(Arc::clone(own), true),
                (None, Some(present), _) => present,
                (None, None, Some(other)) => self.take_over(other, false),
                (None, None, None) => return Step::Nowhere,
            },
        };
        // What goes by the same session cannot overtake.
        let is_past = |it: &Arc<dyn Outbound>| !it.is_open() || is_same(it, &stretch.session);
        self.before.retain(|before| !is_past(&before.session));
        match self.before.first() {
            Some(before) => Step::Wait(before.clone()),
            None => Step::Send(stretch),
        }
    }

    /// This was acknowledged.
    pub(crate) fn acknowledged(&mut self, past: &Before) {
        self.before.retain(|before| {
            !is_same(&before.session, &past.session) || before.n_taken > past.n_taken
        });
    }

    /// A message was taken by the session of a stretch that was over by then: whoever has sent it may send the next
    /// one, which is to come after it.
    pub(crate) fn was_late(&mut self, stretch: &Stretch) {
        let is_present = |present: &Arc<Stretch>| is_same(&present.session, &stretch.session);
        if !self.stretch.as_ref().is_some_and(is_present) {
            self.wait_for(Arc::clone(&stretch.session));
        }
    }

    fn take_over(&mut self, session: Arc<dyn Outbound>, is_own: bool) -> Arc<Stretch> {
        let next = Arc::new(Stretch { session, is_own, is_over: AtomicBool::new(false) });
        if let Some(old) = self.stretch.replace(Arc::clone(&next)) {
            // First said, then counted: who is about to send by it is counted here, or sees that it is over.
            old.is_over.store(true, Ordering::SeqCst);
            self.wait_for(Arc::clone(&old.session));
        }
        next
    }

    /// All that the session has taken by now is to be acknowledged first.
    fn wait_for(&mut self, session: Arc<dyn Outbound>) {
        let n_taken = session.n_taken();
        match self.before.iter_mut().find(|before| is_same(&before.session, &session)) {
            Some(before) => before.n_taken = before.n_taken.max(n_taken),
            None => self.before.push(Before { session, n_taken }),
        }
    }
}

impl Stretch {
    /// The session.
    pub(crate) fn session(&self) -> &dyn Outbound {
        &*self.session
    }

    /// Whether it lasts until its session ends, which tells whoever waits for that. Another is left as soon as there
    /// is a better one.
    pub(crate) const fn is_to_last(&self) -> bool {
        self.is_own
    }

    /// Whether another session has taken over. To be asked when a message was taken.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}

fn is_same(one: &Arc<dyn Outbound>, other: &Arc<dyn Outbound>) -> bool {
    ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

#[cfg(test)]
mod tests;
