//! Queues to processes that have ended.

use std::time::Duration;

use bytes::Bytes;
use mesh_core::{Incarnation, ProcId};
use mesh_runtime::{Actor, Failure, Proc};
use mesh_shape::Overlay;

use super::*;
use crate::wire::{Answer, CastId, LegId, Progress, Sender, StreamId};

/// Sends an answer to the process of that number, and says how many queues it has after looking around.
struct Send(u128);

/// Looks around.
struct Sweep;

impl Message for Send {
    const NAME: &'static str = "test.Send";
    type Reply = usize;
}

impl Message for Sweep {
    const NAME: &'static str = "test.Sweep";
    type Reply = usize;
}

struct Clerk(Posts);

impl Actor for Clerk {
    const NAME: &'static str = "clerk";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(Posts::new(Queue::Tree)))
    }
}

impl Handler<NotSent> for Clerk {
    async fn handle(&mut self, _: NotSent, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

impl Handler<Send> for Clerk {
    async fn handle(
        &mut self,
        Send(number): Send,
        cx: &mut Context<Self>,
    ) -> Result<usize, Failure> {
        let (proc, life) = (ProcId::from_random(number), Incarnation::FIRST);
        let caster = ActorId { proc, life, index: 1 };
        let stream = StreamId { caster, mesh: MeshId::from_random(1) };
        let (cast, leg) =
            (CastId { stream, number: 1 }, LegId { sender: Sender::Caster, number: 1 });
        let (outcomes, unreached) = (Overlay::<crate::wire::Outcome<Bytes>>::new(), Overlay::new());
        let progress = Progress::Done;
        let answer = Answer { cast, leg, progress, outcomes, unreached, merged: None };
        let up = Box::new(Up { answers: vec![answer] });
        self.0.send(caster.peer(), Parcel::Answer(caster, up), cx);
        self.0.sweep(cx.proc());
        Ok(self.0.posts.len())
    }
}

impl Handler<Sweep> for Clerk {
    async fn handle(&mut self, _: Sweep, cx: &mut Context<Self>) -> Result<usize, Failure> {
        self.0.sweep(cx.proc());
        Ok(self.0.posts.len())
    }
}

/// Each life of a process is another one, so a mesh that is restarted often would leave many.
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_for_a_process_that_there_is_no_way_to() {
    let proc = Proc::local().expect("there is a runtime");
    let clerk = proc.spawn::<Clerk>(());
    assert_eq!(clerk.call(&proc, Send(7)).await, Ok(1), "it is not sent yet");
    while clerk.call(&proc, Sweep).await != Ok(0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
