//! What a ref can ask: what its ranks are, to be told of changes, to wait for them.
//!
//! A ref of a slice asks for its own ranks only, and is answered in those (H5, N6).

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{Either, select};
use mesh_core::{
    Fault, Interest, MeshEvent, MeshPhase, MeshRequest, MeshState, Message, PortRef, Progress,
    Refusal, Reply, StopReason, Subscribe, WhyUndelivered,
};
use mesh_runtime::{Broadcast, Sender};
use mesh_shape::{Rank, RankSet};
use serde::Serialize;
use serde::de::DeserializeOwned;
use supervise::{Clock, MeshEvents};
use tokio::time::{Instant, timeout};

use super::ActorMeshRef;
use super::caught_up::{caught_up, heard_of_ends};
use super::missing::Missing;
use super::renewal::renew;
use super::told::{is_too_large, phase_of};
use super::waiting::Waiting;
use crate::call::deadline_after;
use crate::view::Subscribed;

/// How many events may wait for whoever reads them; a slower one gets a snapshot (N7).
const EVENTS: usize = 256;

/// How much longer the answer to a wait may take than the wait.
pub(super) const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Why the controller of a mesh has not answered a ref.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchError {
    /// It has ended: the mesh has, with its owner, or its owner has let go of it.
    #[error("the mesh has ended, or its owner has let go of it: nobody is left to ask")]
    Ended(#[source] Fault),
    /// It cannot be reached from here: its process has ended, or there is no session with it.
    #[error("the controller of the mesh cannot be asked")]
    Unreached(#[source] Fault),
    /// It has not answered.
    #[error("the controller of the mesh has not answered within {within:?}")]
    Silent {
        /// How long it had.
        within: Duration,
    },
    /// It does not do what was asked. Nothing has changed.
    #[error("the controller of the mesh refuses")]
    Refused(#[from] Refusal),
    /// Only a whole mesh can be stopped, and this is a slice. Nothing has changed.
    #[error("only a whole mesh can be stopped, and this is a slice of one")]
    Slice,
    /// It answers something else than was asked: it is of another version.
    #[error("the controller of the mesh does not answer what it was asked")]
    Strange,
}

impl From<Fault> for WatchError {
    fn from(fault: Fault) -> Self {
        match fault {
            // Nobody is ever called the same again; and a controller that has ended lets go of what it is asked.
            Fault::Undelivered(WhyUndelivered::NoActor | WhyUndelivered::Ended)
            | Fault::NotTaken(_)
            | Fault::Unanswered(_) => Self::Ended(fault),
            Fault::Undelivered(_) | Fault::Failed(_) => Self::Unreached(fault),
        }
    }
}

impl<A> ActorMeshRef<A> {
    /// What every rank of this slice is, in its order, and what they are together (L7).
    ///
    /// # Cancellation
    ///
    /// It was only asked.
    ///
    /// # Errors
    ///
    /// [`WatchError`]
    pub async fn state(&self, from: &(impl Sender + Sync)) -> Result<MeshState, WatchError> {
        let within = from.origin().proc().call_within();
        let answer = self.ask(from, MeshRequest::GetState, within).await;
        self.state_of(answer, from).await
    }

    /// What this slice is as one: a slice of a mesh with failures is failed only if it has one of them (N6).
    ///
    /// # Cancellation
    ///
    /// It was only asked.
    ///
    /// # Errors
    ///
    /// [`WatchError`]
    pub async fn status(&self, from: &(impl Sender + Sync)) -> Result<MeshPhase, WatchError> {
        self.state(from).await.map(|state| state.phase)
    }

    /// Waits until every rank of this slice is so far in its life, or has ended, and returns those that are not
    /// when the time is over (L7). One that was never seen counts as not so far (ST1).
    ///
    /// What has ended for good is as far as it will ever be: so a wait until ranks run returns at once where they have, and
    /// says of none that it is missing. Whether they run says [`state`](Self::state), or whoever is called next; one that is
    /// to begin again is waited for.
    ///
    /// The agents in the processes of the ranks are asked, and the controller of the mesh; whoever can say first
    /// that all are so far is believed, and it is waited, for up to a second, until that is known in this process as
    /// well: who is called next is called in the life that was waited for. So a controller that is silent holds nobody
    /// up, once it has said where the ranks are. Only whether a rank that has ended is started again has to come from it.
    /// In a mesh of more processes than its [fan-out](crate::ActorSpec::fan_out) the controller alone is asked, since
    /// not everybody has a session with each.
    ///
    /// # Cancellation
    ///
    /// Dropped, it has asked, and what is answered is ignored.
    ///
    /// # Errors
    ///
    /// [`WatchError`] if neither the controller answers, nor is it known here where the ranks are.
    pub async fn wait(
        &self,
        from: &(impl Sender + Sync),
        until: Progress,
        within: Duration,
    ) -> Result<Missing, WatchError> {
        let controller = pin!(self.wait_by_controller(from, until, within));
        let agents = self.ask_agents(from, until, within);
        let agents = pin!(async { agents?.missing().await });
        // Whoever knows less waits until the time is over, and so both have answered by then.
        let (of_controller, of_agents) = match select(controller, agents).await {
            Either::Left((Ok(missing), _)) if missing.is_empty() => return Ok(Missing(missing)),
            Either::Right((Some(missing), _)) if missing.is_empty() => return Ok(Missing(missing)),
            Either::Left((answer, agents)) => (answer, agents.await),
            Either::Right((missing, controller)) => (controller.await, missing),
        };
        match (of_controller, of_agents) {
            (Ok(one), Some(other)) => Ok(Missing(one.intersection(&other))),
            (Ok(missing), None) | (Err(_), Some(missing)) => Ok(Missing(missing)),
            (Err(why), None) => Err(why),
        }
    }

    fn ask_agents(&self, from: &impl Sender, until: Progress, within: Duration) -> Option<Waiting> {
        let origin = from.origin();
        (self.region.base().size() <= self.fan_out).then(|| Waiting {
            from: origin.deputy(),
            mesh: self.label.id(),
            view: self.view(origin.proc()),
            region: Arc::clone(&self.region),
            until,
            within,
            asked: Mutex::default(),
        })
    }

    async fn wait_by_controller(
        &self,
        from: &(impl Sender + Sync),
        until: Progress,
        within: Duration,
    ) -> Result<RankSet, WatchError> {
        let (ranks, deadline) = (self.region.ranks(), deadline_after(within));
        let view = self.view(from.origin().proc());
        heard_of_ends(&view, &self.region, deadline).await;
        let within = deadline.saturating_duration_since(Instant::now());
        let request = MeshRequest::WaitRankStatus { ranks, until, within };
        let within = within.saturating_add(ON_ITS_WAY);
        let Reply::Waited { missing, state } = self.ask(from, request, within).await? else {
            return Err(WatchError::Strange);
        };
        let missing = missing.iter().filter_map(|base| self.region.rank_of_base(base));
        let (missing, state) = (RankSet::from_ranks(missing), self.of_slice(&state)?);
        let lives: Vec<_> = (self.region.iter().zip(state.ranks.iter()).enumerate())
            .filter(|(rank, _)| !missing.contains(Rank::new(*rank)))
            .map(|(_, (base, it))| (base, it.incarnation))
            .collect();
        caught_up(&mut view.watch(), &lives, (until, deadline)).await;
        Ok(missing)
    }

    /// Subscribes to what happens to this slice, told in its ranks: first a snapshot, last
    /// [`News::Closed`](mesh_core::News::Closed), or that its owner has
    /// [let go of it](mesh_core::Trouble::Abandoned): then its actors end, and nobody says how. A controller that says
    /// nothing for three of the periods that it states is told of as well, with the number of its last event; it may come
    /// back, and so the events do not end with that (N10). Where the subscription was lost with a session, as by a long
    /// suspension, it is made again then, and all that is is told anew, to a reader that has
    /// [lagged](mesh_core::Snapshot::lagged) (N7). It returns when the snapshot is here (N5). Dropped, they unsubscribe.
    ///
    /// # Cancellation
    ///
    /// It unsubscribes.
    ///
    /// # Errors
    ///
    /// [`WatchError`]
    pub async fn subscribe(
        &self,
        from: &(impl Sender + Sync),
        interest: Interest,
    ) -> Result<MeshEvents, WatchError> {
        let proc = from.origin().proc().clone();
        let port = proc.open_port::<MeshEvent>(EVENTS);
        let region = Some(Arc::clone(&self.region));
        let subscribe = Subscribe { to: port.port(), interest, region, again: false };
        let silence = renew(&proc, self.home(), subscribe.clone());
        let within = proc.call_within();
        let begun = async {
            // Whoever gives up meanwhile may be subscribed by then.
            let subscribed = Subscribed::new(proc, self.home(), port.port());
            self.of_home(from, subscribe, within).await??;
            let events = MeshEvents::of_port(port, Clock::start()).holding(subscribed);
            let events = events.showing_silence(silence);
            events.begun(within).await.ok_or(WatchError::Silent { within })
        };
        timeout(within, begun).await.unwrap_or(Err(WatchError::Silent { within }))
    }

    /// All that happens to this slice, and not its ends alone: [`subscribe`](Self::subscribe) to everything.
    ///
    /// # Errors
    ///
    /// [`WatchError`]
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_mesh::{ActorMeshRef, WatchError};
    /// use mesh_core::News;
    /// # use mesh_runtime::Proc;
    ///
    /// /// How many changes there are until every rank has ended.
    /// async fn count<A>(mesh: &ActorMeshRef<A>, proc: &Proc) -> Result<usize, WatchError> {
    ///     let (mut events, mut n) = (mesh.events(proc).await?, 0);
    ///     while let Some(event) = events.next().await {
    ///         if let News::Changed(changes) = event.news {
    ///             n += changes.len();
    ///         }
    ///     }
    ///     Ok(n)
    /// }
    /// ```
    pub async fn events(&self, from: &(impl Sender + Sync)) -> Result<MeshEvents, WatchError> {
        self.subscribe(from, Interest::All).await
    }

    /// Stops the mesh, as its owner can: every actor ends after the message that it handles, and those that have not
    /// after `grace` are killed, unless they keep their thread or are suspended, as at
    /// [`ActorMesh::stop`](crate::ActorMesh::stop), which says how long that takes. Returns the state of all (C1, L8). Whoever has a ref of the whole mesh may; one of a slice stops nothing.
    ///
    /// # Cancellation
    ///
    /// Dropped once it was polled, the mesh is stopped all the same.
    ///
    /// # Errors
    ///
    /// [`WatchError`]; if nobody answers, it may be stopped or not.
    pub async fn stop(
        &self,
        from: &(impl Sender + Sync),
        grace: Duration,
    ) -> Result<MeshState, WatchError> {
        self.stop_as((grace, None), from).await
    }

    /// The same, and whoever watches the mesh is told why, before any actor is touched (C1).
    ///
    /// # Cancellation
    ///
    /// Dropped once it was polled, all are stopped all the same.
    ///
    /// # Errors
    ///
    /// As of [`stop`](Self::stop).
    pub async fn stop_because(
        &self,
        from: &(impl Sender + Sync),
        reason: impl Into<StopReason> + Send,
        grace: Duration,
    ) -> Result<MeshState, WatchError> {
        self.stop_as((grace, Some(reason.into())), from).await
    }

    async fn stop_as(
        &self,
        (grace, reason): (Duration, Option<StopReason>),
        from: &(impl Sender + Sync),
    ) -> Result<MeshState, WatchError> {
        if self.region.size() < self.region.base().size() {
            return Err(WatchError::Slice);
        }
        let within = from.origin().proc().call_within().saturating_add(grace);
        let answer = self.ask(from, MeshRequest::Stop { grace, reason }, within).await;
        self.state_of(answer, from).await
    }

    /// The state that was answered, or is told where it is too much for an answer.
    async fn state_of(
        &self,
        answer: Result<Reply, WatchError>,
        from: &(impl Sender + Sync),
    ) -> Result<MeshState, WatchError> {
        match answer {
            Ok(Reply::State(state)) => self.of_slice(&state),
            Ok(_) => Err(WatchError::Strange),
            Err(why) if is_too_large(&why) => self.told_state(from).await,
            Err(why) => Err(why),
        }
    }

    async fn ask(
        &self,
        from: &(impl Sender + Sync),
        request: MeshRequest,
        within: Duration,
    ) -> Result<Reply, WatchError> {
        match self.of_home(from, request, within).await? {
            Reply::Refused(why) => Err(why.into()),
            reply => Ok(reply),
        }
    }

    async fn of_home<M>(
        &self,
        from: &(impl Sender + Sync),
        message: M,
        within: Duration,
    ) -> Result<M::Reply, WatchError>
    where
        M: Message<Reply: Serialize + DeserializeOwned>
            + Clone
            + Serialize
            + DeserializeOwned
            + Sync,
    {
        let (door, message) = (PortRef::<M>::of(self.home().actor()), Broadcast::new(message));
        // A wait may take longer than other calls may.
        let answer = timeout(within, message.call(from, door)).await;
        Ok(answer.or(Err(WatchError::Silent { within }))??)
    }

    /// What of a state is of this slice.
    fn of_slice(&self, state: &MeshState) -> Result<MeshState, WatchError> {
        // It is a state of another mesh if its shape does not fit.
        let ranks = state.ranks.slice(&self.region).or(Err(WatchError::Strange))?;
        Ok(MeshState { mesh: state.mesh.clone(), phase: phase_of(&ranks), ranks })
    }
}

#[cfg(test)]
mod tests;
