//! `Ticket`: who is told what came of a cast.

use bytes::Bytes;
use mesh_core::{Fault, PeerId, WhyUndelivered};
use mesh_runtime::Context;
use mesh_shape::Overlay;
use tokio::sync::mpsc;

use super::caster_actor::CasterActor;
use super::casters::{Cast, Told};
use super::message::Payload;
use crate::plan::Plan;
use crate::wire::{Failure, Outcome, Part};

/// Who is told what came of a cast.
pub(super) struct Ticket {
    /// For a call.
    pub(super) told: Option<mpsc::UnboundedSender<Told>>,
    pub(super) cast: Cast,
}

impl Ticket {
    /// Tells what came of it at some ranks. A cast that was not taken goes back to who sent it; of ranks that
    /// it was not sent to that is known already.
    pub(super) fn tell(&self, outcomes: Overlay<Outcome<Bytes>>, cx: &Context<CasterActor>) {
        if let Some(told) = &self.told {
            // Whoever called may have gone; that is seen to soon.
            _ = told.send(Told::Outcomes(outcomes)).is_ok();
            return;
        }
        let Payload { from, except, body, .. } = &self.cast.payload;
        for (rank, outcome) in outcomes.iter() {
            let Outcome::Failed(failure) = outcome else { continue };
            let why = match failure {
                Failure::Fault(Fault::Undelivered(why)) => *why,
                Failure::Fault(_) | Failure::NotMerged(_) => WhyUndelivered::Ended,
                Failure::Unreached(_) | Failure::Withdrawn => WhyUndelivered::PeerLost,
            };
            if let Some(to) = self.cast.table.actor(rank).filter(|_| !except.contains(rank)) {
                let bytes = body.of(rank).unwrap_or_default();
                cx.proc().not_passed_on((*from, to), self.cast.name, why, bytes);
            }
        }
    }

    /// Tells what some ranks replied, merged.
    pub(super) fn tell_part(&self, part: Part<Bytes>) {
        if let Some(told) = &self.told {
            // As above.
            _ = told.send(Told::Part(part)).is_ok();
        }
    }

    /// Tells that it was sent to nobody.
    pub(super) fn refuse(
        &self,
        plan: &Plan<PeerId>,
        why: WhyUndelivered,
        cx: &Context<CasterActor>,
    ) {
        let failed = Outcome::Failed(Failure::Fault(Fault::Undelivered(why)));
        let mut outcomes = Overlay::new();
        plan.all_ranks().runs().for_each(|run| outcomes.insert(run, failed.clone()));
        self.tell(outcomes, cx);
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.cast.kind.wants_reply()
            && self.told.as_ref().is_none_or(mpsc::UnboundedSender::is_closed)
    }
}
