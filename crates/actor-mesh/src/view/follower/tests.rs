//! What it costs to follow a mesh, counted in how often what is known of it is told.

use std::cell::Cell;
use std::time::Duration;

use mesh_core::{Cause, Change, Epoch, MeshLabel, MeshRequest, Reason, Refusal, Snapshot};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers};
use mesh_shape::{Rank, RankSet};

use super::*;

const RANKS: usize = 200;

thread_local! {
    static N_TOLD: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count() {
    N_TOLD.set(N_TOLD.get() + 1);
}

/// The controller of a mesh whose ranks have ended, one in each message, by the time that somebody subscribes.
struct Ended(MeshLabel);

impl Ended {
    fn events(&self) -> impl Iterator<Item = MeshEvent> {
        let period = Duration::from_secs(1);
        let (failed, stopped, alive) = (Vec::new(), Vec::new(), Vec::new());
        let (is_stopping, stop_reason, lagged) = (false, None, false);
        let none = Snapshot { period, failed, stopped, alive, is_stopping, stop_reason, lagged };
        let ended = (0..RANKS).map(|rank| {
            let status = Status::failed(Cause::new(Reason::Exit { code: 1 }));
            let (ranks, incarnation) = (RankSet::from(rank..rank + 1), Incarnation::FIRST);
            let age = Duration::ZERO;
            News::Changed([Change { ranks, incarnation, status, restart_in: None, age }].into())
        });
        let all = [News::Snapshot(none)].into_iter().chain(ended).chain([News::Closed]);
        let mesh = self.0.clone();
        all.zip(0..).map(move |(news, seq)| {
            let (mesh, waited) = (mesh.clone(), Duration::ZERO);
            MeshEvent { mesh, reporter: Epoch::FIRST, seq, waited, news }
        })
    }
}

impl Actor for Ended {
    const NAME: &'static str = "ended";
    type Params = MeshLabel;

    async fn start(label: MeshLabel, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(label))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Subscribe>();
    }
}

impl Handler<Subscribe> for Ended {
    async fn handle(
        &mut self,
        Subscribe { to, .. }: Subscribe,
        cx: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        for event in self.events() {
            to.cast(cx, event).await;
        }
        Ok(Ok(()))
    }
}

/// H8: to tell costs what there is in the mesh, and is not done for each rank of it.
#[tokio::test(start_paused = true)]
async fn what_has_come_is_told_together() {
    let mesh = MeshId::from_random(1);
    let proc = Proc::local().expect("there is a runtime");
    let controller = proc.spawn::<Ended>(MeshLabel::new(mesh, "ended", "actor")).id();
    let (tell, known) = watch::channel(Table::default());
    let homes = Homes {
        controller: PortRef::<MeshRequest>::of(controller),
        keeper: PortRef::of(controller),
    };
    Follower { proc, mesh, size: RANKS, homes, tell }.run().await;

    let table = known.borrow();
    let known = table.known.as_ref().expect("it was told");
    let has_ended = |rank| known.seen(Rank::new(rank)).is_some_and(|it| it.status.is_failure());
    assert!((0..RANKS).all(has_ended));
    assert!(N_TOLD.get() < 8, "it was told {} times", N_TOLD.get());
}
