//! What owners and subscribers hear of the actors and of their processes.

use meshwarden::mesh_core::{News, Timestamp};
use meshwarden::prelude::*;
use meshwarden::supervise::Clock;
use tokio::sync::mpsc;

use super::caster::Returned;
use super::victim::Victim;
use crate::ledger::{Ledger, Observer};
use crate::subscriber::Seen;

/// What the driver woke up for.
pub(super) enum Woken {
    Owner(Timestamp, Option<OwnerNews>),
    OwnerOfHomes(Timestamp, Option<ProcNews>),
    Subscriber(Seen),
    SubscriberOfHomes(Seen),
    Returned(Returned),
}

pub(super) type Channels<'a> = (
    &'a mut mpsc::Receiver<Seen>,
    &'a mut mpsc::Receiver<Seen>,
    &'a mut mpsc::UnboundedReceiver<Returned>,
);

/// Waits for one thing.
pub(super) async fn woken(
    homes: &mut Option<&mut Homes>,
    mesh: &mut ActorMesh<Victim>,
    clock: Clock,
    (seen, seen_of_homes, returned): Channels<'_>,
) -> Woken {
    let of_homes = async {
        match homes {
            Some(homes) => homes.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        news = mesh.next() => Woken::Owner(clock.now(), news),
        news = of_homes => Woken::OwnerOfHomes(clock.now(), news),
        Some(it) = seen.recv() => Woken::Subscriber(it),
        Some(it) = seen_of_homes.recv() => Woken::SubscriberOfHomes(it),
        Some(it) = returned.recv() => Woken::Returned(it),
    }
}

/// What the owner of the processes hears; `false` if it was the last.
pub(super) fn on_home(ledger: &mut Ledger, at: Timestamp, news: ProcNews) -> bool {
    match news {
        ProcNews::Failed(failures) => {
            for change in &failures.changes {
                ledger.on_change(Observer::Owner, at, change);
            }
        }
        ProcNews::Unkillable(left) => ledger.on_oddity(left.to_string()),
        ProcNews::Worker(_) => {}
        ProcNews::Finished(_) => return false,
    }
    true
}

/// What a subscriber has seen.
pub(super) fn on_seen(ledger: &mut Ledger, seen: Seen) {
    let Seen { observer, at, event } = seen;
    match event.news {
        News::Changed(changes) => {
            for change in changes.iter() {
                ledger.on_change(observer, at, change);
                on_running(ledger, observer, change);
            }
        }
        News::Snapshot(snapshot) => {
            if snapshot.lagged {
                ledger.on_lagged(observer, at, &snapshot);
            }
            for change in &snapshot.alive {
                on_running(ledger, observer, change);
            }
        }
        News::Trouble(trouble) => {
            ledger.on_oddity(format!("the {} heard: {trouble}", observer.label()));
        }
        News::Heartbeat { .. }
        | News::Escalated(_)
        | News::Recalled { .. }
        | News::Withdrawn(_)
        | News::Stopping { .. }
        | News::Closed => (),
    }
}

fn on_running(ledger: &mut Ledger, observer: Observer, change: &Change) {
    if observer == Observer::All && change.status == Status::Running {
        for rank in change.ranks.iter() {
            ledger.on_ready(rank, change.incarnation);
        }
    }
}
