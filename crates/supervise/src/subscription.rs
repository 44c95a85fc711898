//! A subscriber's end: events in order, and word of a controller that has gone silent.

use std::time::Duration;

use mesh_core::{MeshEvent, News, Trouble};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// The events of one subscription, first a snapshot, last [`News::Closed`].
///
/// Dropping it unsubscribes.
#[derive(Debug)]
pub struct MeshEvents {
    events: mpsc::Receiver<MeshEvent>,
    /// What a silence is told with: it has the number of the last message.
    last: Option<MeshEvent>,
    period: Option<Duration>,
    heard_at: Instant,
    lost: bool,
    closed: bool,
}

impl MeshEvents {
    pub(crate) fn new(events: mpsc::Receiver<MeshEvent>) -> Self {
        let heard_at = Instant::now();
        Self { events, last: None, period: None, heard_at, lost: false, closed: false }
    }

    /// The next event; `None` after the last one, or if the controller ended before it.
    ///
    /// A controller that says nothing for three of the periods it promised is told of once, as
    /// [`Trouble::ControllerLost`]; the next message clears that (N10).
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<MeshEvent> {
        let received = loop {
            let Some(period) = self.period.filter(|_| !self.lost && !self.closed) else {
                break self.events.recv().await;
            };
            let deadline = self.heard_at + period * 3;
            match timeout_at(deadline, self.events.recv()).await {
                Ok(received) => break received,
                // Woken long after the deadline: it was this process that was paused.
                Err(_) if Instant::now() > deadline + period => self.heard_at = Instant::now(),
                Err(_) => return self.controller_lost(),
            }
        };
        let event = received?;
        self.heard_at = Instant::now();
        self.lost = false;
        match &event.news {
            News::Snapshot(snapshot) => self.period = Some(snapshot.period),
            News::Heartbeat { period } => self.period = Some(*period),
            News::Closed => self.closed = true,
            News::Changed(_) | News::Trouble(_) | News::Escalated(_) | News::Stopping => (),
        }
        let news = News::Trouble(Trouble::ControllerLost);
        self.last = Some(MeshEvent { mesh: event.mesh.clone(), news, ..event });
        Some(event)
    }

    fn controller_lost(&mut self) -> Option<MeshEvent> {
        self.lost = true;
        self.last.clone()
    }
}
