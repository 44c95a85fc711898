//! Routes against a model: sessions that come, end, hand over and acknowledge at any time, and senders who are
//! between any two steps meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use mesh_core::{
    ActorId, Body, Envelope, Head, Incarnation, PeerId, PortId, ProcId, Returned, WhyReturned,
};
use proptest::prelude::*;

use super::*;

/// A session whose peer gets and acknowledges what it is told to.
#[derive(Default)]
struct Fake(Mutex<State>);

#[derive(Default)]
struct State {
    has_ended: bool,
    taken: Vec<Message>,
    n_handed: usize,
    n_acknowledged: usize,
}

/// Who has sent it, and the how-manieth of his it is.
type Message = (u8, u8);

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }
}

fn peer() -> PeerId {
    PeerId { proc: ProcId::from_random(2), life: Incarnation::FIRST }
}

impl Outbound for Fake {
    fn peer(&self) -> PeerId {
        peer()
    }

    fn is_open(&self) -> bool {
        !self.state().has_ended
    }

    fn close(&self) {
        self.state().has_ended = true;
    }

    fn poll_send(
        &self,
        _: &mut Context<'_>,
        envelope: &mut Option<Envelope>,
    ) -> Poll<Result<(), Box<Returned>>> {
        let mut envelope = envelope.take().expect("there is one");
        let mut state = self.state();
        if state.has_ended {
            let why = WhyReturned::Ended(peer());
            return Poll::Ready(Err(Box::new(Returned { envelope, why })));
        }
        let body = envelope.body.bytes().expect("it is bytes");
        state.taken.push((body[0], body[1]));
        Poll::Ready(Ok(()))
    }

    fn n_taken(&self) -> u64 {
        self.state().taken.len() as u64
    }

