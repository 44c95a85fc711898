//! `Inboxes`: what is for the actors of this process, each in a queue of its own, so that one that is full
//! holds up no other.
//!
//! A queue holds no more of each caster than that sends to a rank that takes nothing ([`Limits::rank`]).
//!
//! [`Limits::rank`]: crate::Limits::rank

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{ActorId, Fault, Message, PortId, WhyUndelivered};
use mesh_runtime::{ActorRef, Asked, Proc};
use mesh_shape::{Overlay, Rank};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use super::pieces::MESSAGE_MAX;
use super::relay_actor::RelayActor;
use crate::wire::{CastId, Failure, Kind, Outcome};

/// How many casts an actor has been handed until the relay is told.
const TOGETHER: usize = 64;

/// How long an answer may take until it is told before that the call was taken.
const TAKEN_AFTER: Duration = Duration::from_millis(1);

/// What a rank of this process says to casts, in order.
pub(super) struct Said(pub(super) Vec<(CastId, Overlay<Outcome<Bytes>>)>);

impl Message for Said {
    const NAME: &'static str = "meshwarden.CastSaid";
    type Reply = ();
}

/// One message for one actor.
pub(super) struct Delivery {
    pub(super) cast: CastId,
    pub(super) kind: Kind,
    pub(super) rank: Rank,
    pub(super) to: ActorId,
    pub(super) port: PortId,
    /// Who sent it, if an actor did.
    pub(super) from: Option<ActorId>,
    pub(super) bytes: Bytes,
}

/// One queue for each actor.
pub(super) struct Inboxes {
    /// Where the actors live, and what they say is encoded.
    user: Proc,
    inboxes: BTreeMap<ActorId, Inbox>,
    /// Calls whose answers are waited for; dropped, they are withdrawn.
    asked: BTreeMap<CastId, Vec<oneshot::Sender<()>>>,
}

struct Inbox {
    queue: mpsc::UnboundedSender<Item>,
    carrier: AbortHandle,
    /// A clone for each delivery that is not answered yet.
    busy: Arc<()>,
}

/// A delivery, how it is withdrawn if it is a call, and that it is not answered.
struct Item {
    delivery: Delivery,
    withdrawn: Option<oneshot::Receiver<()>>,
    busy: Arc<()>,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Inboxes {
    pub(super) const fn new(user: Proc) -> Self {
        Self { user, inboxes: BTreeMap::new(), asked: BTreeMap::new() }
    }

    /// Delivers to an actor, behind all that was delivered to it before. What it says goes to `relay`.
    pub(super) fn deliver(&mut self, delivery: Delivery, relay: &ActorRef<RelayActor>) {
        let withdrawn = delivery.kind.wants_reply().then(|| {
            let (keep, withdrawn) = oneshot::channel();
            self.asked.entry(delivery.cast).or_default().push(keep);
            withdrawn
        });
        let inbox = self.inboxes.entry(delivery.to).or_insert_with(|| {
            // Bound: no more than the window of each caster that the relay knows.
            let (queue, items) = mpsc::unbounded_channel();
            let carrier = Carrier { user: self.user.clone(), relay: relay.clone() };
            let carrier = self.user.runtime().spawn(carrier.run(items)).abort_handle();
            Inbox { queue, carrier, busy: Arc::default() }
        });
        let item = Item { delivery, withdrawn, busy: Arc::clone(&inbox.busy) };
        // It ends with the queue.
        _ = inbox.queue.send(item).is_ok();
    }

    /// Withdraws the calls that nobody waits for any more, and forgets the actors that are gone.
    pub(super) fn sweep(&mut self, is_open: impl Fn(&CastId) -> bool) {
        self.asked.retain(|cast, _| is_open(cast));
        let user = &self.user;
        self.inboxes.retain(|actor, inbox| user.has_way_to(*actor) || !inbox.is_idle());
    }
}

impl Inbox {
    /// Whether nothing waits here, and nothing is waited for.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.busy) == 1
    }
}

/// Delivers what is in one queue.
struct Carrier {
    user: Proc,
    relay: ActorRef<RelayActor>,
}

/// What was asked of an actor, and how that is withdrawn.
type Question = (Asked, oneshot::Receiver<()>);

