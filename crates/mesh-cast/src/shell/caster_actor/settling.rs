//! What a caster says when it has nothing to cast: what is settled, that it is there, and farewell.

use std::time::Duration;

use mesh_runtime::{Context, Stop};
use tokio::time::Instant;

use super::CasterActor;
use crate::shell::casters::leave;
use crate::shell::relay_actor::FORGOTTEN_AFTER;

/// How long it says nothing of what is settled, so that the next cast can say it.
const SETTLED_AFTER: Duration = Duration::from_secs(1);

/// How often it says that it is there while a cast is open.
const ALIVE_EVERY: Duration = Duration::from_secs(60);

/// After a pause that is longer than this relays may have forgotten its casts: it begins anew.
const STALE_AFTER: Duration = Duration::from_secs(300);

const _: () = assert!(STALE_AFTER.as_secs() * 2 <= FORGOTTEN_AFTER.as_secs());

/// How long it waits until its farewell is on its way.
const LEAVES_WITHIN: Duration = Duration::from_secs(10);

impl CasterActor {
    /// Says what is settled, so that relays forget it, or that casts are open, so that they do not.
    pub(super) fn say_settled(&mut self, cx: &Context<Self>) {
        let settled = self.caster.settled();
        let is_open = self.caster.n_flights() > 0;
        let is_news = self.active.elapsed() > SETTLED_AFTER && settled != self.said;
        // Casts to slices are heard of by some only.
        let is_silent = is_open && self.said_at.elapsed() > ALIVE_EVERY;
        let is_due = self.left.is_none() && (is_news || is_silent);
        let Some(book) = self.book.as_ref().filter(|_| is_due) else { return };
        let words = self.caster.settle(book.whole());
        (self.said, self.said_at) = (settled, Instant::now());
        self.perform(words, cx);
    }

    /// One that nobody uses, and nothing of which is on its way, says farewell, and ends when that is sent.
    pub(super) fn leave(&mut self, cx: &mut Context<Self>) {
        let is_idle = self.caster.n_flights() == 0;
        let is_unused = self.left.is_none() && is_idle && self.users.is_none();
        if is_unused && leave(cx.proc(), self.mesh, cx.me()) {
            let words = self.book.as_ref().map(|book| self.caster.farewell(book.whole()));
            self.perform(words.unwrap_or_default(), cx);
            self.left = Some(Instant::now());
            self.is_over = true;
        }
        let is_said = |left: Instant| self.links.posts.is_idle() || left.elapsed() > LEAVES_WITHIN;
        if self.left.is_some_and(is_said) {
            cx.stop(Stop::Drain);
        }
    }

    pub(super) fn is_stale(&self) -> bool {
        self.ticked.elapsed() > STALE_AFTER
    }
}
