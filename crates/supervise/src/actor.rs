//! The controller as an actor: it answers over ports, and tells ports.
//!
//! The loop is the same, attached to the actor: when the actor ends, in whatever way, the loop is
//! dropped, and with it the agents and what they have started (C2). The actor only carries messages to
//! the loop and news from it, and waits for none of them.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use controller::Controlled;
use mesh_core::{
    Agents, MeshRequest, Message, OwnerNews, PortRef, Refusal, Reply, Subscribe, Unsubscribe,
    WhyUndelivered,
};
use mesh_runtime::{
    Actor, ChildFailure, Context, Failure, Handler, Handlers, Port, ReplyTo, Stop, Undelivered,
    Verdict,
};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::desk::{LoopEnded, Reception};
use crate::parts::failures_in_parts;
use crate::shell::{Setup, Supervision, supervise};

/// A controller that answers over ports (L8). Spawn it on the control thread.
///
/// It takes [`MeshRequest`], [`Subscribe`] and [`Unsubscribe`]. However it ends, the mesh ends with it. It
/// ends when its owner is gone (C2): within a period of checks, if the owner's port was in this process or
/// the session with its process is over; with the next news, if it is only the port that is gone. Then subscribers are
/// told so, as the last event, and have five seconds to read it: it is the actor that waits for them, and not the end
/// of the mesh.
///
/// # Examples
///
/// ```
/// use controller::Config;
/// use controller::mesh_core::{MeshRequest, OwnerNews, PortRef, Reply, Status};
/// use controller::mesh_shape::extent;
/// use mesh_runtime::{Port, Proc};
/// use supervise::{ControllerActor, ControllerParams, Life, Local, LocalRanks, Setup};
///
/// /// Is lit until it is asked to end.
/// async fn shine(mut lamp: Life<Local>) -> Status {
///     lamp.report(Status::Running);
///     lamp.ordered().await;
///     Status::Stopped
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live: shine };
/// let setup = Setup::local("street", extent!(lamps = 4)?, Config::local(), ranks)?;
/// let proc = Proc::local()?;
/// let mut news = proc.open_port::<OwnerNews>(16);
/// let params = ControllerParams { setup, owner: news.port() };
/// let controller = proc.spawn::<ControllerActor<_, _>>(params);
///
/// // The address can be sent to anybody, who need not know what is supervised.
/// let home: PortRef<MeshRequest> = controller.port();
/// let stop = MeshRequest::Stop { grace: std::time::Duration::from_secs(1), reason: None };
/// let Reply::State(state) = home.call(&proc, stop).await? else { panic!("a stop tells the state") };
/// assert!(state.ranks.iter().all(|rank| rank.status == Status::Stopped));
/// assert!(matches!(news.recv().await, OwnerNews::Finished(_)));
/// # Ok(())
/// # }
/// ```
pub struct ControllerActor<C: Controlled, A> {
    reception: Reception<C::Report>,
    /// `None` once news have come back, and the owner has gone.
    takes_news: Option<oneshot::Sender<Infallible>>,
    agents: PhantomData<fn(A)>,
}

/// What a [`ControllerActor`] is created from.
pub struct ControllerParams<C: Controlled, A> {
    /// The machine, its agents, and how the mesh begins.
    pub setup: Setup<C, A>,
    /// Where the failures go, each once (N1). When it is gone, so is the mesh (C2).
    pub owner: PortRef<OwnerNews>,
}

impl<C: Controlled, A> fmt::Debug for ControllerActor<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerActor")
            .field("reception", &self.reception)
            .finish_non_exhaustive()
    }
}

impl<C: Controlled, A> fmt::Debug for ControllerParams<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControllerParams")
            .field("setup", &self.setup)
            .field("owner", &self.owner)
            .finish()
    }
}

