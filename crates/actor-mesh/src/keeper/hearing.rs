//! `Hearing`: how a keeper hears of the processes for as long as it lives.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Interest, MeshEvent, News, PortRef, Procs, Subscribe, Trouble};
use mesh_runtime::{ActorRef, Deputy, Port, Sender};
use supervise::{Clock, MeshEvents};
use tokio::time::sleep;

use super::{Keeper, ProcsSaid};
use crate::view::{BEGUN_WITHIN, Subscribed};

/// How many events of the processes may wait for the keeper; if there are more it gets a snapshot (N7).
pub(crate) const EVENTS: usize = 1024;

/// When it is tried again to subscribe to the processes.
const AGAIN: Duration = Duration::from_millis(500);

/// Tells a keeper what happens to the processes.
pub(super) struct Hearing {
    pub(super) procs: Arc<dyn Procs>,
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
    /// which the events came, and one that came back has ended the subscription (N7). Bound: one try at a time, and a pause
    /// after each.
    pub(super) async fn run(self, first: MeshEvents) {
        let mut events = first.begun(BEGUN_WITHIN).await;
        loop {
            if let Some(events) = events
                && self.hear(events).await == Heard::ToTheEnd
            {
                return;
            }
            sleep(AGAIN).await;
            events = self.subscribe().await;
        }
    }

    async fn hear(&self, mut events: MeshEvents) -> Heard {
        while let Some(event) = events.next().await {
            let is_last = event.news == News::Closed;
            let is_lost = says_nothing_more(&event.news);
            let is_told = self.keeper.cast(&self.deputy, ProcsSaid(event)).await.is_ok();
            if is_last || !is_told {
                return Heard::ToTheEnd;
            }
            if is_lost {
                break;
            }
        }
        Heard::Lost
    }

    async fn subscribe(&self) -> Option<MeshEvents> {
        let (proc, home) = (self.deputy.origin().proc().clone(), self.procs.home());
        if !proc.has_way_to(home.actor()) {
            return None;
        }
        let port = proc.open_port::<MeshEvent>(EVENTS);
        let region = Some(Arc::clone(self.procs.region()));
        let subscribe = Subscribe { to: port.port(), interest: Interest::All, region };
        let door = PortRef::<Subscribe>::of(home.actor());
        door.call(&self.deputy, subscribe).await.ok()?.ok()?;
        let subscribed = Subscribed::new(proc, home, port.port());
        let events = MeshEvents::of_port(port, self.clock).holding(subscribed);
        events.begun(BEGUN_WITHIN).await
    }
}

/// Whether whoever said this is silent, or will be: nobody says then what becomes of the processes.
pub(super) const fn says_nothing_more(news: &News) -> bool {
    matches!(news, News::Trouble(Trouble::ControllerLost | Trouble::Replaced { .. }))
}
