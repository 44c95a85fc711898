//! Calls: replies that come later, deadlines, and handlers that end when nobody waits for them any more.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::{error::Error, future::pending, time::Duration};

use mesh_runtime::mesh_core::Message;
use mesh_runtime::{Actor, CallError, Context, Failure, Handler, Proc, ReplyTo};

/// A ferry that leaves when two passengers are on board.
struct Ferry {
    on_board: Vec<ReplyTo<&'static str>>,
    n_tours: u32,
}

impl Actor for Ferry {
    const NAME: &'static str = "ferry";
    type Params = ();
    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self { on_board: Vec::new(), n_tours: 0 })
    }
}

/// Says where to answer, so that the handler can return before there is an answer.
struct Cross {
    has_ticket: bool,
    arrived: ReplyTo<&'static str>,
}
impl Message for Cross {
    const NAME: &'static str = "calls.Cross";
    type Reply = ();
}
impl Handler<Cross> for Ferry {
    async fn handle(&mut self, cross: Cross, _: &mut Context<Self>) -> Result<(), Failure> {
        if !cross.has_ticket {
            return Ok(()); // It lets go of `arrived`: whoever asked is told at once.
        }
        self.on_board.retain(|passenger| !passenger.is_abandoned());
        self.on_board.push(cross.arrived);
        if self.on_board.len() == 2 {
            self.n_tours += 1;
            for passenger in self.on_board.drain(..) {
                _ = passenger.send("on the other side").is_ok(); // If not, somebody has left.
            }
        }
        Ok(())
    }
}

/// A tour that takes for ever: answered by what the handler returns.
struct GoRound;
impl Message for GoRound {
    const NAME: &'static str = "calls.GoRound";
    type Reply = u32;
}
impl Handler<GoRound> for Ferry {
    /// It may be dropped at any await: and it is, as soon as the caller has gone.
    const IS_CANCEL_SAFE: bool = true;

    async fn handle(&mut self, _: GoRound, _: &mut Context<Self>) -> Result<u32, Failure> {
        pending().await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let proc = Proc::local()?;
    let ferry = proc.spawn::<Ferry>(());
    let cross = |has_ticket| ferry.call_with(&proc, move |arrived| Cross { has_ticket, arrived });

    let alone = cross(true).within(Duration::from_millis(20)).await;
    println!("alone: {alone:?}");
    assert!(matches!(alone, Err(CallError::Deadline { .. })));

    let cheat = cross(false).await;
    println!("without a ticket: {cheat:?}");
    assert!(matches!(cheat, Err(CallError::Unanswered { .. })));

    let round = ferry.call(&proc, GoRound).within(Duration::from_millis(20)).await;
    println!("round and round: {round:?}");
    assert!(matches!(round, Err(CallError::Deadline { .. })));

    // The ferry is free again: its endless tour was cut off when the call was given up.
    let (one, other) = tokio::join!(cross(true), cross(true));
    println!("two together: {one:?}, {other:?}");
    assert_eq!((one?, other?), ("on the other side", "on the other side"));
    Ok(())
}
