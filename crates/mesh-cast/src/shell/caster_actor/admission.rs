//! How a caster comes to cast what was submitted: in order, as there is room.

use std::sync::Arc;

use mesh_core::{PeerId, WhyUndelivered};
use mesh_runtime::Context;
use tokio::time::Instant;

use super::CasterActor;
use crate::caster::{Busy, Event, Full, Until};
use crate::metrics::count_refused_cast;
use crate::plan::Plan;
use crate::shell::casters::{Cast, NotCast};
use crate::shell::crowd::{Bound, Lack, Refused, Turn, Who};
use crate::shell::message::Body;
use crate::shell::pieces::MESSAGE_MAX;
use crate::shell::rolls;
use crate::shell::submit::Submit;
use crate::shell::table::{Book, Table};
use crate::shell::ticket::Ticket;

impl CasterActor {
    /// Casts what there is room for, in order. What waits for a rank holds up only what is for that rank, or of the
    /// same sender.
    pub(super) fn admit(&mut self, cx: &Context<Self>) {
        // After a long pause its next tick ends it, and what it casts before that is lost with it.
        if self.is_over || self.is_stale() {
            return;
        }
        for (number, submit) in self.users.queue.take_new() {
            // One that is for another mesh is dropped, of which whoever waits is told.
            if let Some(who) = self.who(&submit, cx) {
                self.users.queue.come(number, who, submit);
            }
        }
        while let Some(turn) = self.next_turn() {
            match turn {
                Turn::Try(number, submit) => self.take_turn((number, submit), cx),
                Turn::Refuse(refused) => self.refuse(refused),
            }
        }
    }

    fn next_turn(&mut self) -> Option<Turn<Submit>> {
        let (news, share) = (self.caster.take_news(), self.caster.share());
        self.users.queue.hear(&news, &share);
        self.users.queue.next(|lack, bytes, ranks| match lack {
            Lack::Full => self.caster.still_full(ranks, bytes),
            Lack::Silent => self.caster.still_silent(ranks),
        })
    }

    /// What is to be known of one that may have to wait.
    fn who(&mut self, submit: &Submit, cx: &Context<Self>) -> Option<Who> {
        let (plan, cast) = (self.plan(&submit.cast, cx)?, &submit.cast);
        let ranks = plan.all_ranks().difference(&cast.payload.except);
        Some(Who {
            from: cast.payload.from,
            ranks,
            is_call: cast.kind.wants_reply(),
            bytes: cast.payload.body.n_bytes(),
            is_ahead: submit.ahead.is_some(),
        })
    }

    fn take_turn(&mut self, (number, submit): (u64, Submit), cx: &Context<Self>) {
        // By the newest table, which may be newer than when it came.
        let plan = self.plan(&submit.cast, cx);
        match plan.and_then(|plan| self.submit(submit, plan, cx)) {
            None => self.users.queue.done(number),
            Some((submit, full)) => {
                let refused = self.users.queue.wait((number, submit), full);
                refused.into_iter().for_each(|refused| self.refuse(refused));
            }
        }
    }

    /// Too many wait before it. Each is counted; it is logged once until nothing of that line waits, or, where it is the
    /// bound of all together, until less than half as much does.
    fn refuse(&self, Refused { what, ranks, bound, is_first }: Refused<Submit>) {
        if is_first {
            let (mesh, name) = (self.mesh, what.cast.name);
            tracing::warn!(?mesh, name, %ranks, ?bound, "too many wait for room: refused, as more may be");
        }
        let (name, error) = match bound {
            Bound::Own => ("own", NotCast::TooMany { ranks }),
            Bound::Shared => ("shared", NotCast::TooManyTogether { ranks }),
        };
        count_refused_cast(name);
        // Whoever waited may have gone.
        _ = Submit::answer(what.accepted, Err(error));
    }

    /// The tree for a cast, by the newest table.
    fn plan(&mut self, cast: &Cast, cx: &Context<Self>) -> Option<Arc<Plan<PeerId>>> {
        self.learn(&cast.table, cx);
        let plan = self.book.as_mut()?.plan(cast.region.as_ref())?;
        Some(match &cast.range {
            Some(range) => Arc::new(plan.within(range.clone())),
            None => plan,
        })
    }

    /// Casts to a plan; what there is no room for comes back.
    fn submit(
        &mut self,
        Submit { mut cast, ahead, accepted, told }: Submit,
        plan: Arc<Plan<PeerId>>,
        cx: &Context<Self>,
    ) -> Option<(Submit, (Busy, Until))> {
        let n_bytes = cast.payload.body.n_bytes();
        if n_bytes > MESSAGE_MAX {
            _ = Submit::answer(accepted, Ok(()));
            let why = WhyUndelivered::too_large(n_bytes, MESSAGE_MAX);
            Ticket { told, cast }.refuse(&plan, why, cx);
            return None;
        }
        let plan = match cast.payload.except.is_empty() {
            true => plan,
            // Who has no actor now may have taken what was cast before: only a process that is gone is given up.
            false => Arc::new(plan.without(&cast.gone).except(&cast.payload.except)),
        };
        let (kind, payload) = (cast.kind, cast.payload.clone());
        let bytes = payload.body.n_bytes();
        let mut accepted = Some(accepted);
        let sent = match ahead {
            Some(ahead) => {
                let (number, effects) = self.caster.cast_ahead(plan, payload, bytes);
                self.ahead.push_back((number, ahead.settle()));
                Ok(Some((number, effects)))
            }
            None => {
                // Whoever waits may go at any time, and then nothing is to be sent: so it is told before.
                let claim = || accepted.take().is_some_and(|it| Submit::answer(it, Ok(())));
                self.caster.cast_if(plan, kind, (payload, bytes), claim)
            }
        };
        match sent {
            Ok(None) => None,
            Ok(Some((number, effects))) => {
                self.active = Instant::now();
                if kind.wants_reply() {
                    // Nothing of it goes back; it may be open for long.
                    cast.payload.body = Body::EMPTY;
                }
                self.tickets.insert(number, Ticket { told, cast });
                self.perform(effects, cx);
                None
            }
            Err(Full { busy, until, .. }) => {
                // Nobody has claimed it.
                let accepted = accepted?;
                Some((Submit { cast, ahead: None, accepted, told }, (busy, until)))
            }
        }
    }

    /// Takes a table over if it is newer.
    fn learn(&mut self, table: &Arc<Table>, cx: &Context<Self>) {
        let known = self.book.as_ref().map(|book| book.table().version);
        if known.is_some_and(|known| known >= table.version) {
            return;
        }
        let Some(book) = Book::new(Arc::clone(table)) else {
            tracing::warn!(mesh = ?self.mesh, "a table does not hold together: dropped");
            return;
        };
        rolls::note(cx.proc(), &book);
        let members = Arc::clone(book.members());
        self.book = Some(book);
        let effects = self.caster.step(Event::Members(members));
        self.perform(effects, cx);
    }
}
