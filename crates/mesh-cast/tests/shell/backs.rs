//! backs: what the process of a rank has cast to others, and they have taken and not handled, comes back to it, whatever
//! becomes of those on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_cast::Kind;
use mesh_cast::shell::{CasterRef, Seat, Table};
use mesh_core::{ActorId, WhyUndelivered};
use mesh_runtime::{Actor, ActorRef, Context, Failure, Stop, Undelivered};
use mesh_shape::Rank;
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::impatient;
use crate::world::{Later, Tally, Tell, World, site};

/// The last one casts to so many.
const OTHERS: usize = 6;

/// Longer than a test takes, in seconds.
const LONG: u64 = 100_000;

/// Says what comes back.
struct Teller(mpsc::UnboundedSender<Undelivered>);

impl Actor for Teller {
    const NAME: &'static str = "teller";
    type Params = mpsc::UnboundedSender<Undelivered>;

    async fn start(tell: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(tell))
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.send(undelivered).expect("the test listens");
        Ok(())
    }
}

/// The last process has cast to all others, by two forwarders; there a message waits behind one that is handled for
/// long.
///
/// ```text
///        6
///      /   \
///     0     3
///    / \   / \
///   1   2 4   5
/// ```
struct Scene {
    net: FaultNet,
    world: World,
    _teller: ActorRef<Teller>,
    returned: mpsc::UnboundedReceiver<Undelivered>,
}

impl Scene {
    async fn set() -> Self {
        Self::on(FaultNet::with_config(1, Faults::none(), impatient())).await
    }

    async fn on(net: FaultNet) -> Self {
        let mut world = World::new(&net, OTHERS + 1, 2).await;
        let last = world.networks[OTHERS].proc().clone();
        let (tell, returned) = mpsc::unbounded_channel();
        let teller = last.spawn::<Teller>(tell);
        world.from = Some(teller.id());
        world.caster = CasterRef::of(&last, world.table.mesh);
        last.will_pass_on::<Tell>();
        let scene = Self { net, world, _teller: teller, returned };
        drop(scene.world.post(Kind::Cast, &Later(LONG), Some(0..OTHERS)).await);
        scene.tell(1).await;
        scene
    }

    /// Casts one more to all others.
    async fn tell(&self, number: u64) {
        drop(self.world.post(Kind::Cast, &Tell(number), Some(0..OTHERS)).await);
        sleep(Duration::from_millis(500)).await;
    }

    /// In a new table another actor is that rank; the first one is still what it was.
    async fn replace(&mut self, rank: usize) -> ActorRef<Tally> {
        let next = self.world.networks[rank].proc().spawn::<Tally>(());
        let known = Table::clone(&self.world.table);
        let seats = (0..=OTHERS).filter_map(|at| {
            let seat = known.seats.get(Rank::new(at)).copied()?;
            let actor = if at == rank { Some(next.id().index) } else { seat.actor };
            Some(Seat { actor, ..seat })
        });
        let (version, seats) = (known.version + 1, seats.collect());
        self.world.table = Arc::new(Table { version, seats, ..known });
        next
    }

    /// The actors of these ranks end: what they have not handled goes back.
    fn end(&self, ranks: &[usize]) {
        ranks.iter().for_each(|rank| self.world.tallies[*rank].stop(Stop::Kill));
    }

    /// All that has come back within so long: of whom, and what.
    async fn returned(&mut self, within: Duration) -> BTreeMap<ActorId, Vec<u64>> {
        sleep(within).await;
        let mut returned = BTreeMap::<_, Vec<_>>::new();
        while let Ok(undelivered) = self.returned.try_recv() {
            let (of, why) = (undelivered.to, undelivered.why);
            assert_eq!(why, WhyUndelivered::Ended);
            let Tell(number) = undelivered.decode().expect("nothing else was not handled");
            returned.entry(of).or_default().push(number);
        }
        returned
    }

    fn of(&self, ranks: &[usize]) -> BTreeMap<ActorId, Vec<u64>> {
        ranks.iter().map(|rank| (self.world.tallies[*rank].id(), vec![1])).collect()
    }
}

/// Less than what was passed on is waited for where its session is open.
const PATIENCE: Duration = Duration::from_secs(9);

/// Longer than a way is looked for in vain.
const SOON: Duration = Duration::from_secs(30);

