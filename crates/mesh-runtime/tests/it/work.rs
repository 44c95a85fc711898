//! work: what an actor does beside its messages, and timers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// Does something to the actor's surroundings, and answers with what comes of it.
struct With<T>(What<T>);

type What<T> = Box<dyn FnOnce(&mut Context<Scripted>) -> T + Send>;

fn with<T>(what: impl FnOnce(&mut Context<Scripted>) -> T + Send + 'static) -> With<T> {
    With(Box::new(what))
}

impl<T: Send + 'static> Message for With<T> {
    const NAME: &'static str = "test.With";
    type Reply = T;
}

impl<T: Send + 'static> Handler<With<T>> for Scripted {
    async fn handle(&mut self, With(what): With<T>, cx: &mut Context<Self>) -> Result<T, Failure> {
        Ok(what(cx))
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_can_be_cancelled() {
    let (proc, actor, log) = one("a");
    let set = with(|cx| {
        let once = cx.send_after(Duration::from_secs(1), say("never"));
        let again = cx.send_every(Duration::from_secs(2), || say("tick"));
        (once, again)
    });
    let (once, again) = actor.call(&proc, set).await.unwrap();
    once.cancel();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(once.is_over() && !again.is_over());
    again.cancel();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(again.is_over());
    assert_eq!(log.lines(), ["a starts", "a hears tick", "a hears tick"]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_may_be_set_for_ever() {
    let (proc, actor, log) = one("a");
    let set = with(|cx| {
        cx.send_after(Duration::MAX, say("never"));
        cx.send_every(Duration::MAX, || say("never"));
    });
    actor.call(&proc, set).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(actor.call(&proc, say("still here")).await.is_ok(), "{:?}", log.lines());
}

#[tokio::test(start_paused = true)]
async fn what_takes_long_comes_back_as_a_message_and_holds_up_nobody() {
    let (proc, actor, log) = one("a");
    let begin = with(|cx| {
        let slow = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            "slow"
        };
        cx.pipe_to_self(slow, say);
    });
    actor.call(&proc, begin).await.unwrap();
    actor.call(&proc, say("quick")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(log.lines(), ["a starts", "a hears quick", "a hears slow"]);
}

/// A stream of words that counts how many were asked for, and ends after so many.
struct Words {
    asked: Arc<AtomicUsize>,
    left: usize,
}

impl futures_core::Stream for Words {
    type Item = usize;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<usize>> {
        let n = self.asked.fetch_add(1, Ordering::SeqCst);
        let item = self.left.checked_sub(1);
        self.left = item.unwrap_or(0);
        std::task::Poll::Ready(item.map(|_| n))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_no_faster_than_its_actor_handles_and_ends_with_it() {
    const N: usize = 500;
    let (proc, actor, log) = one("a");
    let gate = crate::script::gate();
    let asked = Arc::<AtomicUsize>::default();
    let words = Words { asked: asked.clone(), left: N };
    actor.cast(&proc, crate::script::WaitFor(gate.clone())).await.unwrap();
    let attach = with(move |cx| cx.attach_stream(words, |n| say(&n.to_string())));
    let answer = actor.call(&proc, attach);
    let ((), stream) = tokio::join!(async { gate.add_permits(1) }, answer);
    let stream = stream.unwrap();
    actor
        .call(&proc, crate::script::WaitFor(gate.clone()))
        .within(Duration::from_secs(1))
        .await
        .unwrap_err();
    let n = asked.load(Ordering::SeqCst);
    assert!(n < N, "{n} were asked for, and the mailbox has room for four");
    gate.add_permits(1);
    while !stream.is_over() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    actor.call(&proc, say("then")).await.unwrap();
    let heard: Vec<String> = log
        .lines()
        .iter()
        .filter_map(|line| Some(line.strip_prefix("a hears ")?.to_owned()))
        .collect();
    let all: Vec<String> = (0..N).map(|n| n.to_string()).chain(["then".to_owned()]).collect();
    assert_eq!(heard, all, "in order, each once");

    let endless = Words { asked: asked.clone(), left: usize::MAX };
    actor
        .call(&proc, with(move |cx| cx.attach_stream(endless, |n| say(&n.to_string()))))
        .await
        .unwrap();
    actor.stop(Stop::Now);
    actor.ended().await;
    let n = asked.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(asked.load(Ordering::SeqCst), n);
}

#[tokio::test]
async fn blocking_work_holds_up_nobody_and_its_panic_is_told() {
    let (proc, actor, log) = one("a");
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let begin = with(move |cx| {
        let work = cx.spawn_blocking(move |_| wait.recv().is_ok());
        cx.pipe_to_self(work, |outcome| say(&format!("{:?}", outcome.ok())));
    });
    actor.call(&proc, begin).await.unwrap();
    actor.call(&proc, say("meanwhile")).await.unwrap();
    go_on.send(()).unwrap();
    while log.lines().len() < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.lines(), ["a starts", "a hears meanwhile", "a hears Some(true)"]);

    let panics = actor.call(&proc, with(|cx| cx.spawn_blocking(|_| -> u8 { panic!("no luck") })));
    let failure = panics.await.unwrap().await.unwrap_err();
    assert!(failure.to_string().ends_with("no luck"), "{failure}");
    assert!(actor.call(&proc, say("still here")).await.is_ok(), "that is for whoever awaits it");
}

/// Blocks a thread until it is told to end, and says when it did.
fn until_cancelled(
    log: &crate::script::Log,
) -> impl FnOnce(&mesh_runtime::Cancellation) + Send + 'static {
    let log = log.clone();
    move |cancellation| {
        log.add("work begins");
        while !cancellation.is_cancelled() {
            std::thread::yield_now();
        }
        log.add("work ends");
    }
}

async fn line(log: &crate::script::Log, line: &str) {
    while !log.lines().iter().any(|it| it == line) {
        tokio::task::yield_now().await;
    }
}

/// An actor that stops has ended only when its blocking work has; one that is killed does not wait.
#[tokio::test]
async fn blocking_work_is_told_that_its_actor_ends() {
    for how in [Stop::Now, Stop::Kill] {
        let (proc, actor, log) = one("a");
        let work = until_cancelled(&log);
        let kept = actor.call(&proc, with(|cx| cx.spawn_blocking(work))).await.unwrap();
        line(&log, "work begins").await;
        actor.stop(how);
        actor.ended().await;
        if how == Stop::Now {
            assert_eq!(log.lines()[2..4], ["a stops", "work ends"]);
        }
        line(&log, "work ends").await;
        drop(kept);
    }
}

#[tokio::test]
async fn blocking_work_is_told_that_nobody_waits_for_it() {
    let (proc, actor, log) = one("a");
    let work = until_cancelled(&log);
    let result = actor.call(&proc, with(|cx| cx.spawn_blocking(work))).await.unwrap();
    line(&log, "work begins").await;
    drop(result);
    line(&log, "work ends").await;
    assert!(actor.call(&proc, say("still here")).await.is_ok());
}
