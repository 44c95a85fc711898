//! `actix` in the bench `actors`. Its actors stay on the thread where they are spawned. A panic ends that
//! thread, and no parent is told.

use std::future::Future;
use std::thread::{self, ThreadId};

use actix::dev::SendError;
use actix::{
    Actor, ActorFutureExt, Addr, Arbiter, ArbiterHandle, AsyncContext, Context, Handler, Message,
    System, WrapFuture,
};
use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::{Actors, Job, started};
use tokio::sync::oneshot;

/// Adds up numbers. So many may wait for it.
struct Adder {
    sum: u64,
    room: usize,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Add(u64);

#[derive(Message)]
#[rtype(result = "u64")]
struct Ask(u64);

#[derive(Message)]
#[rtype(result = "()")]
struct Hold(oneshot::Receiver<()>);

impl Actor for Adder {
    type Context = Context<Self>;

    fn started(&mut self, cx: &mut Context<Self>) {
        cx.set_mailbox_capacity(self.room);
        started();
    }
}

impl Handler<Add> for Adder {
    type Result = ();
    fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) {
        self.sum += number;
    }
}

impl Handler<Ask> for Adder {
    type Result = u64;
    fn handle(&mut self, Ask(number): Ask, _: &mut Context<Self>) -> u64 {
        self.sum += number;
        self.sum
    }
}

impl Handler<Hold> for Adder {
    type Result = ();
    fn handle(&mut self, Hold(gate): Hold, cx: &mut Context<Self>) {
        cx.wait(gate.into_actor(self).map(|_, _, _| ()));
    }
}

#[derive(Clone)]
struct Actix {
    threads: Vec<(ArbiterHandle, ThreadId)>,
    room: usize,
}

impl Actors for Actix {
    type Adder = Addr<Adder>;

    async fn spawn(&self, thread: usize) -> Result<Addr<Adder>, Failed> {
        let ((there, id), room) = (&self.threads[thread % self.threads.len()], self.room);
        // What is spawned on its own thread takes no way round.
        if *id == thread::current().id() {
            return Ok(Adder { sum: 0, room }.start());
        }
        Ok(Adder::start_in_arbiter(there, move |_| Adder { sum: 0, room }))
    }

    /// It cannot wait for room alone, but for room and then for what becomes of the message: once for each time
    /// that there is none.
    async fn add(to: &Addr<Adder>, number: u64) -> Result<(), Failed> {
        match to.try_send(Add(number)) {
            Ok(()) => Ok(()),
            Err(SendError::Full(add)) => Ok(to.send(add).await?),
            Err(SendError::Closed(_)) => Err("it lives".into()),
        }
    }

    async fn ask(to: &Addr<Adder>, number: u64) -> Result<u64, Failed> {
        Ok(to.send(Ask(number)).await?)
    }

    async fn ask_all(all: &[Addr<Adder>], number: u64) -> Result<u64, Failed> {
        let answers: Vec<_> = all.iter().map(|to| to.send(Ask(number))).collect();
        let mut sum = 0;
        for answer in answers {
            sum += answer.await?;
        }
        Ok(sum)
    }

    async fn hold(to: &Addr<Adder>, gate: oneshot::Receiver<()>) -> Result<(), Failed> {
        to.try_send(Hold(gate)).map_err(|_| "it takes the gate".into())
    }

    async fn panics(&self, _: usize) -> Result<Vec<u64>, Failed> {
        Ok(Vec::new())
    }

    async fn on<T: Send + 'static>(
        &self,
        thread: usize,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Failed> {
        let (tell, told) = oneshot::channel();
        let is_taken = self.threads[thread % self.threads.len()].0.spawn(async move {
            _ = tell.send(work.await).is_ok();
        });
        if is_taken { Ok(told.await?) } else { Err("its thread lives".into()) }
    }
}

fn main() -> Result<(), Failed> {
    let job = Job::from_args()?;
    let room = job.room();
    System::new().block_on(async move {
        // One thread is that of the system; two are others, and it sleeps.
        let arbiters = match job.threads {
            1 => vec![Arbiter::current()],
            n => (0..n).map(|_| Arbiter::new().handle()).collect(),
        };
        let mut threads = Vec::new();
        for arbiter in arbiters {
            let (tell, told) = oneshot::channel();
            arbiter.spawn(async { _ = tell.send(thread::current().id()).is_ok() });
            threads.push((arbiter, told.await?));
        }
        job.play(Actix { threads, room }).await
    })?;
    // Nobody waits for millions of messages and actors to be freed.
    std::process::exit(0);
}
