//! What a relay is told.

use mesh_runtime::{Context, Failure, Handler, PeerLost};
use tokio::time::Instant;

use super::{AGED_EVERY, FORGOTTEN_AFTER, Flush, Merged, RelayActor, Sweep, Tick};
use crate::relay::Event;
use crate::shell::inboxes::Said;
use crate::shell::links::{Linked, whole_of};
use crate::shell::message::{Down, Forgot, Up, Word};
use crate::shell::pieces::Piece;
use crate::shell::posts::NotSent;
use crate::shell::table::Table;

impl Handler<Table> for RelayActor {
    async fn handle(&mut self, table: Table, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.books.learn(table, cx.id());
        Ok(())
    }
}

impl Handler<Down> for RelayActor {
    async fn handle(&mut self, down: Down, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_legs(down, cx);
        Ok(())
    }
}

impl Handler<Up> for RelayActor {
    async fn handle(&mut self, up: Up, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_answers(up, cx);
        Ok(())
    }
}

impl Handler<Word> for RelayActor {
    async fn handle(&mut self, word: Word, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_word(word, cx);
        Ok(())
    }
}

impl Handler<Forgot> for RelayActor {
    async fn handle(&mut self, forgot: Forgot, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_forgot(forgot, cx);
        Ok(())
    }
}

impl Handler<Piece> for RelayActor {
    async fn handle(&mut self, piece: Piece, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Some(whole) = self.on_piece(piece, cx) else { return Ok(()) };
        if let Some(table) = whole_of(&whole) {
            self.books.learn(table, cx.id());
        } else if let Some(down) = whole_of(&whole) {
            self.on_legs(down, cx);
        } else if let Some(up) = whole_of(&whole) {
            self.on_answers(up, cx);
        } else if let Some(word) = whole_of(&whole) {
            self.on_word(word, cx);
        } else if let Some(back) = whole_of(&whole) {
            self.on_back(back, cx);
        }
        Ok(())
    }
}

impl Handler<PeerLost> for RelayActor {
    async fn handle(&mut self, lost: PeerLost, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_peer_lost(lost, cx);
        Ok(())
    }
}

impl Handler<NotSent> for RelayActor {
    async fn handle(&mut self, not_sent: NotSent, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.on_not_sent(not_sent, cx);
        Ok(())
    }
}

impl Handler<Said> for RelayActor {
    async fn handle(&mut self, said: Said, cx: &mut Context<Self>) -> Result<(), Failure> {
        let events = said.0.into_iter().map(|(cast, outcomes)| Event::Said { cast, outcomes });
        self.run_all(events.collect(), cx);
        Ok(())
    }
}

impl Handler<Merged> for RelayActor {
    async fn handle(&mut self, merged: Merged, cx: &mut Context<Self>) -> Result<(), Failure> {
        let Merged { cast, to, leg, merged } = merged;
        self.run(Event::Merged { cast, to, leg, merged }, cx);
        Ok(())
    }
}

impl Handler<Flush> for RelayActor {
    async fn handle(&mut self, _: Flush, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.run(Event::Flush, cx);
        self.send_ups(cx);
        let waiting = self.links.downs.all();
        self.send_legs(waiting, cx);
        self.flush = None;
        self.flush_soon(cx);
        Ok(())
    }
}

impl Handler<Tick> for RelayActor {
    async fn handle(&mut self, _: Tick, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.will_tick = false;
        self.run(Event::Tick, cx);
        Ok(())
    }
}

impl Handler<Sweep> for RelayActor {
    async fn handle(&mut self, _: Sweep, cx: &mut Context<Self>) -> Result<(), Failure> {
        self.links.posts.sweep(cx.proc());
        self.links.downs.sweep();
        self.backs.sweep();
        for (to, number) in self.backs.overdue(&self.books) {
            self.back_not_sent(to, number, cx);
        }
        for peer in self.backs.stranded(cx.proc()) {
            self.pass_back_again(peer, cx);
        }
        self.pass_stuck_again(cx);
        self.heard.sweep(FORGOTTEN_AFTER);
        self.books.sweep(&self.heard.meshes(), FORGOTTEN_AFTER);
        if self.aged.elapsed() >= AGED_EVERY {
            self.aged = Instant::now();
            self.run(Event::Aged, cx);
        }
        let relay = &self.relay;
        self.inboxes.sweep(|cast| relay.remembers(cast));
        Ok(())
    }
}
