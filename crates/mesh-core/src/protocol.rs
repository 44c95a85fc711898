//! What a controller asks of the agents of its mesh, and what they answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mesh_shape::{Overlay, RankSet};
use serde::{Deserialize, Serialize};

use crate::ids::{AgentId, BeatSeq, Epoch, Generation, Incarnation, MeshId};

/// One order or question of a controller to one agent.
///
/// Performing it twice is harmless: it names ranks *and* incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Which mesh it is about: an agent may keep ranks of several.
    pub mesh: MeshId,
    /// Whom it is for.
    pub agent: AgentId,
    /// Who asks: an agent refuses an epoch lower than the highest it has heard.
    pub epoch: Epoch,
    /// What is asked.
    pub order: Order,
}

/// What is asked of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Start these ranks, as this incarnation.
    Start {
        /// The ranks, all of this agent.
        ranks: RankSet,
        /// The life that begins.
        incarnation: Incarnation,
        /// The newest beat of the agent that the controller has heard, as in [`Self::Renew`]. However long
        /// the order was on its way, what it starts lives under a lease that is counted from that beat; from
        /// when the agent was told of the mesh, if none was heard (K1, K2).
        echoed: Option<Echo>,
    },
    /// Ask these ranks to end (for processes: `SIGTERM`).
    Stop {
        /// The ranks, all of this agent.
        ranks: RankSet,
        /// The life that is to end.
        incarnation: Incarnation,
    },
    /// End these ranks now (for processes: `SIGKILL`).
    Kill {
        /// The ranks, all of this agent.
        ranks: RankSet,
        /// The life that is to end.
        incarnation: Incarnation,
    },
    /// Report every rank of this mesh.
    Poll,
    /// I live, and have heard your beats up to this one (K1).
    Renew {
        /// The newest beat that the controller has heard.
        echoed: Echo,
    },
}

/// A beat that a controller has heard of an agent, as it says it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// In which life of the agent it was sent: another life has beats of its own.
    pub life: Incarnation,
    /// Its number.
    pub beat: BeatSeq,
}

/// What an agent reports about one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update<R> {
    /// Which life of the rank.
    pub incarnation: Incarnation,
    /// Which report about this life: greater is newer.
    pub generation: Generation,
    /// How long ago the evidence was seen, when this was sent: an age, since clocks differ.
    pub age: Duration,
    /// What was seen.
    pub report: R,
}

/// Something an agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de> + PartialEq"))]
pub enum Answer<R> {
    /// The state of some ranks: streamed at a change, or the answer to a poll.
    Reported {
        /// Whose ranks they are.
        agent: AgentId,
        /// Which life of the agent speaks: one that was started again has a greater one, and has
        /// forgotten what the life before it knew.
        life: Incarnation,
        /// The newest report about each of them, keyed by the rank in the mesh.
        reports: Overlay<Update<R>>,
    },
    /// The agent lives.
    Heard {
        /// Which agent.
        agent: AgentId,
        /// Which life of the agent speaks.
        life: Incarnation,
        /// The number of its beat, to be echoed.
        beat: BeatSeq,
    },
    /// The agent could not be asked: no rank is judged by that (H5).
    QueryFailed {
        /// Which agent.
        agent: AgentId,
    },
    /// The agent itself is gone: its process has ended, or its connection has broken. Of its ranks that
    /// is no evidence, but nobody need wait for its silence.
    Lost {
        /// Which agent.
        agent: AgentId,
        /// Which life of it.
        life: Incarnation,
    },
    /// The agent obeys another controller of this mesh, and has done nothing (K3).
    Refused {
        /// Which agent.
        agent: AgentId,
        /// The epoch that it obeys.
        obeyed: Epoch,
    },
    /// Ranks have been killed and do not end. That is no end: if they end after all, it is reported. Told
    /// once of each life, and not again if it is lost.
    Resist {
        /// Which agent.
        agent: AgentId,
        /// Some of its ranks.
        ranks: RankSet,
        /// Which life of them.
        incarnation: Incarnation,
        /// Why, in words.
        why: String,
    },
}

/// Reaches the agents of one mesh.
///
/// # Contract
///
/// - `perform` returns at once: it only starts the work. What comes of it is sent to `answers`.
/// - Performing the same request twice is harmless.
/// - The ranks of an agent end with it. One that was started again may be ordered to start a life that the
///   one before it was ordered to start, or had said to be starting: while nobody has said that it runs,
///   the order is repeated, with the same incarnation. What the one before it has begun of that life is
///   gone before it begins again; what it still says of it is stale, since it says so in its own life.
/// - An agent answers for its own ranks only, and numbers its reports about each life of a rank.
/// - A poll is answered with every rank of the agent, those that it does not know too.
/// - Where ranks can outlive their controller, what an order starts is under a lease that is counted from
///   the beat that the order echoes, and not from its arrival (K1).
/// - A request of a lower epoch than the highest heard is answered with [`Answer::Refused`].
/// - Dropping the implementation stops everything that was started through it (C2).
/// - A beat is not sent in answer to a renewal: each would call for the other without end.
///
/// `mesh_testkit::agents_suite` checks the first, the second, and that an agent answers for its own ranks
/// only.
pub trait Agents: Send {
    /// What an agent says about one rank.
    type Report;

    /// Starts the work of `request`.
    fn perform(&mut self, request: Request, answers: &Answers<Self::Report>);
}

/// Where agents send what they have to say. Cheap to clone.
pub struct Answers<R>(Arc<Deliver<R>>);

type Deliver<R> = dyn Fn(Answer<R>) -> Result<(), Undelivered<R>> + Send + Sync;

impl<R> Answers<R> {
    /// Answers go to `deliver`, which must not block.
    #[must_use]
    pub fn new(
        deliver: impl Fn(Answer<R>) -> Result<(), Undelivered<R>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(deliver))
    }

    /// Sends one answer, without waiting.
    ///
    /// # Errors
    ///
    /// - [`Undelivered::Full`] if the controller is behind: keep it and send it again later, or
    ///   leave it to the next poll, which asks for the same.
    /// - [`Undelivered::Closed`] if the controller has ended.
    pub fn send(&self, answer: Answer<R>) -> Result<(), Undelivered<R>> {
        (self.0)(answer)
    }
}

impl<R> Clone for Answers<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> fmt::Debug for Answers<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

/// An answer that was not taken; it comes back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered<R> {
    /// The controller's queue is full.
    #[error("the controller's queue is full: try again, or wait for its next poll")]
    Full(Answer<R>),
    /// The controller has ended.
    #[error("the controller has ended")]
    Closed(Answer<R>),
}