impl<C, A> Actor for ControllerActor<C, A>
where
    C: Controlled + Send + 'static,
    C::Report: Send + 'static,
    A: Agents<Report = C::Report> + Send + 'static,
{
    const NAME: &'static str = "controller";
    type Params = ControllerParams<C, A>;

    async fn start(
        ControllerParams { setup, owner }: ControllerParams<C, A>,
        cx: &mut Context<Self>,
    ) -> Result<Self, Failure> {
        let period = setup.controller.spec().config.times.check;
        let (Supervision { controller, owner: mut news, .. }, run) = supervise(setup);
        cx.attach(async move {
            run.await;
            Ok(())
        });
        let (takes_news, come_back) = oneshot::channel::<Infallible>();
        let (proc, deputy) = (cx.proc().clone(), cx.deputy());
        let is_here = owner.actor().proc == proc.id();
        cx.attach(async move {
            let tell = async {
                while let Some(news) = news.next().await {
                    for news in in_messages(news, is_here) {
                        owner.cast_aging(&deputy, news, OwnerNews::hold).await;
                    }
                }
                // The mesh has ended, and can still be asked.
                std::future::pending::<()>().await;
            };
            // A mesh that has no news learns all the same that nobody would hear them.
            let look = async {
                while proc.has_way_to(owner.actor()) {
                    sleep(period).await;
                }
            };
            tokio::select! {
                () = tell => (),
                () = look => (),
                _ = come_back => (),
            }
            // That tells the loop: it lets go of the mesh, and everybody hears of it (C2, N10).
            drop(news);
            Ok(())
        });
        let reception = Reception::open(controller, cx);
        Ok(Self { reception, takes_news: Some(takes_news), agents: PhantomData })
    }

    /// A subscription that fails is over, and nothing else is (H7).
    async fn on_failure(
        &mut self,
        _: ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        Ok(Verdict::Handled)
    }

    /// Without its owner the mesh ends (C2).
    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let may_read = !matches!(undelivered.why, WhyUndelivered::TooLarge { .. });
        if undelivered.name == OwnerNews::NAME && may_read {
            self.takes_news = None;
        }
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<MeshRequest>().takes::<Subscribe>().takes::<Unsubscribe>();
    }
}

/// What an owner is told, in as many messages as it takes to another process. At the end it knows what ranks have died of.
fn in_messages(news: OwnerNews, is_here: bool) -> impl Iterator<Item = OwnerNews> + Send {
    let (whole, long) = match news {
        OwnerNews::Failed(failures) if !is_here => (None, Some(failures)),
        OwnerNews::Finished(state) if !is_here => (Some(OwnerNews::Finished(state.brief())), None),
        news => (Some(news), None),
    };
    let parts = long.into_iter().flat_map(failures_in_parts).map(OwnerNews::Failed);
    whole.into_iter().chain(parts)
}

impl<C, A> Handler<LoopEnded> for ControllerActor<C, A>
where
    C: Controlled + Send + 'static,
    C::Report: Send + 'static,
    A: Agents<Report = C::Report> + Send + 'static,
{
    async fn handle(&mut self, _: LoopEnded, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.reception.carry().await;
        cx.stop(Stop::Now);
        Ok(())
    }
}

impl<C, A> Handler<MeshRequest> for ControllerActor<C, A>
where
    C: Controlled + Send + 'static,
    C::Report: Send + 'static,
    A: Agents<Report = C::Report> + Send + 'static,
{
    async fn handle(
        &mut self,
        request: MeshRequest,
        _: &mut Context<Self>,
    ) -> Result<Reply, Failure> {
        Ok(self.reception.order(request).await)
    }

    async fn handle_call(
        &mut self,
        request: MeshRequest,
        reply: ReplyTo<Reply>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.reception.ask(request, reply, cx).await;
        Ok(())
    }
}

impl<C, A> Handler<Subscribe> for ControllerActor<C, A>
where
    C: Controlled + Send + 'static,
    C::Report: Send + 'static,
    A: Agents<Report = C::Report> + Send + 'static,
{
    async fn handle(
        &mut self,
        subscribe: Subscribe,
        cx: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        Ok(self.reception.subscribe(subscribe, cx).await.unwrap_or(Ok(())))
    }

    async fn handle_call(
        &mut self,
        subscribe: Subscribe,
        reply: ReplyTo<Result<(), Refusal>>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.reception.subscribe_for(subscribe, reply, cx).await;
        Ok(())
    }
}

impl<C, A> Handler<Unsubscribe> for ControllerActor<C, A>
where
    C: Controlled + Send + 'static,
    C::Report: Send + 'static,
    A: Agents<Report = C::Report> + Send + 'static,
{
    async fn handle(
        &mut self,
        Unsubscribe { to }: Unsubscribe,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.reception.unsubscribe(to).await;
        Ok(())
    }
}
