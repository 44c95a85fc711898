//! `Ticket`: who is told what came of a cast.

use bytes::Bytes;
use mesh_core::{Fault, PeerId, WhyUndelivered};
use mesh_runtime::Context;
use mesh_shape::Overlay;
use tokio::sync::mpsc;

use super::caster_actor::CasterActor;
use super::casters::Cast;
use super::message::Payload;
use crate::plan::Plan;
use crate::wire::{Failure, Kind, Outcome};

/// Who is told what came of a cast.
pub(super) struct Ticket {
    /// For a call.
    pub(super) told: Option<mpsc::UnboundedSender<Overlay<Outcome<Bytes>>>>,
    pub(super) cast: Cast,
}

impl Ticket {
    /// Tells what came of it at some ranks. A cast that was not taken goes back to who sent it; of ranks that
    /// it was not sent to that is known already.
    pub(super) fn tell(&self, outcomes: Overlay<Outcome<Bytes>>, cx: &Context<CasterActor>) {
        if let Some(told) = &self.told {
            // Whoever called may have gone; that is seen to soon.
            _ = told.send(outcomes).is_ok();
            return;
        }
        let Payload { from, except, bytes, .. } = &self.cast.payload;
        for (rank, outcome) in outcomes.iter() {
            let Outcome::Failed(failure) = outcome else { continue };
            let why = match failure {
                Failure::Fault(Fault::Undelivered(why)) => *why,
                Failure::Fault(_) => WhyUndelivered::Ended,
                Failure::Unreached(_) | Failure::Withdrawn => WhyUndelivered::PeerLost,
            };
            if let Some(to) = self.cast.table.actor(rank).filter(|_| !except.contains(rank)) {
                let proc = cx.proc();
                proc.not_passed_on((*from, to), self.cast.name, why, bytes.clone());
            }
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
        self.cast.kind == Kind::Call
            && self.told.as_ref().is_none_or(mpsc::UnboundedSender::is_closed)
    }
}