/// What an actor has been handed, or why not.
type Handed = Result<Option<Question>, WhyUndelivered>;

impl Carrier {
    async fn run(self, mut items: mpsc::UnboundedReceiver<Item>) {
        // They end with this one.
        let mut answers = JoinSet::new();
        let mut said = Vec::new();
        while let Some(item) = items.recv().await {
            while answers.try_join_next().is_some() {}
            let mut next = Some(item);
            while let Some(Item { delivery, withdrawn, busy }) = next {
                let of = (delivery.cast, delivery.rank);
                let mut handed = pin!(self.hand_over(delivery, withdrawn));
                let handed = match poll_fn(|cx| Poll::Ready(handed.as_mut().poll(cx))).await {
                    Poll::Ready(handed) => handed,
                    Poll::Pending => {
                        // That others were taken is not held up by an actor that has no room.
                        self.say(&mut said).await;
                        handed.await
                    }
                };
                match handed {
                    Ok(None) => said.push((of_rank(of, Outcome::Taken), busy)),
                    Ok(Some(question)) => {
                        let relay = self.relay.clone();
                        answers.spawn(async move {
                            answer(relay, of, question).await;
                            drop(busy);
                        });
                    }
                    Err(why) => {
                        let fault = Failure::Fault(Fault::Undelivered(why));
                        said.push((of_rank(of, Outcome::Failed(fault)), busy));
                    }
                }
                next = (said.len() < TOGETHER).then(|| items.try_recv().ok()).flatten();
            }
            self.say(&mut said).await;
        }
    }

    /// Hands a message to its actor, when there is room for it there.
    async fn hand_over(
        &self,
        Delivery { cast, to, port, from, bytes, .. }: Delivery,
        withdrawn: Option<oneshot::Receiver<()>>,
    ) -> Handed {
        match withdrawn {
            Some(withdrawn) => {
                Ok(Some((self.user.call_passed_on((to, port), bytes).await?, withdrawn)))
            }
            None => {
                let from = (from, cast.stream.mesh);
                self.user.cast_passed_on((to, port), from, bytes).await.map(|()| None)
            }
        }
    }

    /// Says what there is to say. Until that is done its inbox is not idle.
    async fn say(&self, said: &mut Vec<(OfRank, Arc<()>)>) {
        if !said.is_empty() {
            let (said, busy): (_, Vec<_>) = std::mem::take(said).into_iter().unzip();
            say(&self.relay, said).await;
            drop(busy);
        }
    }
}

/// Waits for the answer of a rank for as long as somebody wants it.
async fn answer(relay: ActorRef<RelayActor>, of: (CastId, Rank), (asked, mut withdrawn): Question) {
    let mut answered = pin!(async {
        match asked.answer().await {
            Ok(bytes) if bytes.len() > MESSAGE_MAX => {
                let why = WhyUndelivered::too_large(bytes.len(), MESSAGE_MAX);
                let fault = Fault::Undelivered(why);
                Outcome::Failed(Failure::Fault(fault))
            }
            Ok(bytes) => Outcome::Replied(bytes),
            Err(fault) => Outcome::Failed(Failure::Fault(fault)),
        }
    });
    let mut taken = pin!(sleep(TAKEN_AFTER));
    let mut is_told = false;
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut answered => break outcome,
            // Nobody wants more than to know that it was taken.
            _ = &mut withdrawn, if is_told => return,
            () = &mut taken, if !is_told => {
                is_told = true;
                say(&relay, vec![of_rank(of, Outcome::Taken)]).await;
            }
        }
    };
    say(&relay, vec![of_rank(of, outcome)]).await;
}

/// What a rank says to one cast.
type OfRank = (CastId, Overlay<Outcome<Bytes>>);

fn of_rank((cast, rank): (CastId, Rank), outcome: Outcome<Bytes>) -> OfRank {
    (cast, Overlay::from_rank(rank, outcome))
}

async fn say(relay: &ActorRef<RelayActor>, said: Vec<OfRank>) {
    // A relay that has ended has no parent to tell.
    _ = relay.cast(relay.proc(), Said(said)).await.is_ok();
}

impl fmt::Debug for Inboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.inboxes.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
