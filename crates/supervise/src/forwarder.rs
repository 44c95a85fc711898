//! Carries the events of one subscription to its port.

use std::convert::Infallible;
use std::fmt;

use mesh_core::{MeshEvent, Message, PortRef};
use mesh_runtime::{Actor, Context, Deputy, Failure, Handler, Port, Sender, Stop, Undelivered};
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Queued};
use crate::parts::in_parts;

/// Carries the events of one subscription to its port, and ends after the last one, or when one comes
/// back (N7).
///
/// It is an actor of its own, so that what comes back ends the subscription that it was sent for: the
/// same port may have another one by then.
pub(crate) struct Forwarder;

/// What a [`Forwarder`] is created from.
pub(crate) struct Forwarding {
    pub(crate) events: mpsc::Receiver<Queued<MeshEvent>>,
    pub(crate) clock: Clock,
    pub(crate) to: PortRef<MeshEvent>,
    /// Dropped when nothing is carried any more.
    pub(crate) carries: oneshot::Receiver<Infallible>,
}

impl fmt::Debug for Forwarding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarding").field("to", &self.to).finish_non_exhaustive()
    }
}

impl Actor for Forwarder {
    const NAME: &'static str = "forwarder";
    /// It is asked one thing by one actor.
    const MAILBOX: usize = 1;
    type Params = Forwarding;

    async fn start(forwarding: Forwarding, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let (me, deputy) = (cx.me().clone(), cx.deputy());
        cx.attach(async move {
            forward(forwarding, &deputy).await;
            me.stop(Stop::Now);
            Ok(())
        });
        Ok(Self)
    }

    async fn on_undelivered(
        &mut self,
        _: Undelivered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        cx.stop(Stop::Now);
        Ok(())
    }
}

/// Whether it goes on: what has come back before this was asked overtakes the question, and then nobody
/// answers.
pub(crate) struct GoesOn;

impl Message for GoesOn {
    const NAME: &'static str = "meshwarden.forwarder.GoesOn";
    type Reply = ();
}

impl Handler<GoesOn> for Forwarder {
    async fn handle(&mut self, _: GoesOn, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Tells the port every event, and waits while it has no room: then the queue fills, and the loop
/// knows that the subscriber lags (N7).
async fn forward(forwarding: Forwarding, from: &Deputy) {
    let Forwarding { mut events, clock, to, carries: _carries } = forwarding;
    let is_here = to.actor().proc == from.origin().proc().id();
    while let Some(Queued { since, item: event }) = events.recv().await {
        // In this process it is handed over as it is.
        let (whole, long) = if is_here { (Some(event), None) } else { (None, Some(event)) };
        for mut part in whole.into_iter().chain(long.into_iter().flat_map(in_parts)) {
            part.hold(clock.now().since(since));
            to.cast_aging(from, part, MeshEvent::hold).await;
        }
    }
}