    fn poll_acknowledged(&self, _: &mut Context<'_>, n_taken: u64) -> Poll<()> {
        let state = self.state();
        let is_so = state.has_ended || state.n_acknowledged as u64 >= n_taken;
        if is_so { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A session is opened on the lane of the messages, or on another one.
    Open(OnLane),
    /// A session ends, and is told of or not yet.
    End(usize, IsTold),
    /// The peer is handed one more envelope of a session.
    HandOver(usize),
    /// The peer acknowledges all that it was handed.
    Acknowledge(usize),
    /// A sender does the next thing.
    Go(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnLane {
    Own,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IsTold {
    Now,
    Later,
}

/// How far a sender is.
#[derive(Default)]
enum Sender {
    /// It is to send its next message.
    #[default]
    Ready,
    /// It knows by which session.
    Knows(Arc<Stretch>),
    /// The message was taken.
    HasSent(Arc<Stretch>),
}

#[derive(Default)]
struct World {
    route: Route,
    sessions: Vec<(OnLane, Arc<Fake>)>,
    senders: BTreeMap<u8, (Sender, u8)>,
    heard: Vec<Message>,
}

impl World {
    fn session(&self, index: usize) -> Option<&Arc<Fake>> {
        self.sessions.get(index % self.sessions.len().max(1)).map(|(_, session)| session)
    }

    fn perform(&mut self, event: Event) {
        match event {
            Event::Open(on) => {
                let session = Arc::new(Fake::default());
                if on == OnLane::Own {
                    self.route.connect(session.clone());
                }
                self.sessions.push((on, session));
            }
            Event::End(index, is_told) => {
                if let Some(session) = self.session(index) {
                    session.close();
                    if is_told == IsTold::Now {
                        self.route.tidy();
                    }
                }
            }
            Event::HandOver(index) => {
                let heard = self.session(index).and_then(|session| {
                    let mut state = session.state();
                    let next = state.taken.get(state.n_handed).copied();
                    let next = next.filter(|_| !state.has_ended)?;
                    state.n_handed += 1;
                    Some(next)
                });
                self.heard.extend(heard);
            }
            Event::Acknowledge(index) => {
                if let Some(session) = self.session(index) {
                    let mut state = session.state();
                    state.n_acknowledged = state.n_handed;
                }
            }
            Event::Go(sender) => _ = self.go(sender),
        }
    }

    fn other(&self) -> Option<Arc<dyn Outbound>> {
        let mut others = self.sessions.iter().filter(|(on, _)| *on == OnLane::Other);
        let found = others.find(|(_, session)| session.is_open());
        found.map(|(_, session)| Arc::clone(session) as Arc<_>)
    }

    /// Returns whether the sender can go on.
    fn go(&mut self, number: u8) -> bool {
        let (sender, n_sent) = self.senders.remove(&number).unwrap_or_default();
        let (next, n_sent) = match sender {
            Sender::Ready => (self.ask(), n_sent),
            Sender::Knows(stretch) => {
                let PeerId { proc, life } = peer();
                let to = ActorId { proc, life, index: 1 };
                let head = Head::Cast { to, port: PortId::named("test"), from: None };
                let body = Body::Bytes(Bytes::from(vec![number, n_sent]));
                let mut envelope = Some(Envelope { head, body });
                let cx = &mut Context::from_waker(Waker::noop());
                let sent = stretch.session().poll_send(cx, &mut envelope);
                assert!(sent.is_ready());
                (Sender::HasSent(stretch), n_sent + 1)
            }
            Sender::HasSent(stretch) => {
                if stretch.is_over() {
                    self.route.was_late(&stretch);
                }
                (Sender::Ready, n_sent)
            }
        };
        let goes_on = !matches!(next, Sender::Ready);
        self.senders.insert(number, (next, n_sent));
        goes_on
    }

    /// By which session the next message goes, if it may.
    fn ask(&mut self) -> Sender {
        if let Some(settled) = self.route.settled() {
            return Sender::Knows(Arc::clone(settled));
        }
        loop {
            match self.route.step(self.other()) {
                Step::Send(stretch) => return Sender::Knows(stretch),
                Step::Nowhere => return Sender::Ready,
                Step::Wait(before) => {
                    let cx = &mut Context::from_waker(Waker::noop());
                    if before.session.poll_acknowledged(cx, before.n_taken).is_pending() {
                        return Sender::Ready;
                    }
                    self.route.acknowledged(&before);
                }
            }
        }
    }

    /// What each sender has sent was heard in order, none of it twice.
    fn check(&self) {
        let mut last = BTreeMap::new();
        for (sender, number) in &self.heard {
            let before = last.insert(sender, number);
            assert!(before.is_none_or(|before| before < number), "{:?}", self.heard);
        }
    }

    /// Everything is handed over and acknowledged: whoever has something to send sends it, by the right lane.
    fn come_to_rest(&mut self) {
        for number in 0..SENDERS {
            while !matches!(self.senders.entry(number).or_default().0, Sender::Ready) {
                self.go(number);
            }
        }
        for index in 0..self.sessions.len() {
            (0..=u8::MAX).for_each(|_| self.perform(Event::HandOver(index)));
            self.perform(Event::Acknowledge(index));
        }
        self.check();
        let is_open =
            |lane| self.sessions.iter().any(|(on, session)| *on == lane && session.is_open());
        let (has_own, has_other) = (is_open(OnLane::Own), is_open(OnLane::Other));
        match self.ask() {
            Sender::Knows(stretch) => assert_eq!(stretch.is_own, has_own),
            _ => assert!(!has_own && !has_other, "it waits for nothing"),
        }
        let is_kept = self.route.tidy();
        assert_eq!(is_kept, has_own || has_other, "what has ended is not kept");
        assert!(self.route.before.is_empty());
    }
}

fn event() -> impl Strategy<Value = Event> {
    let index = 0..4_usize;
    let lane = prop_oneof![Just(OnLane::Own), Just(OnLane::Other)];
    let told = prop_oneof![Just(IsTold::Now), Just(IsTold::Later)];
    prop_oneof![
        2 => lane.prop_map(Event::Open),
        1 => (index.clone(), told).prop_map(|(index, told)| Event::End(index, told)),
        6 => index.clone().prop_map(Event::HandOver),
        3 => index.prop_map(Event::Acknowledge),
        12 => (0..SENDERS).prop_map(Event::Go),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// R2: whatever sessions come and go, and wherever senders are meanwhile, nothing overtakes, and nobody waits for
    /// ever.
    #[test]
    fn nothing_overtakes_whatever_sessions_come_and_go(
        events in prop::collection::vec(event(), 0..120),
    ) {
        let mut world = World::default();
        for event in events {
            world.perform(event);
            world.check();
        }
        world.come_to_rest();
    }
}

/// R2: a message that is taken by a session just after another has taken over is waited for.
#[test]
fn who_sends_just_after_the_change_is_waited_for() {
    let mut world = World::default();
    world.perform(Event::Open(OnLane::Other));
    assert!(world.go(0), "it is to go by the other lane");
    world.perform(Event::Open(OnLane::Own));
    assert!(world.go(1), "nothing has gone by the other lane");
    assert!(world.go(0), "it was taken there");
    assert!(!world.go(0), "it has seen that the other lane is left");
    assert!(!world.go(0), "its next message waits");
    world.perform(Event::HandOver(0));
    assert!(!world.go(0), "the peer has not said so");
    world.perform(Event::Acknowledge(0));
    assert!(world.go(0));
}

/// Both sides have dialled: the second session changes nothing, and takes over when the first has ended.
#[test]
fn a_second_session_of_the_lane_is_used_when_the_first_has_ended() {
    let mut world = World::default();
    for _ in 0..2 {
        world.perform(Event::Open(OnLane::Own));
        (0..3).for_each(|_| _ = world.go(0));
    }
    let n_taken = |world: &World| [0, 1].map(|index| world.sessions[index].1.n_taken());
    assert_eq!(n_taken(&world), [2, 0]);
    world.perform(Event::End(0, IsTold::Later));
    (0..3).for_each(|_| _ = world.go(0));
    assert_eq!(n_taken(&world), [2, 1]);
}

/// How many senders there are.
const SENDERS: u8 = 3;
