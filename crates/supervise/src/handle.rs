//! How a program talks to a running controller.

use std::time::Duration;

use controller::Event;
use mesh_core::{Answer, Answers, Interest, MeshEvent, MeshState, Undelivered};
use mesh_shape::Region;
use tokio::sync::{mpsc, oneshot};

use crate::subscription::MeshEvents;

/// What the loop is sent.
#[derive(Debug)]
pub(crate) enum Inbox<R> {
    Event(Event<R>),
    Subscribe { interest: Interest, region: Option<Region>, queue: mpsc::Sender<MeshEvent> },
    Stop { grace: Duration, answer: oneshot::Sender<MeshState> },
    State { answer: oneshot::Sender<MeshState> },
}

/// The number of messages that may wait for the loop; whoever sends more waits, and agents keep what
/// they have to say.
pub(crate) const INBOX_MESSAGES: usize = 4096;

/// The number of events that may wait for one subscriber; one that is slower gets a snapshot (N7).
pub(crate) const SUBSCRIBER_EVENTS: usize = 256;

/// Talks to the controller of one mesh. Cheap to clone; keeps nothing alive.
#[derive(Debug)]
pub struct ControllerRef<R> {
    inbox: mpsc::Sender<Inbox<R>>,
}

impl<R> Clone for ControllerRef<R> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone() }
    }
}

/// The controller has ended, so that nobody can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller of the mesh has ended")]
pub struct ControllerEnded;

impl<R: Send + 'static> ControllerRef<R> {
    pub(crate) const fn new(inbox: mpsc::Sender<Inbox<R>>) -> Self {
        Self { inbox }
    }

    /// Subscribes to what happens in the mesh, or in `region` of it, in whose ranks the events are
    /// then told (H5, N6). The first event is a snapshot.
    ///
    /// # Errors
    ///
    /// [`ControllerEnded`] if the controller has ended.
    pub async fn subscribe(
        &self,
        interest: Interest,
        region: Option<Region>,
    ) -> Result<MeshEvents, ControllerEnded> {
        let (queue, events) = mpsc::channel(SUBSCRIBER_EVENTS);
        self.send(Inbox::Subscribe { interest, region, queue }).await?;
        Ok(MeshEvents::new(events))
    }

    /// Stops every rank: asks it to end, kills it after `grace`, and returns the state of all (C1).
    ///
    /// A second stop returns the same.
    ///
    /// # Cancellation
    ///
    /// The stop goes on if the future is dropped.
    ///
    /// # Errors
    ///
    /// [`ControllerEnded`] if the controller has ended.
    pub async fn stop(&self, grace: Duration) -> Result<MeshState, ControllerEnded> {
        let (answer, state) = oneshot::channel();
        self.send(Inbox::Stop { grace, answer }).await?;
        state.await.or(Err(ControllerEnded))
    }

    /// The state of every rank, in rank order (L7).
    ///
    /// # Errors
    ///
    /// [`ControllerEnded`] if the controller has ended.
    pub async fn state(&self) -> Result<MeshState, ControllerEnded> {
        let (answer, state) = oneshot::channel();
        self.send(Inbox::State { answer }).await?;
        state.await.or(Err(ControllerEnded))
    }

    async fn send(&self, message: Inbox<R>) -> Result<(), ControllerEnded> {
        self.inbox.send(message).await.or(Err(ControllerEnded))
    }

    /// Where agents send what they have to say.
    pub(crate) fn answers(inbox: mpsc::WeakSender<Inbox<R>>) -> Answers<R> {
        Answers::new(move |answer| {
            let Some(inbox) = inbox.upgrade() else { return Err(Undelivered::Closed(answer)) };
            inbox.try_send(Inbox::Event(Event::Answered(answer))).map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(message) => Undelivered::Full(answer_of(message)),
                mpsc::error::TrySendError::Closed(message) => {
                    Undelivered::Closed(answer_of(message))
                }
            })
        })
    }
}

fn answer_of<R>(message: Inbox<R>) -> Answer<R> {
    match message {
        Inbox::Event(Event::Answered(answer)) => answer,
        _ => unreachable!("what comes back is what was sent"),
    }
}
