//! How a host ends: everything that it runs ends, that is told, and then it starts nothing any more.

use std::time::Duration;

use mesh_core::{MeshId, Order, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use super::hosted::Hosted;
use super::{HostAgent, TELL, recv};
use crate::host::{HostOrder, close_deadline};

/// How long the last output of processes may take that a closed host has ended.
const DRAINED_WITHIN: Duration = Duration::from_secs(1);

/// After what time a controller that has no room is told again what it will not be told later.
const TOLD_AGAIN: Duration = Duration::from_millis(5);

impl HostAgent {
    /// Ends everything, and says whether nothing is left. Returns whether that was told.
    pub(super) async fn close(&mut self, closed: oneshot::Sender<bool>) -> bool {
        // What was seen last waits for nothing more, nor does what the guard has said by now.
        let until = Instant::now() + TELL;
        while Instant::now() < until
            && let Ok(said) = timeout(Duration::ZERO, recv(self.guard.as_mut())).await
        {
            match said {
                Ok((message, fds)) => self.on_guard(message, fds),
                Err(error) => self.on_guard_lost(&error),
            }
        }
        self.meshes.values_mut().for_each(Hosted::flush);
        let is_closed = match self.guard.take() {
            Some(guard) => guard.close(close_deadline()).await,
            None => true,
        };
        self.aftermath.finish().await;
        // A guard that ended well has seen to it that nothing is left.
        let nothing_is_left = (is_closed && !self.has_lost_guard) || self.tools.mark.sweep().await;
        // Of what may be left nobody says that it has ended.
        if nothing_is_left {
            self.tell_closed().await;
        }
        _ = closed.send(is_closed && nothing_is_left).is_ok();
        nothing_is_left
    }

    /// Stands for a host that is closed: what is to be started there is told to have ended, also if that was ordered before
    /// its controller could know, and what has ended is told to whoever asks. Until no mesh is left.
    pub(super) async fn serve_closed(mut self, mut orders: mpsc::Receiver<HostOrder>) {
        while !self.meshes.is_empty()
            && let Some(order) = orders.recv().await
        {
            match order {
                HostOrder::Perform { mesh, request } => self.perform_closed(mesh, request),
                // All have ended.
                HostOrder::LetGo { .. } => (),
                HostOrder::CloseMesh { mesh } => drop(self.meshes.remove(&mesh)),
                HostOrder::Pids { pids, .. } => _ = pids.send(Vec::new()).is_ok(),
                HostOrder::Send { message, sent, .. } => _ = sent.send(Err(message)).is_ok(),
                HostOrder::Suspend { told, .. } => _ = told.send(()).is_ok(),
                HostOrder::Close { closed } => _ = closed.send(true).is_ok(),
                HostOrder::Open(opening) => {
                    let mesh = opening.label.id();
                    self.open(*opening);
                    self.hosted(mesh, Hosted::on_host_closed);
                }
            }
        }
    }

    fn perform_closed(&mut self, mesh: MeshId, request: Request) {
        let Some(hosted) = self.meshes.get_mut(&mesh) else { return };
        match request.order {
            Order::Start { ranks, incarnation, echoed } => {
                hosted.start(&ranks, incarnation, (request.epoch, echoed));
                hosted.flush();
            }
            Order::Poll => hosted.poll(false),
            // Nobody lives there.
            Order::Stop { .. } | Order::Kill { .. } | Order::Renew { .. } => (),
        }
    }

    /// Tells meshes that were not stopped before what has become of their processes: nobody will ask later.
    async fn tell_closed(&mut self) {
        self.each_mesh(|hosted, _| hosted.on_host_closed());
        let drained = async {
            while self.meshes.values().any(Hosted::is_draining) {
                let Some(note) = self.notes.recv().await else { return };
                self.on_note(note);
            }
        };
        // Whoever has left a pipe to others is told of without its last words.
        if timeout(DRAINED_WITHIN, drained).await.is_err() {
            self.each_mesh(|hosted, _| hosted.end_rest());
        }
        let told = async {
            while self.meshes.values().any(|hosted| hosted.flush_due().is_some()) {
                let untold = self.meshes.values_mut().filter(|it| it.flush_due().is_some());
                untold.for_each(Hosted::flush);
                // A controller that is behind has no room yet.
                sleep(TOLD_AGAIN).await;
            }
        };
        _ = timeout(DRAINED_WITHIN, told).await.is_ok();
    }
}
