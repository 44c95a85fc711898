//! What answers over ports for a loop: [`Desk`], and the part of it that every such actor has.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use mesh_core::{MeshEvent, MeshRequest, Message, PortRef, Refusal, Reply, Subscribe, Unsubscribe};
use mesh_runtime::{
    Actor, ActorRef, ChildFailure, Context, Failure, Handler, Handlers, ReplyTo, Stop, Verdict,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::forwarder::{Forwarder, Forwarding, GoesOn};
use crate::handle::{AskError, ControllerRef, Inbox, SUBSCRIBER_EVENTS};

/// How long subscribers may take to read what was said last.
const CARRIED_WITHIN: Duration = Duration::from_secs(5);

/// Answers over ports for a controller whose loop runs elsewhere in the process, and whose owner has it in
/// its hand (L8). Spawn it on the control thread; it ends with the controller.
///
/// It takes [`MeshRequest`], [`Subscribe`] and [`Unsubscribe`].
///
/// # Examples
///
/// ```
/// use controller::Config;
/// use controller::mesh_core::{MeshRequest, PortRef, Reply, Status};
/// use controller::mesh_shape::extent;
/// use mesh_runtime::{Port, Proc};
/// use supervise::{Desk, Life, Local, LocalRanks, Setup};
///
/// # async fn shine(mut lamp: Life<Local>) -> Status {
/// #     lamp.report(Status::Running);
/// #     lamp.ordered().await;
/// #     Status::Stopped
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live: shine };
/// let setup = Setup::local("street", extent!(lamps = 4)?, Config::local(), ranks)?;
/// let (supervision, run) = supervise::supervise(setup);
/// tokio::spawn(run);
///
/// let proc = Proc::local()?;
/// let desk = proc.spawn::<Desk<Status>>(supervision.controller.clone());
/// let home: PortRef<MeshRequest> = desk.port();
/// let Reply::Subscribers(0) = home.call(&proc, MeshRequest::GetSubscriberCount).await? else {
///     panic!("there is none")
/// };
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Desk<R>(Reception<R>);

impl<R: Send + 'static> Actor for Desk<R> {
    const NAME: &'static str = "desk";
    type Params = ControllerRef<R>;

    async fn start(controller: ControllerRef<R>, cx: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(Reception::open(controller, cx)))
    }

    /// A subscription that fails is over, and nothing else is (H7).
    async fn on_failure(
        &mut self,
        _: ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        Ok(Verdict::Handled)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<MeshRequest>().takes::<Subscribe>().takes::<Unsubscribe>();
    }
}

/// The loop has ended.
pub(crate) struct LoopEnded;

impl Message for LoopEnded {
    const NAME: &'static str = "meshwarden.desk.LoopEnded";
    type Reply = ();
}

impl<R: Send + 'static> Handler<LoopEnded> for Desk<R> {
    async fn handle(&mut self, _: LoopEnded, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.0.carry().await;
        cx.stop(Stop::Now);
        Ok(())
    }
}

impl<R: Send + 'static> Handler<MeshRequest> for Desk<R> {
    async fn handle(
        &mut self,
        request: MeshRequest,
        _: &mut Context<Self>,
    ) -> Result<Reply, Failure> {
        Ok(self.0.order(request).await)
    }

    async fn handle_call(
        &mut self,
        request: MeshRequest,
        reply: ReplyTo<Reply>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.ask(request, reply, cx).await;
        Ok(())
    }
}

impl<R: Send + 'static> Handler<Subscribe> for Desk<R> {
    async fn handle(
        &mut self,
        subscribe: Subscribe,
        cx: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        Ok(self.0.subscribe(subscribe, cx).await.unwrap_or(Ok(())))
    }

    async fn handle_call(
        &mut self,
        subscribe: Subscribe,
        reply: ReplyTo<Result<(), Refusal>>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.subscribe_for(subscribe, reply, cx).await;
        Ok(())
    }
}

impl<R: Send + 'static> Handler<Unsubscribe> for Desk<R> {
    async fn handle(
        &mut self,
        Unsubscribe { to }: Unsubscribe,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.unsubscribe(to).await;
        Ok(())
    }
}

/// Takes questions and subscriptions for a loop, in the name of the actor that has it.
///
/// A controller that has ended does nothing, and that is no failure of the actor, which is about to follow it.
pub(crate) struct Reception<R> {
    controller: ControllerRef<R>,
    /// One for each port that is told. Bound: the limit of the machine for subscribers.
    subscriptions: BTreeMap<PortRef<MeshEvent>, Subscribed>,
}

/// One subscription, which ends when this is dropped.
struct Subscribed {
    forwarder: ActorRef<Forwarder>,
    /// Closed when everything has been carried, or can be no more.
    carries: oneshot::Sender<Infallible>,
}

impl Subscribed {
    /// Ends it now: when this returns, the loop can see that the subscriber has gone.
    async fn end(self) {
        self.forwarder.stop(Stop::Now);
        self.forwarder.ended().await;
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.forwarder.stop(Stop::Now);
    }
}

