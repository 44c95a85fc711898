//! unsent: casts of which the sender knows at once that they cannot be delivered.

use std::sync::Arc;
use std::time::Duration;

use actor_mesh::{ActorMeshRef, NotSent, OneError, RankError};
use async_trait::async_trait;
use controller::Config;
use futures_util::FutureExt;
use mesh_core::{Lane, Message, Transport, WhyUndelivered};
use mesh_runtime::{Actor, Context, Failure, Handler, LocalTransport, Undelivered};
use mesh_shape::{Rank, RankSet};
use mesh_testkit::{Gate, Gated};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::support::{Crate, Hang, Heard, Say, Tool, World, all, soon};

/// What of the user's may be sent at most.
const MOST_BYTES: usize = 1_000;

struct Narrow;

#[async_trait]
impl Gate for Narrow {
    fn most_bytes(&self, lane: Lane) -> Option<usize> {
        (lane == Lane::Data).then_some(MOST_BYTES)
    }
}

/// A world in which nothing large can be sent.
async fn narrow(extent: &str) -> World {
    let board = LocalTransport::default();
    let transports = move || {
        let gated = Gated::new(Arc::new(board.another()), Arc::new(Narrow));
        Arc::new(gated) as Arc<dyn Transport>
    };
    World::with(extent, Config::local(), transports).await
}

/// A message that tools handle and do not name among those that they take.
#[derive(Clone, Serialize, Deserialize)]
struct Unnamed;

impl Message for Unnamed {
    const NAME: &'static str = "test.Unnamed";
    type Reply = ();
}

impl Handler<Unnamed> for Tool {
    async fn handle(&mut self, Unnamed: Unnamed, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// Casts what it is told to, and says what comes back.
pub(crate) struct Teller(mpsc::UnboundedSender<Undelivered>);

struct CastInVain(ActorMeshRef<Tool>);

impl Message for CastInVain {
    const NAME: &'static str = "test.CastInVain";
    type Reply = (NotSent, NotSent);
}

impl Actor for Teller {
    const NAME: &'static str = "teller";
    type Params = mpsc::UnboundedSender<Undelivered>;

    async fn start(back: Self::Params, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(back))
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

impl Handler<CastInVain> for Teller {
    async fn handle(
        &mut self,
        CastInVain(mesh): CastInVain,
        cx: &mut Context<Self>,
    ) -> Result<(NotSent, NotSent), Failure> {
        Ok((mesh.cast(cx, large()).await, mesh.cast(cx, Unnamed).await))
    }
}

fn large() -> Crate {
    Crate(vec![7; 2 * MOST_BYTES])
}

pub(crate) fn is_too_large(error: &RankError) -> bool {
    matches!(error, RankError::Undelivered(WhyUndelivered::TooLarge { .. }))
}

fn not_taken() -> RankError {
    RankError::NotTaken { actor: Tool::NAME, message: Unnamed::NAME }
}

/// How many messages were counted as undelivered since this was asked last: since they are too large, and since nobody
/// takes them.
pub(crate) fn counted(snapshotter: &Snapshotter) -> [u64; 2] {
    let all = snapshotter.snapshot().into_vec();
    ["too_large", "no_port"].map(|reason| {
        let of_reason = all.iter().filter(|(key, ..)| {
            let is_it = key.key().name() == "meshwarden_undelivered_messages_total";
            is_it && key.key().labels().any(|label| label.value() == reason)
        });
        let counts = of_reason.map(|(.., value)| match value {
            DebugValue::Counter(n) => *n,
            _ => 0,
        });
        counts.sum()
    })
}

pub(crate) fn run(work: impl AsyncFnOnce(&Snapshotter)) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime needs nothing").block_on(work(&snapshotter));
    });
}

