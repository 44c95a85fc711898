//! Messages that were passed on by others, as bytes: delivered to actors of this process whose type nobody
//! knows on the way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use mesh_core::{ActorId, Body, CallId, Fault, Head, MeshId, Message, PortId, WhyUndelivered};
use tokio::sync::oneshot;

use crate::codec;
use crate::endpoint::{Away, Endpoint, Rejected, Room};
use crate::letter::AnyLetter;
use crate::proc::Proc;
use crate::remote::Withdraw;
use crate::undelivered::Undelivered;

/// A call that was passed on and was taken: what is left is the answer.
///
/// # Cancellation
///
/// Dropped, the actor need not handle it, if it has not begun to.
#[must_use = "dropped, the call is withdrawn"]
#[derive(Debug)]
pub struct Asked {
    withdraw: Withdraw,
    settled: oneshot::Receiver<Result<Body, Fault>>,
}

impl Asked {
    /// The bytes of the answer, encoded here if the actor has not done so.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn answer(self) -> Result<Bytes, Fault> {
        let Self { withdraw, settled } = self;
        let settled = settled.await.unwrap_or(Err(Fault::Unanswered(None)));
        drop(withdraw);
        codec::encoded(settled?).ok_or(Fault::Undelivered(WhyUndelivered::Malformed))
    }
}

impl Proc {
    /// Delivers to a port of this process a message that was cast to a mesh and came by way of others, and waits while
    /// there is no room for it. If it is taken and not handled it goes back to `from` (R3): by a session, or else by
    /// [whoever passes it on](Self::watch_ways_back).
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, the message is dropped too.
    ///
    /// # Errors
    ///
    /// Why it is not taken; then it goes back to nobody.
    pub async fn cast_passed_on(
        &self,
        (to, port): (ActorId, PortId),
        (from, mesh): (Option<ActorId>, MeshId),
        bytes: Bytes,
    ) -> Result<(), WhyUndelivered> {
        let endpoint = self.find_here(to)?;
        let letter = endpoint.open(port, Body::Bytes(bytes), Away::PassedOn(from, mesh));
        put(&endpoint, port, letter.map_err(|(why, _)| why)?).await
    }

    /// Calls a port of this process with a message that came by way of others, and waits while there is no room
    /// for it.
    ///
    /// # Cancellation
    ///
    /// Dropped while it waits, the message is dropped too.
    ///
    /// # Errors
    ///
    /// Why it is not taken.
    pub async fn call_passed_on(
        &self,
        (to, port): (ActorId, PortId),
        bytes: Bytes,
    ) -> Result<Asked, WhyUndelivered> {
        let endpoint = self.find_here(to)?;
        let proc = self.on(to.plane());
        let remote = self.remote();
        let call = CallId::new(remote.next_call.fetch_add(1, Ordering::Relaxed));
        let settled = remote.await_answer(self.peer(), call);
        let asked = Asked { withdraw: Withdraw { proc: proc.clone(), to, call }, settled };
        let from = Away::Call { proc: &proc, from: self.peer(), call };
        let letter = endpoint.open(port, Body::Bytes(bytes), from).map_err(|(why, _)| why)?;
        put(&endpoint, port, letter).await?;
        Ok(asked)
    }

    /// Messages of type `M` leave this process by way of others: what comes back of them has its name.
    pub fn will_pass_on<M: Message>(&self) {
        self.remote().learn_name::<M>();
    }

    /// A message that was passed on reaches nobody: it is counted, logged, and goes back to who sent it, an
    /// actor of this process (R3).
    pub fn not_passed_on(
        &self,
        (from, to): (Option<ActorId>, ActorId),
        name: &'static str,
        why: WhyUndelivered,
        bytes: Bytes,
    ) {
        self.give_back(Undelivered::new((from, to), name, why, Body::Bytes(bytes)));
    }

    /// Counts a message that was not sent to so many at all, for a reason, or else for lack of room. Whoever counts it logs
    /// it, and tells who sends it (R3).
    pub fn count_not_sent(&self, why: Option<WhyUndelivered>, n: usize) {
        self.metrics().not_sent(why, n);
    }

    /// What was passed on to this process by others is answered within it.
    pub(crate) fn answer_here(&self, head: Head, body: Body) -> bool {
        match head {
            Head::Answer { call, .. } => self.remote().settle(self.peer(), call, Ok(body)),
            Head::Fault { call, fault, .. } => {
                self.remote().settle(self.peer(), call, Err(fault));
            }
            Head::Withdrawn { from, call, .. } => self.remote().withdrawn(from, call),
            Head::Returned { to, of, port, why } => {
                let name = self.remote().name(port);
                self.give_back(Undelivered::new((Some(to), of), name, why, body));
            }
            Head::Cast { .. } | Head::Call { .. } => return false,
        }
        true
    }

    fn find_here(&self, to: ActorId) -> Result<Arc<dyn Endpoint>, WhyUndelivered> {
        let found = self.find(to).filter(|_| to.peer() == self.peer());
        found.ok_or(WhyUndelivered::NoActor)
    }
}

/// Puts a letter into a mailbox, and waits for its turn while that is full.
async fn put(
    endpoint: &Arc<dyn Endpoint>,
    port: PortId,
    letter: Box<dyn AnyLetter>,
) -> Result<(), WhyUndelivered> {
    let letter = match endpoint.deliver(port, letter, Room::Free) {
        Ok(()) => return Ok(()),
        Err(Rejected::Never(why, letter)) => return Err(never(why, letter)),
        Err(Rejected::Full(letter)) => letter,
    };
    if !Arc::clone(endpoint).room().await {
        return Err(never(WhyUndelivered::Ended, letter));
    }
    match endpoint.deliver(port, letter, Room::Kept) {
        Ok(()) => Ok(()),
        Err(Rejected::Never(why, letter)) => Err(never(why, letter)),
        Err(Rejected::Full(letter)) => Err(never(WhyUndelivered::Ended, letter)),
    }
}

/// Whoever passes it on says so; the letter itself tells nobody.
fn never(why: WhyUndelivered, letter: Box<dyn AnyLetter>) -> WhyUndelivered {
    drop(letter);
    why
}
