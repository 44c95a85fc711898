//! How many lines of memory a message touches of an actor.

use std::any::Any;
use std::mem::offset_of;

use super::*;
use crate::letter::parcels::Parcels;
use crate::mailbox::Mailbox;

struct Nobody;

impl Actor for Nobody {
    const NAME: &'static str = "nobody";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

type Mail = Mailbox<Parcels<Nobody>, Control>;

const LINE: usize = 64;

/// The two counts of references that stand before what an `Arc` has.
const COUNTS: usize = 2 * size_of::<usize>();

/// What tokio has before a future: what it touches itself, when the task is woken and when it runs.
const OF_TOKIO: usize = 56;

#[test]
fn a_sender_touches_a_line_and_a_half_of_an_actor() {
    let before = COUNTS + offset_of!(Shared<Nobody>, mailbox);
    let touched = before + Mail::TOUCHED;
    assert!(touched <= LINE + LINE / 2, "{touched}");
}

#[test]
fn senders_write_to_no_line_that_the_reader_asks_between_messages() {
    let between = Mail::ASKED.saturating_sub(Mail::TOUCHED);
    assert!(between >= LINE, "{between}");
}

#[test]
fn a_message_touches_four_lines_of_a_task_with_those_of_tokio() {
    let home = size_of::<Option<Box<dyn Any>>>() + size_of::<usize>();
    let touched = OF_TOKIO + offset_of!(ActorTask<Nobody>, turn) + home;
    assert!(touched <= 4 * LINE, "{touched}");
}
