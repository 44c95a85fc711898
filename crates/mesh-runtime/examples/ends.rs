//! Ends: drain, stop and kill; children end before their parent, the youngest first.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::{error::Error, time::Duration};

use mesh_runtime::mesh_core::{End, Message};
use mesh_runtime::{Actor, CallError, Context, Failure, Handler, Proc, Stop};
use tokio::sync::mpsc;

struct Node {
    name: &'static str,
    n_handled: u32,
    cleaned_up: mpsc::Sender<String>,
}

impl Actor for Node {
    const NAME: &'static str = "node";
    type Params = (&'static str, mpsc::Sender<String>);
    async fn start(params: Self::Params, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let (name, cleaned_up) = params;
        if name == "parent" {
            cx.spawn::<Self>(("elder", cleaned_up.clone()));
            cx.spawn::<Self>(("younger", cleaned_up.clone()));
        }
        Ok(Self { name, n_handled: 0, cleaned_up })
    }

    /// Its children have ended. Not called for an actor that is killed.
    async fn stop(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        let words = format!("{} after {} messages", self.name, self.n_handled);
        Ok(self.cleaned_up.send(words).await?)
    }
}

struct Work(Duration);
impl Message for Work {
    const NAME: &'static str = "ends.Work";
    type Reply = ();
}
impl Handler<Work> for Node {
    async fn handle(&mut self, work: Work, _: &mut Context<Self>) -> Result<(), Failure> {
        tokio::time::sleep(work.0).await;
        self.n_handled += 1;
        Ok(())
    }
}

/// Ends a parent of two that has three messages left: how it has ended, and who has cleaned up.
async fn end(how: Stop) -> Result<(End, Vec<String>), Box<dyn Error>> {
    let proc = Proc::local()?;
    let (cleaned_up, mut log) = mpsc::channel(3);
    let parent = proc.spawn::<Node>(("parent", cleaned_up));
    parent.call(&proc, Work(Duration::ZERO)).await?;
    for _ in 0..3 {
        parent.cast(&proc, Work(Duration::from_millis(10))).await?;
    }
    parent.stop(how); // It returns at once; a stricter way later counts.
    let end = parent.ended().await;
    let log: Vec<String> = std::iter::from_fn(|| log.try_recv().ok()).collect();
    println!("{how:?}: it has {end}; cleaned up: {log:?}");
    Ok((end, log))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The children end first, the youngest of them before the others.
    let (end_of_drain, log) = end(Stop::Drain).await?;
    let all = ["younger after 0 messages", "elder after 0 messages", "parent after 4 messages"];
    assert!(end_of_drain == End::Stopped && log == all);

    // The message in hand is handled to its end; the others come back to whoever has sent them.
    let (end_of_stop, log) = end(Stop::Now).await?;
    assert!(end_of_stop == End::Stopped && log[2] == "parent after 1 messages");

    let (end_of_kill, log) = end(Stop::Kill).await?;
    assert!(end_of_kill == End::Killed && log.is_empty());

    // A kill cuts a handler off where it awaits, and whoever called is told at once.
    let proc = Proc::local()?;
    let slow = proc.spawn::<Node>(("slow", mpsc::channel(1).0));
    let call = slow.call(&proc, Work(Duration::from_secs(3600)));
    let kill = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        slow.stop(Stop::Kill);
    };
    let (answer, ()) = tokio::join!(call, kill);
    println!("{answer:?}");
    assert!(matches!(answer, Err(CallError::Killed { .. })));
    Ok(proc.stop(Duration::from_secs(1)).await?) // Whatever is left, the youngest first.
}
