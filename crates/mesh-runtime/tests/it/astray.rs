//! astray: what was not handled, and cannot go back to who sent it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mesh_core::{ActorId, Doors, MeshId, Message, PortRef};
use mesh_runtime::{
    Actor, ActorRef, Context, Failure, Handler, Handlers, Network, NoWayBack, Port, Proc, Stop,
    Undelivered,
};
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::sleep;

/// Hangs at the first letter, or sends some and counts what comes back.
struct Clerk(Arc<AtomicUsize>);

#[derive(Serialize, Deserialize)]
struct Letter;

/// Sends so many letters there.
struct Write(PortRef<Letter>, usize);

macro_rules! message {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = concat!("astray.", stringify!($name));
            type Reply = ();
        }
    };
}

message!(Letter);
message!(Write);

impl Actor for Clerk {
    const NAME: &'static str = "clerk";
    type Params = Arc<AtomicUsize>;

    async fn start(came_back: Arc<AtomicUsize>, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(came_back))
    }

    async fn on_undelivered(
        &mut self,
        _: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Letter>();
    }
}

impl Handler<Letter> for Clerk {
    async fn handle(&mut self, _: Letter, _: &mut Context<Self>) -> Result<(), Failure> {
        std::future::pending().await
    }
}

impl Handler<Write> for Clerk {
    async fn handle(&mut self, Write(to, n): Write, cx: &mut Context<Self>) -> Result<(), Failure> {
        for _ in 0..n {
            to.cast(cx, Letter).await;
        }
        Ok(())
    }
}

/// One clerk has sent three letters to another, of which two are not begun.
struct Scene {
    net: FaultNet,
    /// The sender's first.
    networks: [Network; 2],
    doors: Doors,
    from: ActorId,
    to: ActorRef<Clerk>,
    /// How many letters have come back.
    came_back: Arc<AtomicUsize>,
    snapshotter: Snapshotter,
}

impl Scene {
    async fn set(snapshotter: Snapshotter) -> Self {
        let impatient = SessionConfig {
            resend: Duration::from_millis(10),
            resend_max: Duration::from_millis(20),
            keepalive: Duration::from_millis(20),
            delivery: Duration::from_millis(100),
            ..SessionConfig::default()
        };
        let net = FaultNet::with_config(1, Faults::none(), impatient);
        let network = |site| {
            let proc = Proc::local().expect("there is a runtime");
            Network::new(proc, Arc::new(net.transport(site)), 0)
        };
        let networks = ["here", "there"].map(network);
        let [here, there] = &networks;
        let at = "local://there".parse().expect("it is an address");
        let doors = there.listen(&at).await.expect("nobody else listens");
        here.dial(there.proc().peer(), &doors).await.expect("it listens");
        let came_back = Arc::default();
        let clerk = |network: &Network| network.proc().spawn::<Clerk>(Arc::clone(&came_back));
        let [from, to] = [here, there].map(clerk);
        from.call(here.proc(), Write(to.port(), 3)).await.expect("it sends them");
        sleep(Duration::from_secs(1)).await;
        let from = from.id();
        Self { net, networks, doors, from, to, came_back, snapshotter }
    }

    /// Two more, that others pass on to the one who hangs.
    async fn pass_on(&self) {
        let port = self.to.port::<Letter>();
        let of = (Some(self.from), MeshId::from_random(7));
        for _ in 0..2 {
            let proc = self.networks[1].proc();
            let taken = proc.cast_passed_on((port.actor(), port.port()), of, Bytes::new()).await;
            taken.expect("there is room");
        }
    }

    /// Two more are passed on, and then the session is lost: what has no way back goes here.
    async fn lose_what_was_passed_on(&self) -> UnboundedReceiver<Box<NoWayBack>> {
        self.pass_on().await;
        let (watcher, passes_on) = mpsc::unbounded_channel();
        self.networks[1].proc().watch_ways_back(watcher);
        self.net.part("here", "there");
        self.to.stop(Stop::Kill);
        passes_on
    }

    /// The sender opens a session again.
    async fn meet_again(&self) {
        self.net.join("here", "there");
        let [here, there] = &self.networks;
        here.dial(there.proc().peer(), &self.doors).await.expect("it listens");
    }

    /// Waits for so many seconds; then, how many letters have come back since the beginning, and how many more are known
    /// to be lost on their way.
    async fn after(&self, seconds: u64) -> (usize, u64) {
        sleep(Duration::from_secs(seconds)).await;
        let counters = self.snapshotter.snapshot().into_vec().into_iter();
        let lost = counters.filter_map(|(key, .., value)| match value {
            DebugValue::Counter(n) if key.key().name() == "meshwarden_lost_returns_total" => {
                Some(n)
            }
            _ => None,
        });
        (self.came_back.load(Ordering::Relaxed), lost.sum())
    }
}

/// Runs `work` on paused time, with a recorder of its own.
fn recorded(work: impl AsyncFnOnce(Scene)) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing");
        runtime.block_on(async { work(Scene::set(snapshotter).await).await });
    });
}

