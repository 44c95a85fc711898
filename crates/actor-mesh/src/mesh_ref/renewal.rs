//! `renewal`: a subscription that is lost with a session is made again, so that events which stop for a while go on.

use std::time::Duration;

use mesh_core::{MeshRequest, Plane, PortRef, Refusal, Subscribe};
use mesh_runtime::{CallError, Port, Proc};
use tokio::sync::watch;
use tokio::time::timeout;

/// After what time it is tried again to subscribe, where nothing has come of it.
const AGAIN: Duration = Duration::from_secs(1);

/// The same where it was refused, or taken and nothing is read: each time it is waited twice as long, up to this.
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// Subscribes again each time that the controller is silent, until it is heard, for as long as the events are there that show
/// it. Whoever is still subscribed stays so: the same port counts once (N5).
pub(super) fn renew(
    proc: &Proc,
    controller: PortRef<MeshRequest>,
    subscribe: Subscribe,
) -> watch::Sender<bool> {
    let (show, is_silent) = watch::channel(false);
    let proc = proc.on(Plane::Control);
    let runtime = proc.runtime().clone();
    let door = PortRef::<Subscribe>::of(controller.actor());
    let subscribe = Subscribe { again: true, ..subscribe };
    drop(runtime.spawn(async move { while_there(&proc, (door, subscribe), is_silent).await }));
    show
}

async fn while_there(
    proc: &Proc,
    (door, subscribe): (PortRef<Subscribe>, Subscribe),
    mut is_silent: watch::Receiver<bool>,
) {
    let mut again = AGAIN;
    // The last word of events that are there no more may be that they are silent, and so they are looked for besides.
    while is_silent.wait_for(|it| *it).await.is_ok() && is_silent.has_changed().is_ok() {
        let taken = tokio::select! {
            biased;
            heard = is_silent.wait_for(|it| !*it) => match heard {
                Ok(_) => continue,
                Err(_) => return,
            },
            taken = door.call(proc, subscribe.clone()) => taken,
        };
        again = match taken {
            // Another one has taken over, and nothing more is said here.
            Ok(Err(Refusal::Replaced { .. })) => return,
            Ok(_) => (again * 2).min(AGAIN_MAX),
            // Where there is no way yet, or none again, it comes back at once.
            Err(CallError::Undelivered { .. }) => AGAIN,
            Err(_) => again,
        };
        match timeout(again, is_silent.wait_for(|it| !*it)).await {
            Ok(Ok(_)) => again = AGAIN,
            Ok(Err(_)) => return,
            Err(_) => (),
        }
    }
}