/// R3: whoever casts directly is told which ranks a message is too large for, or who does not take it, whether it is a
/// program or an actor; that is counted once, and does not come back besides.
#[test]
fn what_is_known_not_to_be_delivered_is_not_sent() {
    run(async |snapshotter| {
        let world = narrow("procs=2").await;
        let (tools, two) = (world.tools().await, RankSet::from(0..2));
        counted(snapshotter);
        let sent_by_program = (
            soon(tools.cast(&world.proc, large())).await,
            soon(tools.cast(&world.proc, Unnamed)).await,
        );
        assert_eq!(counted(snapshotter), [2, 2]);
        let (back, mut returned) = mpsc::unbounded_channel();
        let teller = world.proc.spawn::<Teller>(back);
        let in_vain = soon(teller.call(&world.proc, CastInVain(tools.mesh_ref().clone()))).await;
        assert_eq!(counted(snapshotter), [2, 2]);
        let sent_by_actor = in_vain.expect("it answers");
        for (too_large, unnamed) in [sent_by_program, sent_by_actor] {
            assert_eq!((too_large.ranks(), unnamed.ranks()), (two.clone(), two.clone()));
            assert!(too_large.iter().all(|(_, error)| is_too_large(error)), "{too_large:?}");
            assert!(unnamed.iter().all(|(_, error)| *error == not_taken()), "{unnamed:?}");
        }
        // What had come back to the actor would be handled before this.
        let again = soon(teller.call(&world.proc, CastInVain(tools.mesh_ref().clone()))).await;
        assert_eq!(again.map(|(too_large, _)| too_large.ranks()), Ok(two));
        assert!(returned.try_recv().is_err(), "it was told once");
    });
}

/// R2, R3: of messages of their own only those are not sent that are too large, and one of many says so, too.
#[test]
fn who_can_be_sent_its_message_is_sent_it() {
    run(async |snapshotter| {
        let world = narrow("procs=2").await;
        let (tools, proc) = (world.tools().await, &world.proc);
        let said = soon(tools.cast(proc, Say(1))).await;
        assert_eq!(said.complete(), Ok(()));
        counted(snapshotter);
        let sizes = [1, 2 * MOST_BYTES];
        let not_sent =
            soon(tools.scatter(proc, |point| Crate(vec![7; sizes[point.rank().index()]])));
        let not_sent = not_sent.await;
        assert_eq!(not_sent.ranks(), RankSet::from(1..2));
        let one = soon(tools.at(Rank::new(0)).cast(proc, large())).await;
        let Err(OneError::Rank { rank, why }) = one else { panic!("{one:?}") };
        assert_eq!((rank, is_too_large(&why)), (Rank::new(0), true));
        assert_eq!(counted(snapshotter), [2, 0]);
        assert_eq!(all(&soon(tools.call(proc, Heard)).await), [[1], [1]]);
    });
}

/// R3: also of a cast that is let go of while it waits for others.
#[test]
fn who_was_not_sent_what_nobody_waits_for_is_counted() {
    run(async |snapshotter| {
        let world = narrow("procs=2").await;
        let (tools, proc) = (world.tools().await, &world.proc);
        let first = tools.slice("procs", 0..1).expect("there is one");
        soon(first.cast(proc, Hang)).await.complete().expect("it is sent");
        let within = Duration::from_millis(50);
        while first.cast(proc, Say(1)).within(within).await.is_empty() {}
        counted(snapshotter);
        let sizes = [1, 2 * MOST_BYTES];
        let mut waits = tools.scatter(proc, |point| Crate(vec![7; sizes[point.rank().index()]]));
        assert!((&mut waits).now_or_never().is_none(), "there is no room");
        drop(waits);
        assert_eq!(counted(snapshotter), [1, 0]);
    });
}

/// R3: a mesh with a tree is not sent either what its actors do not take.
#[tokio::test]
async fn what_nobody_takes_is_cast_to_nobody() {
    let world = crate::support::world("procs=5").await;
    let tools = world.tools().await;
    let not_sent = soon(tools.cast(&world.proc, Unnamed)).await;
    assert_eq!(not_sent.ranks(), RankSet::from(0..5));
    assert!(not_sent.iter().all(|(_, error)| *error == not_taken()), "{not_sent:?}");
}
