//! What an actor is told of meshes that it owns.

use std::pin::pin;

use mesh_core::Failures;

use super::ActorTask;
use crate::actor::{Actor, Stop, Verdict};
use crate::context::Context;
use crate::failure::Failure;
use crate::panics::caught_async;

/// Whether all that failed is started again, and so is all of which that was said before.
pub(crate) fn is_mended(failures: &Failures) -> bool {
    let is_kept = failures.escalation.is_none() && failures.withdrawn.is_empty();
    is_kept && failures.changes.iter().all(|it| it.restart_in.is_some())
}

/// What the owner makes of failures of its mesh (E2).
pub(super) async fn on_mesh_failure<A: Actor>(
    actor: &mut A,
    failures: Failures,
    cx: &mut Context<A>,
) -> Result<(), Failure> {
    // A panic has its cause too.
    let told = failures.clone();
    let verdict = {
        let asked = pin!(async { actor.on_mesh_failure(told, cx).await });
        caught_async(asked).await
    };
    match verdict {
        Ok(Verdict::Handled) => Ok(()),
        Ok(Verdict::Stop) => {
            cx.stop(Stop::Now);
            Ok(())
        }
        // What is started again, and how, says the mesh.
        Ok(Verdict::Escalate | Verdict::Restart(_)) => {
            tracing::error!(actor = %cx.me().name(), "not handled: {failures}");
            Err(Failure::of_mesh(&failures))
        }
        Err(own) => Err(own.while_handling_mesh(&failures)),
    }
}

impl<A: Actor> ActorTask<A> {
    /// Nobody handles the failures of a mesh: the actor fails with them, unless it has failed already; then the log
    /// at least says so.
    pub(super) fn unhandled_of_mesh(&mut self, failures: &Failures) {
        if is_mended(failures) {
            return;
        }
        if self.failure.is_some() {
            tracing::error!(actor = %self.shared.name, "nobody was told: {failures}");
            return;
        }
        self.fail(Failure::of_mesh(failures));
    }
}
