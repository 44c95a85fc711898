//! `asked`: what an agent answers to whoever asks about its actors.

use mesh_core::{RankState, Refusal, Timestamp};
use mesh_runtime::{Attachment, Context, Failure, Handler, ReplyTo};
use mesh_shape::Rank;

use super::watched::Answered;
use super::{Expire, ProcAgent};
use crate::agent::{GetState, WaitRankStatus, Waited};

pub(super) type Answer = Result<Waited, Refusal>;

/// Answers those who have waited for what is so now. Some may have gone meanwhile.
pub(super) fn answer(answers: impl IntoIterator<Item = Answered<ReplyTo<Answer>>>) {
    answers.into_iter().for_each(|(reply, answer)| _ = reply.send(answer).is_ok());
}

/// When the first wait is over for lack of time, and what tells of it.
pub(super) type Alarm = (Timestamp, Attachment);

impl ProcAgent {
    /// Has itself told when the first wait is over.
    fn arm(&mut self, cx: &mut Context<Self>) {
        let Some(next) = self.watched.next_deadline() else { return };
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
        answer(self.watched.wait(self.clock.now(), wait, reply));
        self.arm(cx);
        Ok(())
    }
}

impl Handler<Expire> for ProcAgent {
    async fn handle(&mut self, _: Expire, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.alarm = None;
        answer(self.watched.expire(self.clock.now()));
        self.arm(cx);
        Ok(())
    }
}