impl<R: Send + 'static> Reception<R> {
    /// The actor is told when the loop has ended: then it is to [carry](Self::carry), and to stop.
    pub(crate) fn open<A: Handler<LoopEnded>>(
        controller: ControllerRef<R>,
        cx: &mut Context<A>,
    ) -> Self {
        let (me, deputy, ended) = (cx.me().clone(), cx.deputy(), controller.clone());
        cx.attach(async move {
            ended.ended().await;
            // If it does not take that, it is about to end.
            _ = me.cast(&deputy, LoopEnded).await.is_ok();
            Ok(())
        });
        Self { controller, subscriptions: BTreeMap::new() }
    }

    /// Hands on a request that nobody waits for.
    pub(crate) async fn order(&self, request: MeshRequest) -> Reply {
        let (answer, _) = oneshot::channel();
        _ = self.controller.send(Inbox::Ask { request, answer }).await.is_ok();
        Reply::Taken
    }

    /// Hands the question to the loop, in the order of arrival, and does not wait for what it says (L2).
    pub(crate) async fn ask<A: Actor>(
        &self,
        request: MeshRequest,
        mut reply: ReplyTo<Reply>,
        cx: &mut Context<A>,
    ) {
        let (answer, answered) = oneshot::channel();
        if self.controller.send(Inbox::Ask { request, answer }).await.is_err() {
            // The reply is dropped, which tells that it has ended.
            return;
        }
        cx.attach(async move {
            tokio::select! {
                biased;
                answer = answered => {
                    // A loop that has ended answers nobody: then the reply is dropped, which tells that.
                    if let Ok(answer) = answer {
                        // Whoever asked may have given up meanwhile.
                        _ = reply.send(in_a_message(answer)).is_ok();
                    }
                }
                // The loop sees that nobody waits any more, and forgets the question.
                () = reply.abandoned() => (),
            }
            Ok(())
        });
    }

    /// # Errors
    ///
    /// [`AskError::Ended`] if the controller has ended.
    pub(crate) async fn subscribe<A: Actor>(
        &mut self,
        Subscribe { to, interest, region, again }: Subscribe,
        cx: &mut Context<A>,
    ) -> Result<Result<(), Refusal>, AskError> {
        self.subscriptions.retain(|_, subscribed| !subscribed.carries.is_closed());
        if let Some(subscribed) = self.subscriptions.get(&to) {
            if subscribed.forwarder.call(cx, GoesOn).await.is_ok() {
                return Ok(Ok(()));
            }
            // What it was told has just come back: that subscription is over, and this is another one.
            self.unsubscribe(to).await;
        }
        let (queue, events) = mpsc::channel(SUBSCRIBER_EVENTS);
        let (taken, is_taken) = oneshot::channel();
        let subscribe = Inbox::Subscribe { interest, region, again, queue, taken };
        self.controller.send(subscribe).await?;
        // The loop answers at its next step.
        if let Err(refusal) = is_taken.await.or(Err(AskError::Ended))? {
            return Ok(Err(refusal));
        }
        let (carries, carried) = oneshot::channel();
        let clock = self.controller.clock();
        let forwarding = Forwarding { events, clock, to, carries: carried };
        let forwarder = cx.spawn::<Forwarder>(forwarding);
        self.subscriptions.insert(to, Subscribed { forwarder, carries });
        Ok(Ok(()))
    }

    /// The same for somebody who waits.
    pub(crate) async fn subscribe_for<A: Actor>(
        &mut self,
        subscribe: Subscribe,
        reply: ReplyTo<Result<(), Refusal>>,
        cx: &mut Context<A>,
    ) {
        // If the controller has ended, the reply is dropped, which tells that.
        if let Ok(taken) = self.subscribe(subscribe, cx).await {
            // Whoever asked may have given up meanwhile.
            _ = reply.send(taken).is_ok();
        }
    }

    /// Waits until all that was said before the end of the loop has been carried (N4).
    pub(crate) async fn carry(&mut self) {
        let carried = async {
            for subscribed in self.subscriptions.values_mut() {
                subscribed.carries.closed().await;
            }
        };
        // A subscriber that does not read holds nobody up for longer.
        _ = timeout(CARRIED_WITHIN, carried).await.is_ok();
    }

    pub(crate) async fn unsubscribe(&mut self, from: PortRef<MeshEvent>) {
        if let Some(subscribed) = self.subscriptions.remove(&from) {
            subscribed.end().await;
        }
    }
}

/// What is answered, as it fits into a message: whoever has waited wants to know who is so far, and not what others died of.
fn in_a_message(answer: Reply) -> Reply {
    match answer {
        Reply::Waited { missing, state } => Reply::Waited { missing, state: state.brief().into() },
        other => other,
    }
}

impl<R> fmt::Debug for Reception<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reception")
            .field("n_ports", &self.subscriptions.len())
            .finish_non_exhaustive()
    }
}
