//! astray: what was not handled, and cannot go back to who sent it.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::{Message, PortRef};
use mesh_runtime::{
    Actor, ActorRef, Context, Failure, Handler, Handlers, Network, Port, Proc, Stop,
};
use mesh_testkit::fault_net::{FaultNet, Faults, SessionConfig};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// Hangs at the first letter, or sends some.
struct Clerk;

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
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
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
    _networks: [Network; 2],
    to: ActorRef<Clerk>,
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
        let [from, to] = [here, there].map(|network| network.proc().spawn::<Clerk>(()));
        from.call(here.proc(), Write(to.port(), 3)).await.expect("it sends them");
        sleep(Duration::from_secs(1)).await;
        Self { net, _networks: networks, to, snapshotter }
    }

    /// How many letters are known to be lost on their way back.
    async fn n_lost(self) -> u64 {
        sleep(Duration::from_secs(10)).await;
        let counters = self.snapshotter.snapshot().into_vec().into_iter();
        let lost = counters.filter_map(|(key, .., value)| match value {
            DebugValue::Counter(n) if key.key().name() == "meshwarden_lost_returns_total" => {
                Some(n)
            }
            _ => None,
        });
        lost.sum()
    }
}

/// Runs `work` on paused time, with a recorder of its own.
fn recorded<T>(work: impl AsyncFnOnce(Scene) -> T) -> T {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing");
        runtime.block_on(async { work(Scene::set(snapshotter).await).await })
    })
}

/// R3: there is no session with its sender any more.
#[test]
fn what_finds_no_session_is_counted_as_lost() {
    let n_lost = recorded(async |scene| {
        scene.net.part("here", "there");
        sleep(Duration::from_secs(10)).await;
        scene.to.stop(Stop::Kill);
        scene.n_lost().await
    });
    assert_eq!(n_lost, 2);
}

/// R3: the session is lost by which it was to come back.
#[test]
fn what_is_on_its_way_back_by_a_session_that_is_lost_is_counted_as_lost() {
    let n_lost = recorded(async |scene| {
        scene.net.part("here", "there");
        scene.to.stop(Stop::Kill);
        scene.n_lost().await
    });
    assert_eq!(n_lost, 2);
}

#[test]
fn what_comes_back_is_not_counted_as_lost() {
    let n_lost = recorded(async |scene| {
        scene.to.stop(Stop::Kill);
        scene.n_lost().await
    });
    assert_eq!(n_lost, 0);
}