/// R3: to each its own, once.
#[tokio::test(start_paused = true)]
async fn what_was_not_handled_comes_back_from_relay_to_relay() {
    let mut scene = Scene::set().await;
    scene.end(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(scene.returned(SOON).await, scene.of(&[0, 1, 2, 3, 4, 5]));
}

/// R3: a relay that has taken something over is killed before it could pass it on.
#[tokio::test(start_paused = true)]
async fn what_a_relay_has_when_it_is_killed_goes_another_way() {
    let mut scene = Scene::set().await;
    scene.net.part(&site(0), &site(OTHERS as u64));
    scene.end(&[1, 2]);
    // By now it has it; and it does not know yet that its session is lost.
    sleep(Duration::from_millis(50)).await;
    scene.net.crash(&site(0));
    // By word of the session, and not because nothing was said for long.
    assert_eq!(scene.returned(PATIENCE).await, scene.of(&[1, 2]));
}

/// R3: a relay is suspended, and its sessions are open all the time.
#[tokio::test(start_paused = true)]
async fn what_a_suspended_relay_has_goes_another_way() {
    let patient = SessionConfig { delivery: SOON * 10, ..SessionConfig::default() };
    let mut scene = Scene::on(FaultNet::with_config(1, Faults::none(), patient)).await;
    scene.net.pause(&site(0));
    scene.end(&[1, 2]);
    assert_eq!(scene.returned(SOON).await, scene.of(&[1, 2]));
    scene.net.resume(&site(0));
    assert_eq!(scene.returned(SOON).await, BTreeMap::new(), "once");
}

/// R3: a session is lost when something has arrived by it, and nobody knows that: it is passed on again, and comes back
/// once.
#[tokio::test(start_paused = true)]
async fn what_has_arrived_when_a_session_is_lost_comes_back_once() {
    let mut scene = Scene::set().await;
    // What it is sent arrives, and nothing that it says does.
    scene.net.cut(&site(OTHERS as u64), &site(0));
    scene.end(&[1, 2]);
    assert_eq!(scene.returned(SOON).await, scene.of(&[1, 2]));
}

/// R3, RS1: an actor is started again, and all know that, before what it had not handled goes back.
#[tokio::test(start_paused = true)]
async fn what_an_actor_has_left_to_its_successor_comes_back() {
    let mut scene = Scene::set().await;
    let next = scene.replace(2).await;
    scene.tell(2).await;
    scene.end(&[2]);
    assert_eq!(scene.returned(SOON).await, scene.of(&[2]), "and the second it handles");
    next.stop(Stop::Kill);
}

/// R3: a process casts in the name of an actor of another one. That is given nothing back that it has not sent.
#[tokio::test(start_paused = true)]
async fn nobody_is_given_back_what_others_cast_in_his_name() {
    let mut scene = Scene::set().await;
    scene.world.caster = CasterRef::of(scene.world.caller(), scene.world.table.mesh);
    scene.tell(9).await;
    scene.end(&[1, 2]);
    assert_eq!(scene.returned(SOON).await, scene.of(&[1, 2]));
}

/// Who casts is no rank of the mesh; at each of three ranks one message of his waits behind one that is handled for long.
struct Outsider {
    net: FaultNet,
    world: World,
    returned: mpsc::UnboundedReceiver<Undelivered>,
    lost: Snapshotter,
    _recorded: metrics::LocalRecorderGuard<'static>,
}

impl Outsider {
    async fn set() -> Self {
        let recorder: &'static DebuggingRecorder = Box::leak(Box::default());
        let (recorded, lost) =
            (metrics::set_default_local_recorder(recorder), recorder.snapshotter());
        let net = FaultNet::with_config(1, Faults::none(), impatient());
        let mut world = World::new(&net, 3, 2).await;
        let (tell, returned) = mpsc::unbounded_channel();
        let teller = world.caller().spawn::<Teller>(tell);
        world.caller().will_pass_on::<Tell>();
        world.from = Some(teller.id());
        drop(world.post(Kind::Cast, &Later(LONG), None).await);
        drop(world.post(Kind::Cast, &Tell(1), None).await);
        sleep(Duration::from_secs(1)).await;
        Self { net, world, returned, lost, _recorded: recorded }
    }

    /// The ranks have sessions with each other: each has cast to the next.
    async fn meet_each_other(&self) {
        let world = &self.world;
        for from in 0..3 {
            let to = (from + 1) % 3;
            let caster = CasterRef::of(world.networks[from].proc(), world.table.mesh);
            let cast = world.cast(Kind::Cast, &Later(LONG), Some(to..to + 1));
            drop(caster.cast(cast).await.expect("there is room"));
        }
        sleep(Duration::from_secs(1)).await;
    }

    /// He is cut off from all of them, until no session is left.
    async fn is_cut_off(&self) {
        (0..3).for_each(|rank| self.net.part("caller", &site(rank)));
        sleep(Duration::from_secs(5)).await;
    }

    /// The second has ended, with what it has not handled.
    fn one_ends(&self) {
        self.world.tallies[1].stop(Stop::Kill);
    }

    /// He has a session with one of them again.
    async fn meets(&self, rank: usize) {
        self.net.join("caller", &site(rank as u64));
        self.world.meet_again(rank).await;
    }

    fn n_lost(&self) -> u64 {
        n_lost(&self.lost)
    }
}

/// R3: who has sent it is no rank of the mesh and has gone, and three relays that have sessions with each other pass it
/// on round and round: it is given up, counted once, and none of them waits for the next for ever.
#[tokio::test(start_paused = true)]
async fn what_goes_round_among_relays_is_given_up() {
    let scene = Outsider::set().await;
    scene.meet_each_other().await;
    scene.net.crash("caller");
    sleep(Duration::from_secs(1)).await;
    scene.one_ends();
    sleep(SOON).await;
    assert_eq!(scene.n_lost(), 0, "who has sent it may come back");
    sleep(3 * SOON).await;
    assert_eq!(scene.n_lost(), 1);
    // What any of them still keeps is counted when it ends.
    let Outsider { world, lost, _recorded, .. } = scene;
    drop(world);
    sleep(SOON).await;
    assert_eq!(n_lost(&lost), 0, "since then");
}

/// R3: who has sent it is no rank of the mesh and was cut off from all of it for longer than any session lives: nobody can
/// pass it on, and it comes back when the two are met again.
#[tokio::test(start_paused = true)]
async fn what_is_stuck_goes_back_when_its_sender_is_met_again() {
    let mut scene = Outsider::set().await;
    scene.is_cut_off().await;
    scene.one_ends();
    sleep(SOON).await;
    assert!(scene.returned.try_recv().is_err(), "there is no way");
    scene.meets(1).await;
    sleep(Duration::from_secs(2)).await;
    let undelivered = scene.returned.try_recv().expect("it has come back");
    assert_eq!(undelivered.to, scene.world.tallies[1].id());
    sleep(3 * SOON).await;
    assert!(scene.returned.try_recv().is_err(), "once");
    assert_eq!(scene.n_lost(), 0);
}

/// R3: a relay that has taken over what was not handled in another process, and has a session with who sent it, does not
/// send it by that, where nobody would believe it: it is counted if no relay can bring it. So it is where it was not handled.
#[tokio::test(start_paused = true)]
async fn what_a_relay_has_taken_over_is_not_dropped_without_a_word() {
    let mut scene = Outsider::set().await;
    scene.meet_each_other().await;
    scene.is_cut_off().await;
    // From the second it goes to the first, and from there to the third, which says nothing of it.
    scene.net.pause(&site(2));
    scene.one_ends();
    sleep(Duration::from_millis(20)).await;
    [0, 2].into_iter().for_each(|rank| scene.net.part(&site(1), &site(rank)));
    sleep(Duration::from_secs(1)).await;
    scene.meets(0).await;
    sleep(SOON * 6).await;
    let n_returned = usize::from(scene.returned.try_recv().is_ok());
    assert_eq!((n_returned, scene.n_lost()), (0, 2));
}

/// How many are counted as lost since that was asked last.
fn n_lost(counted: &Snapshotter) -> u64 {
    let all = counted.snapshot().into_vec().into_iter();
    let lost = all.filter(|(key, ..)| key.key().name() == "meshwarden_lost_returns_total");
    let lost = lost.filter_map(|(.., value)| match value {
        DebugValue::Counter(n) => Some(n),
        DebugValue::Gauge(_) | DebugValue::Histogram(_) => None,
    });
    lost.sum()
}
