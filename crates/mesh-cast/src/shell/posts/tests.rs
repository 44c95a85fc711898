//! Queues to processes that have ended.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{Body, Envelope, Incarnation, Lane, Outbound, ProcId, Returned};
use mesh_runtime::{Actor, Failure, Proc, codec};
use mesh_shape::Overlay;
use tokio::sync::mpsc;

use super::*;
use crate::shell::pieces::{PIECE_BYTES, Piece, Pieces};
use crate::wire::{Answer, CastId, LegId, Outcome, Progress, Sender, StreamId};

/// Sends an answer to the process of that number, and says how many queues it has after looking around.
struct Send(u128);

/// Looks around.
struct Sweep;

/// Sends an answer to that actor, and loses its process at once.
struct SendAndLose(ActorId);

/// Sends a large answer to that actor, loses its process at once, and sends another one.
struct LargeAndLose(ActorId);

impl Message for LargeAndLose {
    const NAME: &'static str = "test.LargeAndLose";
    type Reply = ();
}

impl Message for SendAndLose {
    const NAME: &'static str = "test.SendAndLose";
    type Reply = ();
}

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

/// That a leg is done.
fn answer(caster: ActorId) -> Parcel {
    let stream = StreamId { caster, mesh: MeshId::from_random(1) };
    let (cast, leg) = (CastId { stream, number: 1 }, LegId { sender: Sender::Caster, number: 1 });
    let (outcomes, unreached) = (Overlay::<Outcome<Bytes>>::new(), Overlay::new());
    let progress = Progress::Done;
    let answer = Answer { cast, leg, progress, outcomes, unreached, merged: None };
    Parcel::Answer(caster, Box::new(Up { answers: vec![answer] }))
}

impl Handler<SendAndLose> for Clerk {
    async fn handle(
        &mut self,
        SendAndLose(to): SendAndLose,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.send(to.peer(), answer(to), cx);
        self.0.lose(to.peer());
        Ok(())
    }
}

/// Counts the answers that come.
struct Asker(mpsc::UnboundedSender<usize>);

impl Actor for Asker {
    const NAME: &'static str = "asker";
    type Params = mpsc::UnboundedSender<usize>;

    async fn start(told: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(told))
    }

    fn handlers(handlers: &mut mesh_runtime::Handlers<Self>) {
        handlers.takes::<Up>();
    }
}

impl Handler<Up> for Asker {
    async fn handle(&mut self, up: Up, _: &mut Context<Self>) -> Result<(), Failure> {
        _ = self.0.send(up.answers.len()).is_ok();
        Ok(())
    }
}

/// R1, R2: whoever waits for it may have lost the session before, and have asked again by the next one.
#[tokio::test(start_paused = true)]
async fn an_answer_is_sent_also_if_a_session_is_lost_meanwhile() {
    let proc = Proc::local().expect("there is a runtime");
    let (told, mut answers) = mpsc::unbounded_channel();
    let (asker, clerk) = (proc.spawn::<Asker>(told), proc.spawn::<Clerk>(()));
    assert_eq!(clerk.call(&proc, SendAndLose(asker.id())).await, Ok(()));
    let answered = tokio::time::timeout(Duration::from_secs(10), answers.recv()).await;
    assert_eq!(answered, Ok(Some(1)));
}

/// A session that takes each envelope only when it is asked for the second time.
struct Slow {
    peer: PeerId,
    was_asked: AtomicBool,
    sent: mpsc::UnboundedSender<Piece>,
}

impl Outbound for Slow {
    fn peer(&self) -> PeerId {
        self.peer
    }

    fn is_open(&self) -> bool {
        true
    }

    fn close(&self) {}

    fn poll_send(
        &self,
        cx: &mut std::task::Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        if !self.was_asked.fetch_xor(true, Ordering::Relaxed) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if let Some(Envelope { body: Body::Value(value), .. }) = envelope.take() {
            let bytes = value.encode().expect("it can be");
            self.sent.send(codec::decode(&bytes).expect("it is one")).expect("the test listens");
        }
        Poll::Ready(Ok(()))
    }
}

/// An answer of more than a piece.
fn large_answer(caster: ActorId, fill: u8) -> Parcel {
    let Parcel::Answer(to, mut up) = answer(caster) else { panic!("it is one") };
    let reply = vec![fill; PIECE_BYTES].into();
    up.answers[0].outcomes.insert(0..1, Outcome::Replied(reply));
    Parcel::Answer(to, up)
}

impl Handler<LargeAndLose> for Clerk {
    async fn handle(
        &mut self,
        LargeAndLose(to): LargeAndLose,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.send(to.peer(), large_answer(to, 1), cx);
        self.0.lose(to.peer());
        self.0.send(to.peer(), large_answer(to, 2), cx);
        Ok(())
    }
}

/// R1: each of them arrives whole, whichever of their pieces come first.
#[tokio::test(start_paused = true)]
async fn what_is_sent_after_a_loss_is_not_mixed_with_what_was_sent_before() {
    let proc = Proc::local().expect("there is a runtime");
    let caster = ActorId { proc: ProcId::from_random(5), life: Incarnation::FIRST, index: 1 };
    let (sent, mut pieces) = mpsc::unbounded_channel();
    let session = Slow { peer: caster.peer(), was_asked: AtomicBool::default(), sent };
    proc.connect(Lane::Control, Arc::new(session));
    let clerk = proc.spawn::<Clerk>(());
    assert_eq!(clerk.call(&proc, LargeAndLose(caster)).await, Ok(()));
    let (mut known, mut fills) = (Pieces::default(), Vec::new());
    while fills.len() < 2 {
        let piece = tokio::time::timeout(Duration::from_secs(10), pieces.recv()).await;
        let piece = piece.expect("both arrive").expect("the session is there");
        let Some((_, whole)) = known.add(piece) else { continue };
        let up: Up = codec::decode(&whole).expect("it is not mixed with another one");
        let reply = up.answers[0].outcomes.runs().map(|(_, outcome)| outcome).next();
        let Some(Outcome::Replied(bytes)) = reply else { panic!("{up:?}") };
        assert!(bytes.iter().all(|byte| *byte == bytes[0]));
        fills.push(bytes[0]);
    }
    fills.sort_unstable();
    assert_eq!(fills, [1, 2]);
}

impl Handler<Send> for Clerk {
    async fn handle(
        &mut self,
        Send(number): Send,
        cx: &mut Context<Self>,
    ) -> Result<usize, Failure> {
        let (proc, life) = (ProcId::from_random(number), Incarnation::FIRST);
        let caster = ActorId { proc, life, index: 1 };
        self.0.send(caster.peer(), answer(caster), cx);
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
    let forgotten = async {
        while clerk.call(&proc, Sweep).await != Ok(0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), forgotten).await.expect("none is kept");
}
