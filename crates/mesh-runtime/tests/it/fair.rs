//! fair: whoever waits for room has it in its turn, however it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mesh_core::{Addr, Lane, Message, PortRef, Transport};
use mesh_runtime::{
    Actor, ActorRef, Context, Failure, Handler, Handlers, LocalTransport, Port, Proc,
};
use serde::{Deserialize, Serialize};

/// Takes a millisecond for each message, and counts those of interest.
struct Slow(Arc<AtomicUsize>);

#[derive(Serialize, Deserialize)]
struct Tick {
    counts: bool,
}

impl Message for Tick {
    const NAME: &'static str = "fair.Tick";
    type Reply = ();
}

impl Actor for Slow {
    const NAME: &'static str = "slow";
    const MAILBOX: usize = 1;
    type Params = Arc<AtomicUsize>;

    async fn start(count: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(count))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Tick>();
    }
}

impl Handler<Tick> for Slow {
    async fn handle(&mut self, tick: Tick, _: &mut Context<Self>) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.0.fetch_add(usize::from(tick.counts), Ordering::SeqCst);
        Ok(())
    }
}

/// An actor whose mailbox three others keep full.
async fn crowded(proc: &Proc) -> (ActorRef<Slow>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let actor = proc.spawn::<Slow>(count.clone());
    for _ in 0..3 {
        let (actor, proc) = (actor.clone(), proc.clone());
        tokio::spawn(
            async move { while actor.cast(&proc, Tick { counts: false }).await.is_ok() {} },
        );
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    (actor, count)
}

#[tokio::test(start_paused = true)]
async fn a_sender_by_address_has_its_turn() {
    let proc = Proc::local().unwrap();
    let (actor, _) = crowded(&proc).await;
    let port: PortRef<Tick> = actor.port();
    let sent = port.cast(&proc, Tick { counts: true });
    assert!(tokio::time::timeout(Duration::from_millis(20), sent).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_process_has_its_turn() {
    let [here, there] = [Proc::local().unwrap(), Proc::local().unwrap()];
    let transport = LocalTransport::encoding();
    let at: Addr = "local://there".parse().unwrap();
    transport.listen(&at, Lane::Data, there.inbound(0)).await.unwrap();
    let session = transport.dial(&at, there.id(), Lane::Data, here.inbound(0)).await.unwrap();
    here.connect(Lane::Data, session);
    let (actor, count) = crowded(&there).await;
    let port: PortRef<Tick> = actor.port();
    for _ in 0..3 {
        port.cast(&here, Tick { counts: true }).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(count.load(Ordering::SeqCst), 3);
}

/// An address that was given out can be found, also while another thread gives it out.
#[test]
fn an_address_that_is_given_out_finds_its_actor() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let proc = Proc::local().unwrap();
    for _ in 0..3_000 {
        let actor = proc.spawn::<Slow>(Arc::default());
        let barrier = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| (barrier.wait(), actor.id()));
            barrier.wait();
            assert!(proc.has_way_to(actor.id()));
        });
        actor.stop(mesh_runtime::Stop::Kill);
    }
}

/// Keeps its thread for half a millisecond with each message.
struct Busy(Arc<AtomicUsize>);

impl Actor for Busy {
    const NAME: &'static str = "busy";
    const MAILBOX: usize = 400;
    type Params = Arc<AtomicUsize>;

    async fn start(count: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(count))
    }
}

impl Handler<Tick> for Busy {
    async fn handle(&mut self, _: Tick, _: &mut Context<Self>) -> Result<(), Failure> {
        std::thread::sleep(Duration::from_micros(500));
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Others on its thread have their turn at each of its messages, as soon as it is known how long those take, and
/// there is room for another one then.
#[tokio::test]
async fn who_takes_long_lets_others_have_their_turn() {
    let proc = Proc::local().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let actor = proc.spawn::<Busy>(count.clone());
    while actor.try_cast(&proc, Tick { counts: true }).is_ok() {}
    // What is blocked on, or waits for tokio's `yield_now`, has its turn more seldom than others.
    let watched = tokio::spawn(async move {
        let (mut at_once, mut before) = (0, 0);
        while before < 300 {
            others_have_their_turn().await;
            let handled = count.load(Ordering::SeqCst);
            if before > 200 {
                at_once = at_once.max(handled - before);
                let has_room = actor.try_cast(&proc, Tick { counts: true }).is_ok();
                assert_eq!(has_room, handled > before, "room for each that was handled");
            }
            before = handled;
        }
        at_once
    });
    assert_eq!(watched.await.unwrap(), 1);
}

async fn others_have_their_turn() {
    let mut have_had_it = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut have_had_it, true) {
            return std::task::Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}
