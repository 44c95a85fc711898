//! rows: messages that are alike and follow each other are handled in one go, and nobody notices.

use mesh_core::{ActorId, End, Message};
use mesh_runtime::{Actor, ActorRef, Context, Deputy, Failure, Handler, Proc, Stop};
use tokio::sync::mpsc;

/// Tells whose messages it handles, and does what they say.
struct Worker(Heard);

type Heard = mpsc::UnboundedSender<Handled>;

/// The number of a message, and who has sent it.
type Handled = (usize, Option<ActorId>);

#[derive(Clone, Copy, Debug)]
enum Deed {
    Return,
    Await,
    Fail,
    Panic,
    Stop,
}

/// Its number, and what it does.
#[derive(Debug)]
struct Work(usize, Deed);

impl Message for Work {
    const NAME: &'static str = "rows.Work";
    type Reply = ();
}

impl Actor for Worker {
    const NAME: &'static str = "worker";
    const MAILBOX: usize = N;
    type Params = (Heard, Option<mpsc::UnboundedSender<Deputy>>);

    async fn start(
        (heard, deputies): Self::Params,
        cx: &mut Context<Self>,
    ) -> Result<Self, Failure> {
        if let Some(deputies) = deputies {
            deputies.send(cx.deputy())?;
        }
        Ok(Self(heard))
    }
}

impl Handler<Work> for Worker {
    async fn handle(
        &mut self,
        Work(number, deed): Work,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.send((number, cx.sender()))?;
        match deed {
            Deed::Return => (),
            Deed::Await => tokio::task::yield_now().await,
            Deed::Fail => return Err(std::fmt::Error.into()),
            Deed::Panic => panic!("told to panic"),
            Deed::Stop => cx.stop(Stop::Now),
        }
        Ok(())
    }
}

/// So many messages wait before the first of them is handled.
const N: usize = 200;

fn worker() -> (Proc, ActorRef<Worker>, mpsc::UnboundedReceiver<Handled>) {
    let proc = Proc::local().expect("there is a runtime");
    let (heard, told) = mpsc::unbounded_channel();
    let worker = proc.spawn::<Worker>((heard, None));
    (proc, worker, told)
}

/// Which messages are handled of many, one of which does that, and how the actor ends.
async fn handled(nth: usize, deed: Deed) -> (Vec<usize>, End) {
    let (proc, worker, mut told) = worker();
    for number in 0..N {
        let deed = if number == nth { deed } else { Deed::Return };
        worker.try_cast(&proc, Work(number, deed)).expect("there is room");
    }
    worker.stop(Stop::Drain);
    let end = worker.ended().await;
    (std::iter::from_fn(|| told.try_recv().ok()).map(|(number, _)| number).collect(), end)
}

#[tokio::test]
async fn what_awaits_in_a_row_holds_up_what_is_behind_it() {
    for nth in [0, 1, 7, 31, 32, 63, 64, 65] {
        let (handled, end) = handled(nth, Deed::Await).await;
        assert_eq!((handled, end), ((0..N).collect(), End::Stopped));
    }
}

#[tokio::test]
async fn what_is_behind_a_stop_in_a_row_is_not_begun() {
    for nth in [0, 1, 7, 31, 32, 63, 64, 65] {
        let (handled, end) = handled(nth, Deed::Stop).await;
        assert_eq!((handled, end), ((0..=nth).collect(), End::Stopped));
    }
}

/// E1
#[tokio::test]
async fn what_is_behind_a_failure_in_a_row_is_not_begun() {
    for nth in [0, 1, 7, 31, 32, 63, 64, 65] {
        for deed in [Deed::Fail, Deed::Panic] {
            let (handled, end) = handled(nth, deed).await;
            assert_eq!(handled, (0..=nth).collect::<Vec<_>>());
            assert!(matches!(end, End::Failed(_)), "{end:?}");
        }
    }
}

#[tokio::test]
async fn each_in_a_row_has_a_sender_of_its_own() {
    let (proc, worker, mut told) = worker();
    let (tell, mut deputies) = mpsc::unbounded_channel();
    let (heard, _) = mpsc::unbounded_channel();
    let senders = [(); 2].map(|()| proc.spawn::<Worker>((heard.clone(), Some(tell.clone()))));
    let [one, other] = [deputies.recv().await.unwrap(), deputies.recv().await.unwrap()];
    for number in 0..N / 3 {
        worker.try_cast(&one, Work(number, Deed::Return)).unwrap();
        worker.try_cast(&other, Work(number, Deed::Return)).unwrap();
        worker.try_cast(&proc, Work(number, Deed::Return)).unwrap();
    }
    for number in 0..N / 3 {
        for sender in [Some(senders[0].id()), Some(senders[1].id()), None] {
            assert_eq!(told.recv().await, Some((number, sender)));
        }
    }
}
