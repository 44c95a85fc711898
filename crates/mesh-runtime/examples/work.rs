//! Work beside an actor: results that come back as messages, and threads that may block.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::error::Error;

use mesh_runtime::mesh_core::Message;
use mesh_runtime::{Actor, Attachment, Context, Failure, Handler, Proc, Stop};
use tokio::sync::{mpsc, oneshot};

/// Looks for divisors on threads of their own, and answers questions meanwhile.
struct Maths {
    search: Option<Attachment>,
    found: Vec<u64>,
    news: mpsc::Sender<&'static str>,
}

impl Actor for Maths {
    const NAME: &'static str = "maths";
    type Params = mpsc::Sender<&'static str>;
    async fn start(news: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { search: None, found: Vec::new(), news })
    }
}

enum Task {
    /// Awaits a number that somebody else has.
    Fetch(oneshot::Receiver<u64>),
    /// Looks for the smallest divisor; of 1 for ever.
    Divide(u64),
    /// Nobody wants to know any more.
    GiveUp,
    /// What came of it.
    Found(u64),
}
impl Message for Task {
    const NAME: &'static str = "work.Task";
    type Reply = Vec<u64>;
}
impl Handler<Task> for Maths {
    async fn handle(&mut self, task: Task, cx: &mut Context<Self>) -> Result<Vec<u64>, Failure> {
        match task {
            Task::Fetch(number) => {
                cx.pipe_to_self(number, |number| Task::Divide(number.unwrap_or(1)));
            }
            Task::Divide(number) => {
                let news = self.news.clone();
                let divisor = cx.spawn_blocking(move |cancellation| {
                    _ = news.blocking_send("a search begins").is_ok();
                    let found = (2..).find(|n| number % n == 0 || cancellation.is_cancelled());
                    if cancellation.is_cancelled() {
                        _ = news.blocking_send("a search was cancelled").is_ok();
                    }
                    found.unwrap_or(number)
                });
                // A panic of the work would be an `Err`.
                let message = |divisor: Result<u64, Failure>| Task::Found(divisor.unwrap_or(0));
                self.search = Some(cx.pipe_to_self(divisor, message));
            }
            Task::GiveUp => self.search.iter().for_each(Attachment::cancel),
            Task::Found(divisor) => {
                self.found.push(divisor);
                _ = self.news.send("a divisor was found").await.is_ok();
            }
        }
        Ok(self.found.clone())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let proc = Proc::local()?;
    let (sender, mut news) = mpsc::channel(8);
    let maths = proc.spawn::<Maths>(sender);

    let (number, is_known) = oneshot::channel();
    maths.call(&proc, Task::Fetch(is_known)).await?;
    println!("it is not known yet, and the actor answers all the same");
    number.send(1_000_003 * 7).map_err(|_number| "nobody waits for it")?;
    assert_eq!(news.recv().await, Some("a search begins"));
    assert_eq!(news.recv().await, Some("a divisor was found"));

    maths.call(&proc, Task::Divide(1)).await?; // For ever …
    assert_eq!(news.recv().await, Some("a search begins"));
    let found = maths.call(&proc, Task::GiveUp).await?; // … but that the result is let go of.
    println!("the divisor is {found:?}; {:?}", news.recv().await);
    assert_eq!(found, [7]);

    maths.call(&proc, Task::Divide(1)).await?; // For ever, but that the actor ends.
    assert_eq!(news.recv().await, Some("a search begins"));
    maths.stop(Stop::Now);
    println!("it has {}, and so has its work: {:?}", maths.ended().await, news.recv().await);
    assert_eq!(news.recv().await, None); // Nobody is left who could have news.
    Ok(())
}
