//! Names: an actor is found by name within its process, by its type, until it has ended.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::error::Error;

use mesh_runtime::mesh_core::Message;
use mesh_runtime::{Actor, Context, Failure, Handler, LookupError, Proc, RegisterError, Stop};

struct Counter(u64);

impl Actor for Counter {
    const NAME: &'static str = "counter";
    type Params = u64;
    /// It registers itself, so that a life after a restart has the name again.
    async fn start(from: u64, cx: &mut Context<Self>) -> Result<Self, Failure> {
        cx.me().register("visits")?;
        Ok(Self(from))
    }
}

struct Next;
impl Message for Next {
    const NAME: &'static str = "names.Next";
    type Reply = u64;
}
impl Handler<Next> for Counter {
    async fn handle(&mut self, _: Next, _: &mut Context<Self>) -> Result<u64, Failure> {
        self.0 += 1;
        Ok(self.0)
    }
}

/// Of another type.
struct Clerk;

impl Actor for Clerk {
    const NAME: &'static str = "clerk";
    type Params = ();
    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let proc = Proc::local()?;
    let counter = proc.spawn::<Counter>(41);
    assert_eq!(counter.call(&proc, Next).await?, 42); // It has started, and has its name.

    let n = proc.lookup::<Counter>("visits")?.call(&proc, Next).await?;
    println!("found by name, it counts on: {n}");
    assert_eq!(n, 43);

    let wrong = proc.lookup::<Clerk>("visits");
    println!("as another type: {wrong:?}");
    assert!(matches!(wrong, Err(LookupError::OtherType { .. })));

    let clerk = proc.spawn::<Clerk>(());
    let taken = clerk.register("visits");
    println!("for somebody else: {taken:?}");
    assert!(matches!(taken, Err(RegisterError::Taken { .. })));

    counter.stop(Stop::Now);
    counter.ended().await;
    let gone = proc.lookup::<Counter>("visits");
    println!("after its end: {gone:?}");
    assert!(matches!(gone, Err(LookupError::Unknown { .. })));
    Ok(clerk.register("visits")?) // The name is free.
}
