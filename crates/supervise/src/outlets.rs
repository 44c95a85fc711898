//! Where effects go: queues to subscribers, answers to questions, news to the owner. None is awaited.

use std::collections::{BTreeMap, BTreeSet};

use controller::AskId;
use mesh_core::{MeshEvent, OwnerNews, Reply, SubscriberId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::backlog::Backlog;
use crate::clock::{Clock, Queued};
use crate::handle::SUBSCRIBER_EVENTS;

/// The queues out of one controller.
#[derive(Debug)]
pub(crate) struct Outlets {
    clock: Clock,
    subscribers: BTreeMap<SubscriberId, mpsc::Sender<Queued<MeshEvent>>>,
    next_subscriber: SubscriberId,
    /// Those that lost messages and have not caught up.
    lagging: BTreeSet<SubscriberId>,
    /// One task for each of them, that ends when its queue has room, or is gone.
    catching_up: JoinSet<SubscriberId>,
    questions: BTreeMap<AskId, oneshot::Sender<Reply>>,
    next_ask: u64,
    owner: mpsc::Sender<Queued<OwnerNews>>,
    /// What the owner has not had room for.
    backlog: Backlog,
}

/// What became of a message to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Sent,
    /// It was its last message.
    Closed,
    /// Its queue is full: the message is lost, and a snapshot is due when there is room.
    Lagged,
    /// It has lagged already: the snapshot that is due will hold this too.
    Behind,
    /// It has gone.
    Gone,
}

impl Outlets {
    pub(crate) fn new(owner: mpsc::Sender<Queued<OwnerNews>>, clock: Clock) -> Self {
        Self {
            clock,
            subscribers: BTreeMap::new(),
            next_subscriber: SubscriberId::FIRST,
            lagging: BTreeSet::new(),
            catching_up: JoinSet::new(),
            questions: BTreeMap::new(),
            next_ask: 0,
            owner,
            backlog: Backlog::default(),
        }
    }

    pub(crate) fn add_subscriber(
        &mut self,
        queue: mpsc::Sender<Queued<MeshEvent>>,
    ) -> SubscriberId {
        let id = self.next_subscriber;
        self.next_subscriber = id.next();
        self.subscribers.insert(id, queue);
        id
    }

    pub(crate) fn add_question(&mut self, answer: oneshot::Sender<Reply>) -> AskId {
        let ask = AskId::new(self.next_ask);
        self.next_ask += 1;
        self.questions.insert(ask, answer);
        ask
    }

    pub(crate) fn tell(&mut self, to: SubscriberId, event: MeshEvent) -> Told {
        let Some(queue) = self.subscribers.get(&to) else { return Told::Gone };
        let is_last = event.news.is_last();
        if self.lagging.contains(&to) {
            return Told::Behind;
        }
        match queue.try_send(self.clock.queued(event)) {
            Ok(()) if is_last => {
                self.subscribers.remove(&to);
                Told::Closed
            }
            Ok(()) => Told::Sent,
            Err(TrySendError::Closed(_)) => {
                self.subscribers.remove(&to);
                Told::Gone
            }
            Err(TrySendError::Full(_)) => {
                self.lagging.insert(to);
                let queue = queue.clone();
                self.catching_up.spawn(async move {
                    // Half of the queue: a snapshot and what follows it must find room.
                    _ = queue.reserve_many(SUBSCRIBER_EVENTS / 2).await.is_ok();
                    to
                });
                Told::Lagged
            }
        }
    }

    /// Forgets the subscribers that have gone, and says which.
    pub(crate) fn gone(&mut self) -> Vec<SubscriberId> {
        let is_gone = |queue: &mpsc::Sender<Queued<MeshEvent>>| queue.is_closed();
        let gone: Vec<SubscriberId> = self
            .subscribers
            .iter()
            .filter(|(_, queue)| is_gone(queue))
            .map(|(id, _)| *id)
            .collect();
        for id in &gone {
            self.subscribers.remove(id);
        }
        gone
    }

    /// A subscription that was not taken.
    pub(crate) fn forget(&mut self, id: SubscriberId) {
        self.subscribers.remove(&id);
    }

    pub(crate) fn answer(&mut self, ask: AskId, reply: Reply) {
        if let Some(answer) = self.questions.remove(&ask) {
            // Whoever asked may have gone; nobody else wants the answer.
            _ = answer.send(reply).is_ok();
        }
    }

    /// The questions whose askers have gone.
    pub(crate) fn withdrawn(&mut self) -> Vec<AskId> {
        let is_gone = |(_, answer): &(&AskId, &oneshot::Sender<Reply>)| answer.is_closed();
        let gone: Vec<AskId> = self.questions.iter().filter(is_gone).map(|(ask, _)| *ask).collect();
        for ask in &gone {
            self.questions.remove(ask);
        }
        gone
    }

    /// Nothing is answered any more, which tells whoever has asked.
    pub(crate) fn forget_questions(&mut self) {
        self.questions.clear();
    }

    pub(crate) fn tell_owner(&mut self, news: OwnerNews) {
        self.backlog.push(self.clock.queued(news));
        self.drain_backlog();
    }

    fn drain_backlog(&mut self) {
        while let Ok(permit) = self.owner.try_reserve() {
            let Some(news) = self.backlog.pop() else { return };
            permit.send(news);
        }
    }

    /// Whether a subscriber has lost messages and has not caught up.
    pub(crate) fn is_anybody_lagging(&self) -> bool {
        !self.lagging.is_empty()
    }

    /// Waits until a queue that was full has room. The owner is told what it has missed; a subscriber
    /// that has caught up is returned, since it needs a snapshot.
    ///
    /// # Cancellation
    ///
    /// Nothing is lost if the future is dropped.
    pub(crate) async fn room(&mut self) -> Option<SubscriberId> {
        let Self { catching_up, owner, backlog, lagging, .. } = self;
        let caught_up = tokio::select! {
            // The owner first: it loses nothing, and who has caught up is found by every step as well.
            biased;
            Ok(permit) = owner.reserve(), if !backlog.is_empty() => {
                if let Some(news) = backlog.pop() {
                    permit.send(news);
                }
                None
            }
            Some(ended) = catching_up.join_next() => ended.ok(),
            else => std::future::pending().await,
        };
        if let Some(id) = caught_up {
            lagging.remove(&id);
        }
        caught_up
    }

    /// What [`Self::room`] would give without waiting: the owner is told what it has missed, and the
    /// subscribers that have caught up are returned.
    pub(crate) fn caught_up(&mut self) -> Vec<SubscriberId> {
        self.drain_backlog();
        let mut caught_up = Vec::new();
        while let Some(ended) = self.catching_up.try_join_next() {
            caught_up.extend(ended);
        }
        for id in &caught_up {
            self.lagging.remove(id);
        }
        caught_up
    }

    /// Ends when the owner has let go of the mesh.
    pub(crate) fn owner_gone(&self) -> impl Future<Output = ()> + use<> {
        let owner = self.owner.clone();
        async move { owner.closed().await }
    }
}
