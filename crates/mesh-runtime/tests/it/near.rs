//! near: actors of other processes in this program, which are given messages past their sessions.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Context as TaskContext;
use std::time::Duration;

use mesh_core::{Fault, Message, PortRef, Transport, WhyUndelivered};
use mesh_runtime::{
    Actor, ActorRef, Answers, Context, Failure, Handler, Handlers, LocalTransport, Near, Network,
    Port, Post, Proc, ReplyTo, Undelivered, Wakes, WayTo,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::on_wake::on_wake;

/// Neither written nor read: both fail.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Number(u64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("it stays in the program"))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(serde::de::Error::custom("it stays in the program"))
    }
}

impl Message for Number {
    const NAME: &'static str = "near.Number";
    type Reply = Self;
}

/// Not among those that are taken by address.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Secret;

impl Message for Secret {
    const NAME: &'static str = "near.Secret";
    type Reply = ();
}

/// Says what it takes, once it may, and answers with it.
struct Echo {
    takes: UnboundedSender<u64>,
    may: watch::Receiver<bool>,
}

impl Actor for Echo {
    const NAME: &'static str = "near.echo";
    const MAILBOX: usize = 2;
    type Params = (UnboundedSender<u64>, watch::Receiver<bool>);

    async fn start((takes, may): Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { takes, may })
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Number>();
    }
}

impl Handler<Number> for Echo {
    async fn handle(&mut self, number: Number, _: &mut Context<Self>) -> Result<Number, Failure> {
        _ = self.may.wait_for(|may| *may).await.is_ok();
        _ = self.takes.send(number.0).is_ok();
        Ok(number)
    }
}

impl Handler<Secret> for Echo {
    async fn handle(&mut self, _: Secret, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Casts a number when it begins, and tells what comes back.
struct Caster(UnboundedSender<(u64, WhyUndelivered)>);

impl Actor for Caster {
    const NAME: &'static str = "near.caster";
    type Params = (Arc<Near>, UnboundedSender<(u64, WhyUndelivered)>);

    async fn start((to, back): Self::Params, cx: &mut Context<Self>) -> Result<Self, Failure> {
        assert!(Post::to::<Echo>().cast(&*cx, &to, Number(7)).is_ok(), "there is room");
        Ok(Self(back))
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let why = undelivered.why;
        if let Ok(Number(number)) = undelivered.into_message() {
            _ = self.0.send((number, why)).is_ok();
        }
        Ok(())
    }
}

/// Gives away whom it is to answer.
struct Deferring(UnboundedSender<ReplyTo<Number>>);

impl Actor for Deferring {
    const NAME: &'static str = "near.deferring";
    type Params = UnboundedSender<ReplyTo<Number>>;

    async fn start(gives: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(gives))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Number>();
    }
}

impl Handler<Number> for Deferring {
    async fn handle(&mut self, _: Number, _: &mut Context<Self>) -> Result<Number, Failure> {
        Err(Failure::new("somebody else answers"))
    }

    async fn handle_call(
        &mut self,
        _: Number,
        reply: ReplyTo<Number>,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.send(reply).ok().ok_or_else(|| Failure::new("nobody answers"))
    }
}

/// Two processes, and an actor of the second that the first can reach.
struct Two {
    here: Network,
    there: Network,
    echo: ActorRef<Echo>,
    near: Near,
    taken: UnboundedReceiver<u64>,
    may: watch::Sender<bool>,
}

impl Two {
    async fn new() -> Self {
        let board = LocalTransport::default();
        let network = |board: LocalTransport| {
            let proc = Proc::local().expect("there is a runtime");
            Network::new(proc, Arc::new(board) as Arc<dyn Transport>, 0)
        };
        let (here, there) = (network(board.another()), network(board));
        let doors = there.listen(&"local://there".parse().expect("it is one")).await;
        let doors = doors.expect("it is free");
        here.dial(there.proc().peer(), &doors).await.expect("somebody is there");
        let (takes, taken) = unbounded_channel();
        let (may, has_leave) = watch::channel(false);
        let echo = there.proc().spawn::<Echo>((takes, has_leave));
        let WayTo::Near(near) = here.proc().way_to(echo.id()) else {
            panic!("both are in one program");
        };
        Self { here, there, echo, near, taken, may }
    }

    async fn takes(&mut self, n: usize) -> Vec<u64> {
        let mut found = Vec::new();
        while found.len() < n {
            found.extend(soon(self.taken.recv()).await);
        }
        found
    }

    /// Calls it with a number. Whether it was given that.
    fn call(&self, number: u64, answers: &Answers<Number>) -> bool {
        Post::to::<Echo>().call(&self.near, Number(number), answers.reply_to(0)).is_ok()
    }

    fn answers(&self) -> Answers<Number> {
        self.answers_of(&self.near)
    }

    fn answers_of(&self, near: &Near) -> Answers<Number> {
        Answers::new(self.here.proc(), Arc::new(vec![Some(near.clone())]), Wakes::AtTheEnd)
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), work).await.expect("it comes")
}

async fn next(answers: &mut Answers<Number>) -> Option<Vec<(u32, Result<Number, Fault>)>> {
    soon(poll_fn(|cx| answers.poll(cx.waker()))).await
}

#[tokio::test]
async fn who_is_in_this_program_is_given_messages_and_answers_as_they_are() {
    let mut two = Two::new().await;
    _ = two.may.send_replace(true);
    let post = Post::to::<Echo>();
    assert!(post.is_taken(two.here.proc()));
    assert_eq!(post.cast(two.here.proc(), &two.near, Number(1)), Ok(()));
    assert_eq!(two.takes(1).await, [1]);
    let mut answers = two.answers();
    assert!(two.call(2, &answers));
    assert_eq!(next(&mut answers).await, Some(vec![(0, Ok(Number(2)))]));
    assert_eq!(next(&mut answers).await, None);
    assert!(!Post::<Secret>::to::<Echo>().is_taken(two.here.proc()), "it takes none by address");
}

