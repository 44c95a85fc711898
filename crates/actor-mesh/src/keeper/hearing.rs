//! `Hearing`: how a keeper hears of the processes for as long as it lives, from whichever controller has them.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{
    Epoch, Interest, MeshEvent, MeshRequest, News, PortRef, Procs, Subscribe, Trouble,
};
use mesh_runtime::{ActorRef, Deputy, Port, Sender};
use supervise::{Clock, MeshEvents};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Keeper, ProcsSaid, Unheard};
use crate::view::{BEGUN_WITHIN, Subscribed};

/// How many events of the processes may wait for the keeper; if there are more it gets a snapshot (N7).
pub(crate) const EVENTS: usize = 1024;

/// When it is tried again to subscribe to the processes.
const AGAIN: Duration = Duration::from_millis(500);

/// Tells a keeper what happens to the processes.
pub(super) struct Hearing {
    pub(super) procs: Arc<dyn Procs>,
    /// Their controller, as the keeper knows it.
    pub(super) homes: watch::Receiver<PortRef<MeshRequest>>,
    /// Which one was subscribed with last.
    pub(super) heard: PortRef<MeshRequest>,
    /// The highest of the controllers that have told something: a lower one is not listened to (K3).
    pub(super) epoch: Epoch,
    pub(super) clock: Clock,
    pub(super) keeper: ActorRef<Keeper>,
    /// Subscribes, and tells, in the keeper's name.
    pub(super) deputy: Deputy,
}

/// Whether anything more is to be heard of the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    /// By another subscription: of this one nothing more comes.
    Lost,
    /// All have ended, or the keeper has.
    ToTheEnd,
}

impl Hearing {
    /// Hears what was subscribed to, and subscribes again whenever nothing more is told: the session may have been lost by
    /// which the events came, and one that came back has ended the subscription (N7); or another controller has adopted the
    /// processes (K3). Bound: one try at a time, and a pause after each, or another controller.
    pub(super) async fn run(mut self, first: MeshEvents) {
        let mut events = first.begun(BEGUN_WITHIN).await;
        loop {
            if let Some(events) = events
                && self.hear(events).await == Heard::ToTheEnd
            {
                return;
            }
            _ = timeout(AGAIN, self.is_replaced()).await.is_ok();
            events = self.subscribe().await;
        }
    }

    /// Ends when the processes have another controller than the one that was subscribed with.
    async fn is_replaced(&mut self) {
        if self.homes.wait_for(|home| *home != self.heard).await.is_err() {
            // The keeper has ended, and this is about to.
            std::future::pending::<()>().await;
        }
    }

    async fn hear(&mut self, mut events: MeshEvents) -> Heard {
        loop {
            let event = tokio::select! {
                biased;
                () = self.is_replaced() => break,
                event = events.next() => event,
            };
            let Some(event) = event else { return Heard::Lost };
            let is_lost = says_nothing_more(&event.news);
            if !self.tell(event).await {
                return Heard::ToTheEnd;
            }
            if is_lost {
                return Heard::Lost;
            }
        }
        // Whoever comes next has not said anything yet.
        match self.keeper.cast(&self.deputy, Unheard).await {
            Ok(()) => Heard::Lost,
            Err(_) => Heard::ToTheEnd,
        }
    }

    /// Tells the keeper, unless a deposed controller says it: all that is over, also that all have ended (K3). Returns
    /// whether there may be more to tell.
    async fn tell(&mut self, event: MeshEvent) -> bool {
        if event.reporter < self.epoch {
            return true;
        }
        self.epoch = event.reporter;
        let is_last = event.news == News::Closed;
        self.keeper.cast(&self.deputy, ProcsSaid(event)).await.is_ok() && !is_last
    }

    async fn subscribe(&mut self) -> Option<MeshEvents> {
        self.heard = *self.homes.borrow();
        let events = self.subscribe_with(self.heard);
        let mut homes = self.homes.clone();
        tokio::select! {
            biased;
            events = events => events,
            // Whoever was asked may be silent for long.
            Ok(_) = homes.wait_for(|home| *home != self.heard) => None,
        }
    }

    async fn subscribe_with(&self, home: PortRef<MeshRequest>) -> Option<MeshEvents> {
        let proc = self.deputy.origin().proc().clone();
        if !proc.has_way_to(home.actor()) {
            return None;
        }
        let port = proc.open_port::<MeshEvent>(EVENTS);
        let region = Some(Arc::clone(self.procs.region()));
        let subscribe =
            Subscribe { to: port.port(), interest: Interest::All, region, again: false };
        let door = PortRef::<Subscribe>::of(home.actor());
        // Whoever gives up meanwhile may be subscribed by then.
        let subscribed = Subscribed::new(proc, home, port.port());
        door.call(&self.deputy, subscribe).await.ok()?.ok()?;
        let events = MeshEvents::of_port(port, self.clock).holding(subscribed);
        events.begun(BEGUN_WITHIN).await
    }
}

/// Whether whoever said this is silent, or will be: nobody says then what becomes of the processes.
pub(super) const fn says_nothing_more(news: &News) -> bool {
    matches!(
        news,
        News::Trouble(Trouble::ControllerLost | Trouble::Replaced { .. } | Trouble::Abandoned)
    )
}
