//! `asked`: what an agent answers to whoever asks about its actors, and tells whoever follows them.

use mesh_core::{PortRef, RankState, Refusal, Timestamp};
use mesh_runtime::{
    Attachment, Context, Failure, Handler, Port, ReplyTo, TryCastError, Undelivered,
};
use mesh_shape::Rank;

use super::watched::Answered;
use super::{Expire, ProcAgent};
use crate::agent::{GetState, StopStream, StreamState, Streamed, WaitRankStatus, Waited};
use crate::metrics;

pub(super) type Answer = Result<Waited, Refusal>;

/// Answers those who have waited for what is so now. Some may have gone meanwhile.
pub(super) fn answer(answers: impl IntoIterator<Item = Answered<ReplyTo<Answer>>>) {
    answers.into_iter().for_each(|(reply, answer)| _ = reply.send(answer).is_ok());
}

/// When the first wait is over for lack of time, or somebody who follows is told something, and what tells of it.
pub(super) type Alarm = (Timestamp, Attachment);

impl ProcAgent {
    /// Tells those who follow what is due. One that has no room holds nobody up.
    pub(super) fn tell_followers(&mut self, cx: &mut Context<Self>) {
        let now = self.clock.now();
        self.watched.followers().tell(now, |to, streamed| {
            match PortRef::of(*to).try_cast(&*cx, streamed) {
                Ok(()) => Ok(()),
                Err(TryCastError::Full { message, .. } | TryCastError::Closed { message, .. }) => {
                    Err(message)
                }
            }
        });
        let next = self.watched.followers().next_deadline();
        self.arm_at(next, cx);
    }

    /// Who was told that is gone, or there is no way there (N7).
    pub(super) fn came_back(&mut self, undelivered: Undelivered) {
        let to = undelivered.to;
        if let Ok(Streamed { mesh, stream, .. }) = undelivered.decode() {
            self.watched.followers().came_back((mesh, stream), &to);
        }
    }

    /// Has itself told when the first wait is over.
    fn arm(&mut self, cx: &mut Context<Self>) {
        self.arm_at(self.watched.next_deadline(), cx);
    }

    fn arm_at(&mut self, next: Option<Timestamp>, cx: &mut Context<Self>) {
        let Some(next) = next else { return };
        if self.alarm.as_ref().is_some_and(|(at, _)| *at <= next) {
            return;
        }
        let alarm = (next, cx.send_after(next.since(self.clock.now()), Expire));
        if let Some((_, later)) = self.alarm.replace(alarm) {
            later.cancel();
        }
    }
}

impl Handler<GetState> for ProcAgent {
    async fn handle(
        &mut self,
        GetState { mesh }: GetState,
        _: &mut Context<Self>,
    ) -> Result<Vec<(Rank, RankState)>, Failure> {
        Ok(self.watched.states(mesh))
    }
}

impl Handler<WaitRankStatus> for ProcAgent {
    /// Of a wait that nobody waits for: what is known now.
    async fn handle(
        &mut self,
        WaitRankStatus { mesh, rank, .. }: WaitRankStatus,
        _: &mut Context<Self>,
    ) -> Result<Answer, Failure> {
        Ok(Ok(self.watched.waited((mesh, rank), false)))
    }

    async fn handle_call(
        &mut self,
        wait: WaitRankStatus,
        reply: ReplyTo<Answer>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let at_once = self.watched.wait(self.clock.now(), wait, reply);
        if at_once.as_ref().is_some_and(|(_, answer)| answer.is_err()) {
            metrics::count_refusal(metrics::WAIT);
        }
        answer(at_once);
        self.arm(cx);
        Ok(())
    }
}

impl Handler<StreamState> for ProcAgent {
    async fn handle(
        &mut self,
        StreamState { mesh, to }: StreamState,
        cx: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        let taken = self.watched.follow(self.clock.now(), mesh, to.actor());
        if taken.is_err() {
            metrics::count_refusal(metrics::STREAM);
        }
        self.tell_followers(cx);
        Ok(taken)
    }
}

impl Handler<StopStream> for ProcAgent {
    async fn handle(
        &mut self,
        StopStream { mesh, to }: StopStream,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.watched.followers().unfollow(mesh, &to.actor());
        Ok(())
    }
}

impl Handler<Expire> for ProcAgent {
    async fn handle(&mut self, _: Expire, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.alarm = None;
        answer(self.watched.expire(self.clock.now()));
        self.arm(cx);
        self.tell_followers(cx);
        Ok(())
    }
}
