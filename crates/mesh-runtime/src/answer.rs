//! Waiting for the answer to a call.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use mesh_core::Fault;
use tokio::sync::oneshot;

use crate::deadlines::Deadline;
use crate::proc::Proc;
use crate::reply::ReplyTo;

/// What becomes of a call that was sent.
#[derive(Debug)]
pub(crate) enum Outcome<R> {
    Answered(R),
    Refused(Fault),
    Over(Duration),
}

/// The answer to a call, or the end of its time.
#[derive(Debug)]
pub(crate) struct Answer<R> {
    answer: oneshot::Receiver<Result<R, Fault>>,
    deadline: Deadline,
}

impl<R> Answer<R> {
    /// A call of `proc`: where its answer is to go, and where it comes out.
    pub(crate) fn new(proc: &Proc, within: Duration) -> (ReplyTo<R>, Self) {
        let (reply, answer) = oneshot::channel();
        let deadline = Deadline::new(proc.deadlines(), within);
        (ReplyTo::here(reply), Self { answer, deadline })
    }

    pub(crate) const fn set_within(&mut self, within: Duration) {
        self.deadline.set(within);
    }

    /// Whether the time is over; for a call that is not sent yet.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<R>> {
        if self.deadline.is_over(cx.waker()) {
            return Poll::Ready(Outcome::Over(self.deadline.within()));
        }
        Poll::Pending
    }
}

impl<R> Future for Answer<R> {
    type Output = Outcome<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<R>> {
        match Pin::new(&mut self.answer).poll(cx) {
            Poll::Ready(Ok(Ok(reply))) => Poll::Ready(Outcome::Answered(reply)),
            Poll::Ready(Ok(Err(fault))) => Poll::Ready(Outcome::Refused(fault)),
            Poll::Ready(Err(_)) => Poll::Ready(Outcome::Refused(Fault::Unanswered(None))),
            Poll::Pending => self.poll_over(cx),
        }
    }
}