#[tokio::test]
async fn what_must_be_encoded_is_given_to_nobody() {
    let board = LocalTransport::encoding();
    let network = |board: LocalTransport| {
        Network::new(Proc::local().expect("there is a runtime"), Arc::new(board), 0)
    };
    let (here, there) = (network(board.another()), network(board));
    let doors = there.listen(&"local://there".parse().expect("it is one")).await.expect("free");
    here.dial(there.proc().peer(), &doors).await.expect("somebody is there");
    let (takes, _taken) = unbounded_channel();
    let echo = there.proc().spawn::<Echo>((takes, watch::channel(true).1));
    assert!(matches!(here.proc().way_to(echo.id()), WayTo::Open));
}

/// R2: what finds no room waits outside of the mailbox, and nothing may get past it there.
#[tokio::test]
async fn what_is_given_does_not_overtake_what_waits_for_room() {
    let mut two = Two::new().await;
    let port = PortRef::<Number>::of(two.echo.id());
    for number in 0..4 {
        port.cast(two.here.proc(), Number(number)).await;
    }
    let post = Post::to::<Echo>();
    assert_eq!(post.cast(two.here.proc(), &two.near, Number(4)), Err(Number(4)));
    // As long as any waits: also while there is room for one.
    _ = two.may.send_replace(true);
    let mut numbers = 4..;
    let mut n = 4;
    loop {
        let number = numbers.next().expect("there are enough");
        n += 1;
        if post.cast(two.here.proc(), &two.near, Number(number)).is_ok() {
            break;
        }
        port.cast(two.here.proc(), Number(number)).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(two.takes(n).await, (0..n as u64).collect::<Vec<_>>());
}

/// R1: with its session a process is lost, and what its actors say then is heard by nobody.
#[tokio::test]
async fn who_is_lost_has_not_answered() {
    let two = Two::new().await;
    let mut answers = two.answers();
    assert!(two.call(1, &answers));
    two.here.hang_up(two.there.proc().peer());
    let lost = Fault::Undelivered(WhyUndelivered::PeerLost);
    assert_eq!(next(&mut answers).await, Some(vec![(0, Err(lost))]));
    _ = two.may.send_replace(true);
    assert_eq!(next(&mut answers).await, None);
    assert!(!two.near.is_open());
    assert!(!two.call(2, &two.answers()), "nothing is given to it any more");
}

/// R1, H2: whoever waits for room at a session hears of its end before those do who have called past it. What is answered
/// by then is not heard either: nobody has answered of whom it could be said before that they are lost.
#[tokio::test]
async fn what_is_answered_once_a_loss_can_be_known_is_not_heard() {
    let two = Two::new().await;
    let (gives, mut given) = unbounded_channel();
    let deferring = two.there.proc().spawn::<Deferring>(gives);
    let WayTo::Near(near) = two.here.proc().way_to(deferring.id()) else { panic!("it is near") };
    let mut answers = two.answers_of(&near);
    assert!(Post::to::<Deferring>().call(&near, Number(1), answers.reply_to(0)).is_ok());
    let reply = soon(given.recv()).await.expect("it is called");
    let answer = on_wake(move || _ = reply.send(Number(1)).is_ok());
    let port = PortRef::<Number>::of(two.echo.id());
    let _waits_for_room = loop {
        let mut cast = Box::pin(port.cast(two.here.proc(), Number(0)));
        if cast.as_mut().poll(&mut TaskContext::from_waker(&answer)).is_pending() {
            break cast;
        }
    };
    two.here.hang_up(two.there.proc().peer());
    let lost = Fault::Undelivered(WhyUndelivered::PeerLost);
    assert_eq!(next(&mut answers).await, Some(vec![(0, Err(lost))]));
    assert_eq!(next(&mut answers).await, None);
}

/// R3.
#[tokio::test]
async fn what_was_given_and_not_handled_comes_back_with_the_reason() {
    let mut two = Two::new().await;
    let (back, mut came_back) = unbounded_channel();
    let post = Post::to::<Echo>();
    // It handles this one, and nothing else any more.
    assert_eq!(post.cast(two.here.proc(), &two.near, Number(1)), Ok(()));
    soon(async {
        while two.echo.n_waiting() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let WayTo::Near(near) = two.here.proc().way_to(two.echo.id()) else { panic!("it is near") };
    let _caster = two.here.proc().spawn::<Caster>((Arc::new(near), back));
    soon(async {
        while two.echo.n_waiting() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    two.echo.stop(mesh_runtime::Stop::Kill);
    assert_eq!(soon(came_back.recv()).await, Some((7, WhyUndelivered::Ended)));
    assert!(two.taken.try_recv().is_err());
    assert_eq!(post.cast(two.here.proc(), &two.near, Number(2)), Err(Number(2)));
}

/// Nobody waits any more, and what has not begun need not.
#[tokio::test]
async fn who_is_not_waited_for_any_more_does_not_handle_it() {
    let mut two = Two::new().await;
    let (mut first, second) = (two.answers(), two.answers());
    assert!(two.call(1, &first));
    soon(async {
        while two.echo.n_waiting() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(two.call(2, &second));
    drop(second);
    _ = two.may.send_replace(true);
    assert_eq!(next(&mut first).await, Some(vec![(0, Ok(Number(1)))]));
    let mut third = two.answers();
    assert!(two.call(3, &third));
    assert_eq!(next(&mut third).await, Some(vec![(0, Ok(Number(3)))]));
    assert_eq!(two.takes(2).await, [1, 3]);
}
