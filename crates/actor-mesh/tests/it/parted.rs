//! parted: who watches a mesh from a process that is cut off from its controller, for longer than their sessions last.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use controller::Config;
use mesh_core::{Change, Doors, Incarnation, Interest, MeshEvent, News, Transport, Trouble};
use mesh_runtime::{Network, Proc};
use mesh_shape::RankSet;
use mesh_testkit::fault_net::{FaultNet, Faults};
use supervise::MeshEvents;
use tokio::time::{sleep, timeout};

use crate::support::{Panic, World, on_failure, soon, tens};

/// Reads until it is so.
async fn until(events: &mut MeshEvents, is_so: impl Fn(&MeshEvent) -> bool) -> MeshEvent {
    let patience = Duration::from_secs(60);
    let found = timeout(patience, async {
        loop {
            let event = events.next().await.expect("it goes on");
            if is_so(&event) {
                return event;
            }
        }
    });
    found.await.expect("it does not take that long")
}

/// A mesh, and a process beside it that has a session with its owner.
struct Parted {
    net: FaultNet,
    world: World,
    guest: Network,
    doors: Doors,
}

impl Parted {
    async fn new() -> Self {
        let net = FaultNet::new(1, Faults::none());
        let (sites, made) = (net.clone(), AtomicUsize::new(0));
        let transports = move || {
            let site = format!("site-{}", made.fetch_add(1, Ordering::Relaxed));
            Arc::new(sites.transport(&site)) as Arc<dyn Transport>
        };
        let world = World::with("procs=4", Config::local(), transports).await;
        let guest = Proc::local().expect("there is a runtime");
        let guest = Network::new(guest, Arc::new(net.transport("guest")), 0);
        let at = "local://guest".parse().expect("it is an address");
        let doors = guest.listen(&at).await.expect("nobody else is there");
        let parted = Self { net, world, guest, doors };
        parted.meet().await;
        parted
    }

    fn owner(&self) -> Network {
        Network::of(&self.world.proc).expect("it has one")
    }

    async fn meet(&self) {
        let peer = self.guest.proc().peer();
        self.owner().dial(peer, &self.doors).await.expect("it listens");
    }

    /// Until their session is lost; and then there is another one.
    async fn part_during(&self, work: impl Future<Output = ()>) {
        self.net.part("guest", "site-0");
        work.await;
        sleep(Duration::from_secs(20)).await;
        assert!(!self.owner().may_meet(self.guest.proc().peer()), "their session is lost");
        self.net.join("guest", "site-0");
        self.meet().await;
    }
}

fn is_lost(event: &MeshEvent) -> bool {
    event.news == News::Trouble(Trouble::ControllerLost)
}

/// N2, N5, N7, N10: a subscription that was lost with a session is made again where there is another one: what has ended
/// meanwhile is told, and what ends later.
#[tokio::test(start_paused = true)]
async fn who_was_cut_off_hears_of_a_mesh_again() {
    let parted = Parted::new().await;
    let (world, guest) = (&parted.world, parted.guest.proc());
    let tools = world.tools().await;
    let mut events = soon(tools.events(guest)).await.expect("it is told");
    let mut others = soon(tools.events(guest)).await.expect("it is told");
    let while_parted = async {
        for events in [&mut events, &mut others] {
            until(events, is_lost).await;
        }
        // Whoever does not read on has nobody subscribe again.
        drop(others);
        soon(tools.cast(&world.proc, Panic(10))).await.complete().expect("it is sent");
    };
    parted.part_during(while_parted).await;

    let again = until(&mut events, |event| matches!(event.news, News::Snapshot(_))).await;
    let News::Snapshot(all) = again.news else { panic!("it is one") };
    let failed: Vec<_> = all.failed.iter().flat_map(|it| it.ranks.iter()).collect();
    assert_eq!((failed.len(), failed[0].index(), all.lagged), (1, 1, true));
    let not_sent = soon(tools.cast(&world.proc, Panic(20))).await;
    assert_eq!(not_sent.len(), 1, "to who has ended: {not_sent:?}");
    let mut told = BTreeMap::new();
    let next = until(&mut events, |event| matches!(&event.news, News::Changed(_))).await;
    let News::Changed(changes) = next.news else { panic!("it is one") };
    for change in changes.iter() {
        told.extend(change.ranks.iter().map(|rank| (rank.index(), change.status.is_failure())));
    }
    assert_eq!(told, [(2, true)].into());
}

/// N2, N7: who wants to know of ends alone, and was cut off, sees of which lives it has not heard how they ended.
#[tokio::test(start_paused = true)]
async fn who_was_cut_off_sees_which_lives_it_has_missed() {
    let parted = Parted::new().await;
    let (world, guest) = (&parted.world, parted.guest.proc());
    let tools = world.spawn(tens("tools").restart(on_failure())).await;
    let mut ends =
        soon(tools.mesh_ref().subscribe(guest, Interest::Terminal)).await.expect("it is told");
    let while_parted = async {
        until(&mut ends, is_lost).await;
        soon(tools.cast(&world.proc, Panic(10))).await.complete().expect("it is sent");
    };
    parted.part_during(while_parted).await;
    let is_missed = |event: &MeshEvent| match &event.news {
        News::Snapshot(all) => {
            let second = |it: &Change| it.incarnation > Incarnation::FIRST;
            all.lagged && all.alive.iter().any(|it| second(it) && it.ranks == RankSet::from(1..2))
        }
        _ => false,
    };
    until(&mut ends, is_missed).await;
}
