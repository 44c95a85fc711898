//! How a program talks to a running controller.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{
    Answer, Answers, Interest, MeshEvent, MeshRequest, MeshState, Progress, Refusal, Reply,
    StopReason, Undelivered,
};
use mesh_shape::{RankSet, Region};
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Queued};
use crate::subscription::MeshEvents;

/// What the loop is sent.
#[derive(Debug)]
pub(crate) enum Inbox<R> {
    /// An agent has said something, and it waits since then.
    Answered(Queued<Answer<R>>),
    Subscribe {
        interest: Interest,
        region: Option<Arc<Region>>,
        again: bool,
        queue: mpsc::Sender<Queued<MeshEvent>>,
        taken: oneshot::Sender<Result<(), Refusal>>,
    },
    Ask {
        request: MeshRequest,
        answer: oneshot::Sender<Reply>,
    },
}

/// The number of messages that may wait for the loop; whoever sends more waits, and agents keep what
/// they have to say.
pub(crate) const INBOX_MESSAGES: usize = 4096;

/// The number of events that may wait for one subscriber; one that is slower gets a snapshot, when it has read half of
/// them (N7).
pub(crate) const SUBSCRIBER_EVENTS: usize = 256;

/// Talks to the controller of one mesh. Cheap to clone; keeps nothing alive.
#[derive(Debug)]
pub struct ControllerRef<R> {
    inbox: mpsc::Sender<Inbox<R>>,
    clock: Clock,
}

impl<R> Clone for ControllerRef<R> {
    fn clone(&self) -> Self {
        Self { inbox: self.inbox.clone(), clock: self.clock }
    }
}

/// Why a question to a controller has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It has ended, so that nobody can answer.
    #[error("the controller of the mesh has ended")]
    Ended,
    /// It does not do what was asked. Nothing has changed.
    #[error("the controller refuses")]
    Refused(#[from] Refusal),
}

impl<R: Send + 'static> ControllerRef<R> {
    pub(crate) const fn new(inbox: mpsc::Sender<Inbox<R>>, clock: Clock) -> Self {
        Self { inbox, clock }
    }

    #[cfg(feature = "actor")]
    pub(crate) const fn clock(&self) -> Clock {
        self.clock
    }

    /// Waits until the controller has ended, in whatever way.
    pub async fn ended(&self) {
        self.inbox.closed().await;
    }

    /// Subscribes to what happens in the mesh, or in `region` of it, in whose ranks the events are
    /// then told (H5, N6). The first event is a snapshot. Whoever is too slow for what happens gets another one in the
    /// place of that, see [`Snapshot`](mesh_core::Snapshot) (N7).
    ///
    /// # Errors
    ///
    /// - [`AskError::Refused`] if the region is no view of what the mesh is one of, if there are as
    ///   many subscribers as may be, or if another controller has taken over.
    /// - [`AskError::Ended`] if the controller has ended.
    pub async fn subscribe(
        &self,
        interest: Interest,
        region: Option<Region>,
    ) -> Result<MeshEvents, AskError> {
        let (queue, events) = mpsc::channel(SUBSCRIBER_EVENTS);
        let (taken, is_taken) = oneshot::channel();
        let region = region.map(Arc::new);
        let again = false;
        self.send(Inbox::Subscribe { interest, region, again, queue, taken }).await?;
        is_taken.await.or(Err(AskError::Ended))??;
        Ok(MeshEvents::new(events, self.clock))
    }

    /// Stops every rank: asks it to end, kills it after `grace`, and returns the state of all (C1).
    ///
    /// A second stop does nothing and returns the same, whatever its grace; see [`kill`](Self::kill).
    ///
    /// # Cancellation
    ///
    /// The stop goes on if the future is dropped.
    ///
    /// # Errors
    ///
    /// See [`ask`](Self::ask).
    pub async fn stop(&self, grace: Duration) -> Result<MeshState, AskError> {
        self.state_of(MeshRequest::Stop { grace, reason: None }).await
    }

    /// The same, and whoever watches the mesh is told why.
    ///
    /// # Errors
    ///
    /// As of [`stop`](Self::stop).
    pub async fn stop_because(
        &self,
        reason: impl Into<StopReason>,
        grace: Duration,
    ) -> Result<MeshState, AskError> {
        let reason = Some(reason.into());
        self.state_of(MeshRequest::Stop { grace, reason }).await
    }

    /// Ends every rank now, and returns the state of all: a stop without grace, also if one with a grace is
    /// under way.
    ///
    /// # Cancellation
    ///
    /// The ranks are killed also if the future is dropped.
    ///
    /// # Errors
    ///
    /// See [`ask`](Self::ask).
    pub async fn kill(&self) -> Result<MeshState, AskError> {
        self.state_of(MeshRequest::Kill).await
    }

    /// The state of every rank, in rank order (L7).
    ///
    /// # Errors
    ///
    /// See [`ask`](Self::ask).
    pub async fn state(&self) -> Result<MeshState, AskError> {
        self.state_of(MeshRequest::GetState).await
    }

    /// Waits until each of `ranks` is at least so far in its life, or `within` is over (L7). Returns
    /// the ranks that were not, none if all were, and the state of every rank.
    ///
    /// A rank that has ended is as far as one gets: whoever waits for it to run finds in the state
    /// that it does not.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoSuchRank`] if a rank is outside the mesh; see [`ask`](Self::ask).
    pub async fn wait(
        &self,
        ranks: RankSet,
        until: Progress,
        within: Duration,
    ) -> Result<(RankSet, MeshState), AskError> {
        match self.ask(MeshRequest::WaitRankStatus { ranks, until, within }).await? {
            Reply::Waited { missing, state } => Ok((missing, Arc::unwrap_or_clone(state))),
            _ => Err(AskError::Ended),
        }
    }

    /// Asks anything (L8).
    ///
    /// # Cancellation
    ///
    /// What was asked for happens also if the future is dropped.
    ///
    /// # Errors
    ///
    /// - [`AskError::Refused`] if it is not done.
    /// - [`AskError::Ended`] if the controller has ended.
    pub async fn ask(&self, request: MeshRequest) -> Result<Reply, AskError> {
        let (answer, reply) = oneshot::channel();
        self.send(Inbox::Ask { request, answer }).await?;
        match reply.await.or(Err(AskError::Ended))? {
            Reply::Refused(why) => Err(why.into()),
            reply => Ok(reply),
        }
    }

    /// A request whose answer is a state: any other answer is none.
    async fn state_of(&self, request: MeshRequest) -> Result<MeshState, AskError> {
        match self.ask(request).await? {
            Reply::State(state) => Ok(Arc::unwrap_or_clone(state)),
            _ => Err(AskError::Ended),
        }
    }

    pub(crate) async fn send(&self, message: Inbox<R>) -> Result<(), AskError> {
        self.inbox.send(message).await.or(Err(AskError::Ended))
    }

    /// Where agents send what they have to say.
    pub(crate) fn answers(inbox: mpsc::WeakSender<Inbox<R>>, clock: Clock) -> Answers<R> {
        Answers::new(move |answer| {
            let Some(inbox) = inbox.upgrade() else { return Err(Undelivered::Closed(answer)) };
            inbox.try_send(Inbox::Answered(clock.queued(answer))).map_err(|refused| match refused {
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
        Inbox::Answered(queued) => queued.item,
        _ => unreachable!("what comes back is what was sent"),
    }
}
