//! Mailboxes are bounded, and what was not handled comes back to the actor that has sent it.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::{error::Error, sync::Arc};

use mesh_runtime::mesh_core::Message;
use mesh_runtime::{
    Actor, ActorRef, Context, Failure, Handler, Proc, Stop, TryCastError, Undelivered,
};
use tokio::sync::{Semaphore, mpsc};

/// Prints when it has paper.
struct Printer(Arc<Semaphore>);

impl Actor for Printer {
    const NAME: &'static str = "printer";
    const MAILBOX: usize = 2;
    type Params = Arc<Semaphore>;
    async fn start(paper: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(paper))
    }
}

struct Page {
    number: u32,
    printed: mpsc::Sender<(u32, String)>,
}
impl Message for Page {
    const NAME: &'static str = "mailboxes.Page";
    type Reply = ();
}
impl Handler<Page> for Printer {
    async fn handle(&mut self, page: Page, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.0.acquire().await?.forget();
        Ok(page.printed.send((page.number, cx.me().name().to_string())).await?)
    }
}

/// Sends pages to the first printer, and those that come back to the second.
struct Office([ActorRef<Printer>; 2]);

impl Actor for Office {
    const NAME: &'static str = "office";
    type Params = [ActorRef<Printer>; 2];
    async fn start(printers: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(printers))
    }

    async fn on_undelivered(
        &mut self,
        back: Undelivered,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        println!("{back}");
        let Ok(page) = back.into_message::<Page>() else { return Ok(()) };
        self.0[1].cast(cx, page).await?; // It would wait for room.
        Ok(())
    }
}
impl Handler<Page> for Office {
    async fn handle(&mut self, page: Page, cx: &mut Context<Self>) -> Result<(), Failure> {
        if let Err(TryCastError::Full { message, .. }) = self.0[0].try_cast(cx, page) {
            println!("no room for page {}: it goes to the other one", message.number);
            self.0[1].cast(cx, message).await?;
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let proc = Proc::local()?;
    let (none, much) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(500)));
    let first = proc.spawn_named::<Printer>("the first", Arc::clone(&none));
    let second = proc.spawn_named::<Printer>("the second", much);
    let office = proc.spawn::<Office>([first.clone(), second]);

    let (printed, mut output) = mpsc::channel(8);
    for number in 1..=5 {
        office.call(&proc, Page { number, printed: printed.clone() }).await?;
    }
    // It ends after the page in its hands, once there is paper for it. What waits comes back.
    first.stop(Stop::Now);
    none.add_permits(1);
    let mut pages = Vec::new();
    while pages.len() < 5 {
        let (number, by) = output.recv().await.ok_or("a page is lost")?;
        println!("page {number} is printed by {by}");
        pages.push(number);
    }
    pages.sort_unstable();
    assert_eq!(pages, [1, 2, 3, 4, 5]);
    Ok(())
}
