//! What a relay does with what goes back.

use mesh_core::PeerId;
use mesh_runtime::{Context, Failure, Handler};

use super::RelayActor;
use crate::shell::backs::{self, Held, Unhandled};
use crate::shell::message::{Back, BackIsOver};

impl RelayActor {
    /// Takes over what somebody passes on.
    pub(super) fn on_back(&mut self, back: Back, cx: &Context<Self>) {
        let Some(from) = cx.sender() else {
            return backs::give_back(back, None, cx.proc());
        };
        if let Some(held) = self.backs.accept(back, from, &self.books, cx) {
            self.pass_back(held, Some(from.peer()), cx);
        }
    }

    /// What was passed on to a process that is lost, and is not known to have arrived, takes another way, or the same by
    /// another session.
    pub(super) fn pass_back_again(&mut self, peer: PeerId, cx: &Context<Self>) {
        for held in self.backs.lose_peer(peer) {
            self.pass_back(held, None, cx);
        }
    }

    /// What is stuck may have a way by now.
    pub(super) fn pass_stuck_again(&mut self, cx: &Context<Self>) {
        for held in self.backs.stuck_for_long(cx.proc()) {
            self.pass_back(held, None, cx);
        }
    }

    /// Passes something on towards who sent it, not by `avoid`.
    pub(super) fn pass_back(&mut self, held: Held, avoid: Option<PeerId>, cx: &Context<Self>) {
        let parent = self.heard.parent(held.to().peer(), held.mesh());
        self.backs.pass_on(held, &self.books, (parent, avoid), cx);
    }
}

impl Handler<Back> for RelayActor {
    async fn handle(&mut self, back: Back, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_back(back, cx);
        Ok(())
    }
}

impl Handler<Unhandled> for RelayActor {
    async fn handle(
        &mut self,
        unhandled: Unhandled,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.pass_back(unhandled.begin(cx.proc()), None, cx);
        Ok(())
    }
}

impl Handler<BackIsOver> for RelayActor {
    async fn handle(&mut self, over: BackIsOver, cx: &mut Context<Self>) -> Result<(), Failure> {
        if let Some(from) = cx.sender() {
            self.backs.over(from, over, cx);
        }
        Ok(())
    }
}