/// R3: there is no session with its sender any more, and none comes.
#[test]
fn what_finds_no_session_in_time_is_counted_as_lost() {
    recorded(async |scene| {
        scene.net.part("here", "there");
        sleep(Duration::from_secs(10)).await;
        scene.to.stop(Stop::Kill);
        assert_eq!(scene.after(55).await, (0, 0), "they may meet again");
        assert_eq!(scene.after(10).await, (0, 2));
    });
}

/// R3: the session is lost by which it was to come back, and none comes.
#[test]
fn what_is_on_its_way_back_by_a_session_that_is_lost_is_counted_as_lost() {
    recorded(async |scene| {
        scene.net.part("here", "there");
        scene.to.stop(Stop::Kill);
        assert_eq!(scene.after(70).await, (0, 2));
    });
}

/// R3: as when its process was suspended for longer than its sessions live.
#[test]
fn what_finds_no_session_comes_back_when_there_is_one() {
    recorded(async |scene| {
        scene.net.part("here", "there");
        sleep(Duration::from_secs(10)).await;
        scene.to.stop(Stop::Kill);
        sleep(Duration::from_secs(30)).await;
        scene.meet_again().await;
        assert_eq!(scene.after(100).await, (2, 0), "once, and never counted as lost");
    });
}

/// R3: nobody knows whether it has arrived, so it is sent again.
#[test]
fn what_is_on_its_way_back_by_a_session_that_is_lost_goes_by_the_next() {
    recorded(async |scene| {
        scene.net.part("here", "there");
        scene.to.stop(Stop::Kill);
        sleep(Duration::from_secs(10)).await;
        scene.meet_again().await;
        assert_eq!(scene.after(100).await, (2, 0));
    });
}

/// R3: what others have passed on goes back by way of others where the session is lost by which it was to, and no other one
/// comes soon; and so does what the same sender has sent to the same actor by that.
#[test]
fn what_came_by_way_of_others_goes_back_so_when_no_session_comes() {
    recorded(async |scene| {
        let mut passes_on = scene.lose_what_was_passed_on().await;
        assert_eq!(scene.after(8).await, (0, 0), "they may meet again");
        assert!(passes_on.try_recv().is_err());
        assert_eq!(scene.after(4).await, (0, 0));
        // Two that were passed on, of which none has begun, and the two that were there before.
        for _ in 0..4 {
            let back = passes_on.try_recv().expect("it goes this way");
            assert_eq!((back.to, back.of), (scene.from, scene.to.id()));
            assert_eq!(back.mesh, MeshId::from_random(7));
        }
        assert!(passes_on.try_recv().is_err(), "nothing twice");
    });
}

/// R3: by a session, if one comes.
#[test]
fn what_came_by_way_of_others_goes_back_by_the_next_session() {
    recorded(async |scene| {
        let mut passes_on = scene.lose_what_was_passed_on().await;
        sleep(Duration::from_secs(5)).await;
        scene.meet_again().await;
        assert_eq!(scene.after(100).await, (4, 0));
        assert!(passes_on.try_recv().is_err(), "nothing twice");
    });
}

/// R3: where nobody passes anything on it is counted as lost then.
#[test]
fn what_came_by_way_of_others_is_lost_where_nobody_passes_it_on() {
    recorded(async |scene| {
        scene.pass_on().await;
        scene.net.part("here", "there");
        scene.to.stop(Stop::Kill);
        assert_eq!(scene.after(55).await, (0, 0));
        assert_eq!(scene.after(10).await, (0, 4));
    });
}

/// R3: whoever has left meets nobody again.
#[test]
fn what_is_not_handled_in_a_process_that_has_left_is_counted_as_lost_at_once() {
    recorded(async |scene| {
        scene.networks[1].leave();
        scene.to.stop(Stop::Kill);
        assert_eq!(scene.after(1).await, (0, 2));
    });
}

/// R3: nor does it wait any longer for whom it would meet.
#[test]
fn what_waits_for_a_session_is_counted_as_lost_when_none_can_come() {
    let seconds = Duration::from_secs;
    for has_left in [true, false] {
        recorded(async |scene| {
            scene.net.part("here", "there");
            scene.to.stop(Stop::Kill);
            assert_eq!(scene.after(10).await, (0, 0));
            let [here, there] = &scene.networks;
            if has_left {
                there.leave();
            } else {
                there.hang_up(here.proc().peer());
            }
            assert_eq!(scene.after(1).await, (0, 2));
        });
    }
    recorded(async |scene| {
        scene.net.part("here", "there");
        sleep(seconds(10)).await;
        scene.networks[1].proc().stop(seconds(1)).await.expect("it ends");
        assert_eq!(scene.after(1).await, (0, 2), "with its actors");
    });
}

#[test]
fn what_comes_back_is_not_counted_as_lost() {
    recorded(async |scene| {
        scene.to.stop(Stop::Kill);
        assert_eq!(scene.after(100).await, (2, 0));
    });
}
