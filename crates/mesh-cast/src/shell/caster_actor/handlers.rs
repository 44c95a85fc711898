//! What a caster is told.

use std::time::Duration;

use mesh_runtime::{Context, Failure, Handler, PeerLost, Stop};
use tokio::time::Instant;

use super::{CasterActor, Flush, Gone, LongGone, Look, Tick};
use crate::caster::Event;
use crate::shell::backs;
use crate::shell::casters::renew;
use crate::shell::links::{Linked, whole_of};
use crate::shell::message::{Back, BackIsOver, Forgot, Up};
use crate::shell::pieces::Piece;
use crate::shell::posts::{NotSent, Parcel};
use crate::shell::{relay_actor, rolls};
use crate::wire::Unreached;

/// How long the answers of a process that is gone may still be on their way.
const LAST_WORDS: Duration = Duration::from_millis(50);

impl Handler<Look> for CasterActor {
    async fn handle(&mut self, _: Look, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.admit(cx);
        self.send_due(cx);
        Ok(())
    }
}

impl Handler<Up> for CasterActor {
    async fn handle(&mut self, up: Up, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_answers(up, cx);
        Ok(())
    }
}

impl Handler<Forgot> for CasterActor {
    async fn handle(&mut self, forgot: Forgot, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_forgot(forgot, cx);
        Ok(())
    }
}

impl Handler<Piece> for CasterActor {
    async fn handle(&mut self, piece: Piece, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Some(whole) = self.on_piece(piece, cx) else { return Ok(()) };
        if let Some(up) = whole_of(&whole) {
            self.on_answers(up, cx);
        } else if let Some(back) = whole_of(&whole) {
            self.on_back(back, cx);
        }
        Ok(())
    }
}

impl Handler<Back> for CasterActor {
    async fn handle(&mut self, back: Back, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_back(back, cx);
        Ok(())
    }
}

impl Handler<PeerLost> for CasterActor {
    async fn handle(&mut self, lost: PeerLost, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_peer_lost(lost, cx);
        Ok(())
    }
}

impl Handler<NotSent> for CasterActor {
    async fn handle(&mut self, not_sent: NotSent, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_not_sent(not_sent, cx);
        Ok(())
    }
}

impl Handler<Gone> for CasterActor {
    async fn handle(&mut self, Gone(peers): Gone, cx: &mut Context<Self>) -> Result<(), Failure> {
        if self.caster.n_flights() > 0 {
            cx.send_after(LAST_WORDS, LongGone(peers));
        }
        Ok(())
    }
}

impl Handler<LongGone> for CasterActor {
    async fn handle(
        &mut self,
        LongGone(peers): LongGone,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let gone = |node| Event::Lost { node, why: Unreached::Gone };
        self.run_all(peers.into_iter().map(gone), cx);
        Ok(())
    }
}

impl Handler<Flush> for CasterActor {
    async fn handle(&mut self, _: Flush, cx: &mut Context<Self>) -> Result<(), Failure> {
        let waiting = self.links.downs.all();
        self.send_legs(waiting, cx);
        self.will_flush = false;
        Ok(())
    }
}

impl Handler<Tick> for CasterActor {
    async fn handle(&mut self, _: Tick, cx: &mut Context<Self>) -> Result<(), Failure> {
        let now = Instant::now();
        if self.is_stale() {
            // Its calls are let go of; what waits is cast by the next one.
            self.is_over = true;
            renew(cx.proc(), self.mesh, cx.me());
            cx.stop(Stop::Now);
            return Ok(());
        }
        self.ticked = now;
        let withdrawn = self.tickets.iter().filter(|(_, ticket)| ticket.is_withdrawn());
        let withdrawn: Vec<u64> = withdrawn.map(|(number, _)| *number).collect();
        for number in withdrawn {
            self.run(Event::Withdrawn(number), cx);
        }
        if self.aged.elapsed() >= relay_actor::TICK {
            self.aged = now;
            self.run(Event::Tick, cx);
        }
        // What was submitted while there was no room for word of that.
        self.admit(cx);
        self.send_due(cx);
        self.say_settled(cx);
        self.links.posts.sweep(cx.proc());
        self.links.downs.sweep();
        rolls::touch(cx.proc(), self.mesh);
        self.leave(cx);
        Ok(())
    }
}

impl CasterActor {
    /// Something comes back that was cast in this process. Whoever has passed it on need not keep it any more.
    fn on_back(&mut self, back: Back, cx: &Context<Self>) {
        let (from, number) = (cx.sender(), back.number);
        backs::give_back(back, from, cx.proc());
        if let Some(from) = from {
            let over = BackIsOver { number, is_stuck: false };
            self.links.posts.send(from.peer(), Parcel::BackIsOver(from, over), cx);
        }
    }
}
