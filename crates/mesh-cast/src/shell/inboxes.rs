//! `Inboxes`: what is for the actors of this process, each in a queue of its own, so that one that is full
//! holds up no other.
//!
//! A queue holds no more of each caster than that sends to a rank that takes nothing ([`Limits::rank`]).
//!
//! [`Limits::rank`]: crate::Limits::rank

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use mesh_core::{ActorId, Fault, Message, PortId, WhyUndelivered};
use mesh_runtime::{ActorRef, Asked, Proc};
use mesh_shape::{Overlay, Rank};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::pieces::MESSAGE_MAX;
use super::relay_actor::RelayActor;
use crate::wire::{CastId, Failure, Kind, Outcome};

/// What ranks of this process say to a cast.
pub(super) struct Said {
    pub(super) cast: CastId,
    pub(super) outcomes: Overlay<Outcome<Bytes>>,
}

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

impl Carrier {
    async fn run(self, mut items: mpsc::UnboundedReceiver<Item>) {
        // They end with this one.
        let mut answers = JoinSet::new();
        while let Some(Item { delivery, withdrawn, busy }) = items.recv().await {
            while answers.try_join_next().is_some() {}
            let Delivery { cast, kind, rank, to, port, from, bytes } = delivery;
            let taken = match kind {
                Kind::Cast => {
                    self.user.cast_passed_on((to, port), from, bytes).await.map(|()| None)
                }
                Kind::Call | Kind::Reduce(_) => self.call((to, port), bytes, withdrawn).await,
            };
            let outcome = match taken {
                Ok(asked) => {
                    if let Some((asked, withdrawn)) = asked {
                        let answer = answer(self.relay.clone(), (cast, rank), asked, withdrawn);
                        let busy = Arc::clone(&busy);
                        answers.spawn(async move {
                            answer.await;
                            drop(busy);
                        });
                    }
                    Outcome::Taken
                }
                Err(why) => Outcome::Failed(Failure::Fault(Fault::Undelivered(why))),
            };
            say(&self.relay, (cast, rank), outcome).await;
        }
    }

    /// Calls an actor, unless the call was withdrawn meanwhile.
    async fn call(
        &self,
        to: (ActorId, PortId),
        bytes: Bytes,
        withdrawn: Option<oneshot::Receiver<()>>,
    ) -> Result<Option<(Asked, oneshot::Receiver<()>)>, WhyUndelivered> {
        let Some(withdrawn) = withdrawn else { return Ok(None) };
        Ok(Some((self.user.call_passed_on(to, bytes).await?, withdrawn)))
    }
}

/// Waits for the answer of a rank for as long as somebody wants it.
async fn answer(
    relay: ActorRef<RelayActor>,
    of: (CastId, Rank),
    asked: Asked,
    withdrawn: oneshot::Receiver<()>,
) {
    let outcome = tokio::select! {
        biased;
        answer = asked.answer() => match answer {
            Ok(bytes) if bytes.len() > MESSAGE_MAX => {
                let fault = Fault::Undelivered(WhyUndelivered::TooLarge);
                Outcome::Failed(Failure::Fault(fault))
            }
            Ok(bytes) => Outcome::Replied(bytes),
            Err(fault) => Outcome::Failed(Failure::Fault(fault)),
        },
        _ = withdrawn => return,
    };
    say(&relay, of, outcome).await;
}

async fn say(relay: &ActorRef<RelayActor>, (cast, rank): (CastId, Rank), said: Outcome<Bytes>) {
    let said = Said { cast, outcomes: Overlay::from_rank(rank, said) };
    // A relay that has ended has no parent to tell.
    _ = relay.cast(relay.proc(), said).await.is_ok();
}

impl fmt::Debug for Inboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.inboxes.keys()).finish()
    }
}
