//! The bench `actors`: what is asked of a library of actors, and how it is done and timed, which is the same
//! for everybody.
//!
//! A process does one [`Work`], says in a line what that took, and ends: so nobody finds a heap, or threads,
//! that another work has left behind.

mod marks;
mod work;

use std::env;
use std::future::Future;
use std::panic;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::{Failed, say};

pub use marks::{panic_now, since_panic, started};
pub use work::Work;

/// A library of actors, and what is asked of it. All numbers are `u64`.
///
/// Threads are numbered, and the number wraps: for those whose actors stay where they are spawned.
pub trait Actors: Clone + Send + Sync + 'static {
    /// Talks to an actor that adds up the numbers that it is sent.
    type Adder: Clone + Send + Sync + 'static;

    /// Spawns such an actor, which calls [`started`] as its first act. It need not have happened on return.
    fn spawn(&self, thread: usize) -> impl Future<Output = Result<Self::Adder, Failed>> + Send;

    /// Sends a number that is not answered. Waits for room, if there is a bound.
    fn add(to: &Self::Adder, number: u64) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Sends a number, and waits for the answer: the sum of all so far, with this one.
    fn ask(to: &Self::Adder, number: u64) -> impl Future<Output = Result<u64, Failed>> + Send;

    /// Sends a number to all, and waits for all answers, which are added up.
    fn ask_all(
        all: &[Self::Adder],
        number: u64,
    ) -> impl Future<Output = Result<u64, Failed>> + Send;

    /// The actor handles nothing until `gate` is opened.
    fn hold(
        to: &Self::Adder,
        gate: oneshot::Receiver<()>,
    ) -> impl Future<Output = Result<(), Failed>> + Send;

    /// So many children that call [`panic_now`], one after the other: what [`since_panic`] says where their
    /// parent is told. Empty for those whose parents are not told.
    fn panics(&self, n: usize) -> impl Future<Output = Result<Vec<u64>, Failed>> + Send;

    /// Does work on a thread, as a task of its own.
    fn on<T: Send + 'static>(
        &self,
        thread: usize,
        work: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = Result<T, Failed>> + Send {
        _ = thread;
        let task = tokio::spawn(work);
        async { Ok(task.await?) }
    }
}

/// What a process is told to do.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What is done.
    pub work: Work,
    /// How many threads run actors and those who send to them: one or two.
    pub threads: usize,
    is_quick: bool,
}

impl Job {
    /// As the last words on the command line say: `WORK THREADS full`, or `quick`.
    pub fn from_args() -> Result<Self, Failed> {
        let words: Vec<String> = env::args().collect();
        let [.., work, threads, effort] = &words[..] else {
            return Err("what is to be done?".into());
        };
        let work = Work::named(work).ok_or_else(|| format!("there is no work {work}"))?;
        Ok(Self { work, threads: threads.parse()?, is_quick: effort == "quick" })
    }

    /// How many messages may wait for an actor, where that is bounded.
    #[must_use]
    pub const fn room(self) -> usize {
        match self.work {
            Work::Queued => ROOM_QUEUED,
            _ => ROOM,
        }
    }

    /// Does it with the actors of `make`, on a runtime of tokio, and says what it took.
    pub fn run<A: Actors>(self, make: impl FnOnce() -> A + Send + 'static) -> Result<(), Failed> {
        let runtime = match self.threads {
            1 => Builder::new_current_thread().enable_all().build()?,
            n => Builder::new_multi_thread().worker_threads(n).enable_all().build()?,
        };
        // A task: what is blocked on runs on no thread of the runtime, or is looked at last.
        runtime
            .block_on(async move { tokio::spawn(async move { self.play(make()).await }).await? })?;
        // Nobody waits for millions of messages and actors to be freed.
        std::process::exit(0);
    }

    /// Does it, and says what it took.
    pub async fn play<A: Actors>(self, actors: A) -> Result<(), Failed> {
        // Whoever prints a panic measures the terminal.
        panic::set_hook(Box::new(|_| ()));
        let found = self.measure(&actors).await?;
        say(&found.iter().map(f64::to_string).collect::<Vec<_>>().join(" "))?;
        Ok(())
    }
}

/// How many messages may wait for an actor.
pub const ROOM: usize = 1024;

/// The same, where a million are to wait.
pub const ROOM_QUEUED: usize = 1 << 20;
