//! `renewal`: a subscription that is lost with a session is made again, so that events which stop for a while go on.

use std::time::Duration;

use mesh_core::{MeshRequest, Plane, PortRef, Subscribe};
use mesh_runtime::{Port, Proc};
use tokio::sync::watch;
use tokio::time::timeout;

/// After what time it is tried again to subscribe, where nothing has come of it.
const AGAIN: Duration = Duration::from_secs(1);

/// Subscribes again each time that the controller is silent, until it is heard, for as long as the events are there that show
/// it. Whoever is still subscribed stays so: the same port counts once (N5).
pub(super) fn renew(
    proc: &Proc,
    controller: PortRef<MeshRequest>,
    subscribe: Subscribe,
) -> watch::Sender<bool> {
    let (show, mut is_silent) = watch::channel(false);
    let proc = proc.on(Plane::Control);
    let runtime = proc.runtime().clone();
    let door = PortRef::<Subscribe>::of(controller.actor());
    drop(runtime.spawn(async move {
        while is_silent.wait_for(|it| *it).await.is_ok() {
            // Where there is no way yet, or none again, it comes back at once.
            if door.call(&proc, subscribe.clone()).await.is_err() {
                tracing::debug!(controller = %controller.actor(), "a silent controller takes no subscription yet");
            }
            // The last word of events that are there no more may be that they are silent.
            if let Ok(Err(_)) = timeout(AGAIN, is_silent.wait_for(|it| !*it)).await {
                return;
            }
        }
    }));
    show
}
