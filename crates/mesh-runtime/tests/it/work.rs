//! work: what an actor does beside its messages, and timers.

use std::pin::Pin;
use std::time::Duration;

use mesh_core::Message;
use mesh_runtime::{Context, Failure, Handler, Stop};

use crate::script::{Scripted, one, say};

type Work = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

pub(crate) struct Attach(Work);

pub(crate) fn attach(work: impl Future<Output = Result<(), Failure>> + Send + 'static) -> Attach {
    Attach(Box::pin(work))
}

impl Message for Attach {
    const NAME: &'static str = "test.Attach";
    type Reply = ();
}

impl Handler<Attach> for Scripted {
    async fn handle(
        &mut self,
        Attach(work): Attach,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        cx.attach(work);
        Ok(())
    }
}

/// Sets two timers.
struct Timers;

impl Message for Timers {
    const NAME: &'static str = "test.Timers";
    type Reply = ();
}

impl Handler<Timers> for Scripted {
    async fn handle(&mut self, _: Timers, cx: &mut Context<Self>) -> Result<(), Failure> {
        cx.send_after(Duration::from_secs(5), say("once"));
        let mut n = 0;
        cx.send_every(Duration::from_secs(2), move || {
            n += 1;
            say(&format!("tick {n}"))
        });
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn timers_send_once_and_again_and_end_with_the_actor() {
    let (proc, actor, log) = one("a");
    actor.call(&proc, Timers).await.unwrap();
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    let heard = ["a starts", "a hears tick 1", "a hears tick 2", "a hears once", "a hears tick 3"];
    assert_eq!(log.lines(), heard);
    actor.stop(Stop::Now);
    actor.ended().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.lines()[5..], ["a stops", "a is dropped"]);
}

#[tokio::test(start_paused = true)]
async fn attached_work_is_dropped_with_the_actor() {
    let (proc, actor, _log) = one("a");
    let (guard, dropped) = tokio::sync::oneshot::channel::<()>();
    let work = async move {
        let _guard = guard;
        std::future::pending().await
    };
    actor.call(&proc, attach(work)).await.unwrap();
    actor.stop(Stop::Now);
    actor.ended().await;
    assert!(dropped.await.is_err(), "the sender was dropped with its task");
}
