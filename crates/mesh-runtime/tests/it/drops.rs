//! drops: messages and states that panic when they are dropped, wherever that is.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::{End, Message, PortRef};
use mesh_runtime::{
    Actor, ActorRef, ChildFailure, Context, Failure, Handler, Handlers, LocalTransport, Network,
    Port, Proc, Stop, Undelivered, Verdict,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// Hangs when it is told to, and has children.
struct Keeper;

struct Hang;

/// Panics when it is dropped.
#[derive(Serialize, Deserialize)]
struct Mine;

struct HaveChild;

/// Sends a mine there, as much as there is room for.
struct Lay(ActorRef<Keeper>);

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("it goes off");
    }
}

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("drops.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Hang, ());
message!(Mine, ());
message!(HaveChild, ActorRef<Keeper>);
message!(Lay, ());

impl Actor for Keeper {
    const NAME: &'static str = "keeper";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }

    async fn on_failure(
        &mut self,
        _: ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        Ok(Verdict::Handled)
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let _kept = ManuallyDrop::new(undelivered);
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Mine>();
    }
}

impl Handler<Hang> for Keeper {
    async fn handle(&mut self, _: Hang, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}

impl Handler<Mine> for Keeper {
    async fn handle(&mut self, mine: Mine, _: &mut Context<Self>) -> Result<(), Failure> {
        let _kept = ManuallyDrop::new(mine);
        Ok(())
    }
}

impl Handler<HaveChild> for Keeper {
    async fn handle(
        &mut self,
        _: HaveChild,
        cx: &mut Context<Self>,
    ) -> Result<ActorRef<Self>, Failure> {
        Ok(cx.spawn::<Self>(()))
    }
}

impl Handler<Lay> for Keeper {
    async fn handle(&mut self, Lay(to): Lay, cx: &mut Context<Self>) -> Result<(), Failure> {
        for _ in 0..3 {
            if let Err(refused) = to.cast(cx, Mine).await {
                let _kept = ManuallyDrop::new(refused);
            }
        }
        Ok(())
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), work).await.expect("it does not take that long")
}

/// E1: whatever a message does when it is dropped unread, its actor ends, and everybody who is to be told is.
#[tokio::test]
async fn a_message_that_panics_unread_keeps_no_actor_from_ending() {
    for how in [Stop::Now, Stop::Kill] {
        for by_actor in [false, true] {
            let proc = Proc::local().expect("there is a runtime");
            let parent = proc.spawn::<Keeper>(());
            let child = soon(parent.call(&proc, HaveChild)).await.expect("it answers");
            child.cast(&proc, Hang).await.expect("it lives");
            if by_actor {
                let layer = proc.spawn::<Keeper>(());
                soon(layer.call(&proc, Lay(child.clone()))).await.expect("it answers");
            } else {
                for _ in 0..3 {
                    assert!(child.cast(&proc, Mine).await.is_ok(), "it lives");
                }
            }
            // With a call that waits behind them, which must not wait for ever.
            let call = tokio::spawn({
                let (proc, child) = (proc.clone(), child.clone());
                async move { child.call(&proc, HaveChild).within(Duration::MAX).await.is_err() }
            });
            tokio::task::yield_now().await;
            child.stop(how);
            if how == Stop::Now {
                // It hangs, and so it takes a second word.
                child.stop(Stop::Kill);
            }
            let end = soon(child.ended()).await;
            assert!(matches!(end, End::Killed | End::Failed(_)), "{end:?}");
            assert!(soon(call).await.expect("it does not panic"), "it is refused");
            parent.stop(Stop::Now);
            assert_eq!(soon(parent.ended()).await, End::Stopped, "{how:?}, {by_actor}");
            soon(proc.stop(Duration::from_secs(1))).await.expect("all have ended");
        }
    }
}

/// E1: the same where the actor takes them out together, and then fails.
#[tokio::test]
async fn a_message_that_panics_behind_a_stop_keeps_no_actor_from_ending() {
    let proc = Proc::local().expect("there is a runtime");
    let parent = proc.spawn::<Keeper>(());
    let child = soon(parent.call(&proc, HaveChild)).await.expect("it answers");
    for _ in 0..3 {
        assert!(child.try_cast(&proc, Mine).is_ok(), "there is room");
    }
    child.stop(Stop::Now);
    soon(child.ended()).await;
    parent.stop(Stop::Now);
    assert_eq!(soon(parent.ended()).await, End::Stopped);
    soon(proc.stop(Duration::from_secs(1))).await.expect("all have ended");
}

/// Casts a mine to a port, as an actor.
struct LayAt(PortRef<Mine>);

message!(LayAt, ());

impl Handler<LayAt> for Keeper {
    async fn handle(&mut self, LayAt(to): LayAt, cx: &mut Context<Self>) -> Result<(), Failure> {
        to.cast(cx, Mine).await;
        Ok(())
    }
}

/// E1: the same where the messages are of another process, that is out of reach by then: they have no way back.
#[tokio::test]
async fn a_message_that_panics_for_want_of_a_way_back_keeps_no_actor_from_ending() {
    let (here, there) = (Proc::local().expect("there is a runtime"), Proc::local().expect("so"));
    let board = LocalTransport::default();
    let there_net = Network::new(there.clone(), Arc::new(board.another()), 0);
    let doors = there_net.listen(&"local://there".parse().expect("it is one")).await.expect("free");
    let here_net = Network::new(here.clone(), Arc::new(board), 0);
    here_net.dial(there.peer(), &doors).await.expect("somebody is there");

    let parent = there.spawn::<Keeper>(());
    let child = soon(parent.call(&there, HaveChild)).await.expect("it answers");
    child.cast(&there, Hang).await.expect("it lives");
    let layer = here.spawn::<Keeper>(());
    for _ in 0..3 {
        soon(layer.call(&here, LayAt(child.port()))).await.expect("it answers");
    }
    assert_eq!(child.n_waiting(), 3);
    here_net.leave();
    child.stop(Stop::Kill);
    assert_eq!(soon(child.ended()).await, End::Killed);
    parent.stop(Stop::Now);
    assert_eq!(soon(parent.ended()).await, End::Stopped);
}
