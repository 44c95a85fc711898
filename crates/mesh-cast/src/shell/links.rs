//! `Links`: what relays and casters have alike: the queues to other processes, the messages that are not whole
//! yet, and what follows when a process is lost.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use mesh_core::{ActorId, MeshId, Message, PeerId, PortId, WhyUndelivered};
use mesh_runtime::{Context, Handler, PeerLost, Undelivered, codec};
use serde::de::DeserializeOwned;

use super::downs::{Downs, Due};
use super::message::{Back, BackIsOver, Down, Forgot, LegName, Payload, Up};
use super::pieces::{Piece, Pieces, Queue};
use super::posts::{NotSent, Parcel, Posts, Way};
use crate::plan::Plan;
use crate::wire::{Answer, Leg, Progress, Settlement};

/// The links of one actor.
pub(super) struct Links {
    pub(super) downs: Downs,
    pub(super) posts: Posts,
    pub(super) pieces: Pieces,
    /// Which legs were dropped last since what was said of them has come back.
    dropped: Option<(ActorId, Vec<LegName>)>,
}

impl Links {
    pub(super) fn new() -> Self {
        let (downs, pieces) = (Downs::default(), Pieces::default());
        Self { downs, posts: Posts::new(Queue::Tree), pieces, dropped: None }
    }
}

/// An actor that has links.
pub(super) trait Linked: Handler<NotSent> + Sized {
    fn links(&mut self) -> &mut Links;

    /// The tree over a mesh, by the newest table that is known here.
    fn whole(&self, mesh: MeshId) -> Option<Arc<Plan<PeerId>>>;

    /// The way to a relay of a mesh.
    fn way(&self, mesh: MeshId, to: PeerId) -> Option<Way>;

    /// Legs that it has sent were answered, by that process.
    fn answered(&mut self, from: PeerId, answers: Vec<Answer<Bytes>>, cx: &mut Context<Self>);

    /// Legs that it has sent could not be delivered.
    fn legs_failed(&mut self, legs: Vec<LegName>, cx: &mut Context<Self>);

    /// The session with a process was lost.
    fn lost(&mut self, peer: PeerId, cx: &mut Context<Self>);

    /// Something that was to go back could not be sent to somebody, by that number. Only relays pass it on.
    fn back_not_sent(&mut self, _: ActorId, _: u64, _: &mut Context<Self>) {}

    /// That actor does not take what goes back: it has ended.
    fn backs_refused(&mut self, _: ActorId, _: &mut Context<Self>) {}

    fn on_peer_lost(&mut self, PeerLost { peer, .. }: PeerLost, cx: &mut Context<Self>) {
        let links = self.links();
        links.downs.lose(peer);
        links.posts.lose(peer);
        let cut_off = links.pieces.lose(peer);
        self.lost(peer, cx);
        for (from, legs) in cut_off {
            self.drop_legs(from, legs, cx);
        }
    }

    fn on_answers(&mut self, Up { answers }: Up, cx: &mut Context<Self>) {
        // Whatever they say themselves, that is who has sent them.
        let Some(from) = cx.sender().map(|relay| relay.peer()) else { return };
        for answer in answers.iter().filter(|answer| answer.progress == Progress::Refused) {
            self.links().posts.tell_again(from, answer.cast.stream.mesh);
        }
        self.answered(from, answers, cx);
    }

    /// Sends a leg by that way, with those that follow it closely.
    fn send_leg(&mut self, to: PeerId, way: Way, leg: Leg<Payload>, cx: &Context<Self>) {
        let before = self.links().downs.add(to, way, leg.trimmed());
        self.send_legs(before, cx);
    }

    /// Sends legs.
    fn send_legs(&mut self, due: impl IntoIterator<Item = Due>, cx: &Context<Self>) {
        for Due { to, way, legs } in due {
            self.links().posts.send(to, Parcel::Legs(way, legs), cx);
        }
    }

    /// Puts a piece to those before it, if whoever sends them is who they say. The message, when it is whole.
    fn on_piece(&mut self, piece: Piece, cx: &Context<Self>) -> Option<(PortId, Bytes)> {
        if cx.sender() != Some(piece.from) {
            return None;
        }
        let forgotten = self.links().pieces.make_room(&piece);
        if !forgotten.is_empty() {
            self.drop_legs(piece.from, forgotten, cx);
        }
        self.links().pieces.add(piece)
    }

    /// Whoever says so has forgotten the table of a mesh.
    fn on_forgot(&mut self, Forgot { mesh }: Forgot, cx: &Context<Self>) {
        if let Some(from) = cx.sender() {
            self.links().posts.tell_again(from.peer(), mesh);
        }
    }

    fn on_returned(&mut self, undelivered: Undelivered, cx: &mut Context<Self>) {
        let (to, why) = (undelivered.to, undelivered.why);
        match came_back(undelivered) {
            CameBack::Legs(legs) => self.legs_failed(legs, cx),
            CameBack::PartOfUp(legs) if is_lost(why) => self.drop_legs(to, legs, cx),
            CameBack::PartOfUp(_) => (),
            CameBack::Up(up) => self.say_again(Parcel::Answer(to, Box::new(up)), (to, why), cx),
            CameBack::Over(over) => self.say_again(Parcel::BackIsOver(to, over), (to, why), cx),
            // Of a session that is lost there is word whether or not anything comes back.
            CameBack::Back if is_lost(why) => (),
            CameBack::Back => self.backs_refused(to, cx),
        }
    }

    /// Says that these legs are to be asked for again, if whoever has sent them is there: what was said of them, or they
    /// themselves, did not arrive whole.
    fn drop_legs(&mut self, to: ActorId, legs: Vec<LegName>, cx: &Context<Self>) {
        let links = self.links();
        // The pieces of one answer come back one after the other.
        if cx.proc().has_way_to(to) && links.dropped.as_ref() != Some(&(to, legs.clone())) {
            links.dropped = Some((to, legs.clone()));
            let answer = Parcel::Answer(to, Box::new(Up::dropped(legs)));
            links.posts.send(to.peer(), answer, cx);
        }
    }

    /// Answers were in a session that is lost. Whoever has lost it before may have asked again by the next one, and then
    /// that is lost to nobody but us: there is no other word of what we said. What nobody waits for changes nothing.
    fn say_again(
        &mut self,
        answer: Parcel,
        (to, why): (ActorId, WhyUndelivered),
        cx: &Context<Self>,
    ) {
        if is_lost(why) && cx.proc().has_way_to(to) {
            self.links().posts.send(to.peer(), answer, cx);
        }
    }

    fn on_not_sent(&mut self, not_sent: NotSent, cx: &mut Context<Self>) {
        match not_sent {
            NotSent::Legs(legs) => self.legs_failed(legs, cx),
            NotSent::Back(to, number) => self.back_not_sent(to, number, cx),
            NotSent::Word(word) => {
                for (to, word) in self.below(&word) {
                    self.send_word(to, word, cx);
                }
            }
        }
    }

    /// Sends word to a relay, or past it if there is no way to it: those below it must hear that their caster
    /// is there, or they forget it.
    fn send_word(&mut self, to: PeerId, word: Settlement, cx: &Context<Self>) {
        let mut words = vec![(to, word)];
        while let Some((to, word)) = words.pop() {
            match self.way(word.stream.mesh, to) {
                Some(way) => {
                    self.links().posts.send(to, Parcel::Word(way, Box::new(word)), cx);
                }
                None => words.extend(self.below(&word)),
            }
        }
    }

    /// Who is below the first of those that a word is for.
    fn below(&self, word: &Settlement) -> Vec<(PeerId, Settlement)> {
        let Some(plan) = self.whole(word.stream.mesh) else { return Vec::new() };
        let rest = word.range.start.saturating_add(1)..word.range.end;
        word.passed_on(&plan, rest, &BTreeSet::new())
    }
}

/// What somebody has sent and comes back.
enum CameBack {
    /// Some, a part of some, or anything that nobody misses.
    Legs(Vec<LegName>),
    /// Answers.
    Up(Up),
    /// A part of answers to these legs: what is left of them cannot be said again.
    PartOfUp(Vec<LegName>),
    /// Word that what somebody has passed on by that number is over, or stuck.
    Over(BackIsOver),
    /// Something that goes back, or a part of it.
    Back,
}

fn came_back(undelivered: Undelivered) -> CameBack {
    let nothing = CameBack::Legs(Vec::new());
    match undelivered.name {
        Piece::NAME => match undelivered.decode::<Piece>() {
            Ok(piece) if piece.port == PortId::of::<Back>() => CameBack::Back,
            Ok(piece) if piece.port == PortId::of::<Up>() => CameBack::PartOfUp(piece.legs),
            Ok(piece) => CameBack::Legs(piece.legs),
            Err(_) => nothing,
        },
        Back::NAME => CameBack::Back,
        Up::NAME => undelivered.decode::<Up>().map_or(nothing, CameBack::Up),
        BackIsOver::NAME => undelivered.decode::<BackIsOver>().map_or(nothing, CameBack::Over),
        Down::NAME => undelivered
            .decode::<Down>()
            .map_or(nothing, |down| CameBack::Legs(down.legs.iter().map(Leg::name).collect())),
        _ => nothing,
    }
}

/// Whether something was not delivered because its process is lost.
const fn is_lost(why: WhyUndelivered) -> bool {
    matches!(why, WhyUndelivered::PeerLost | WhyUndelivered::NoRoute)
}

/// The message that bytes for a port are, if they are for that of `M`.
pub(super) fn whole_of<M>((port, bytes): &(PortId, Bytes)) -> Option<M>
where
    M: Message + DeserializeOwned,
{
    if *port != PortId::of::<M>() {
        return None;
    }
    let decoded = codec::decode(bytes);
    decoded.inspect_err(|error| tracing::warn!(%error, "a message in pieces is none")).ok()
}

#[cfg(test)]
mod tests;
