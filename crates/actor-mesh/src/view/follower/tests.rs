//! What it costs to follow a mesh, counted in how often what is known of it is told.

use std::cell::Cell;
use std::time::Duration;

use mesh_core::{Cause, Change, Epoch, MeshLabel, MeshRequest, Part, Reason, Refusal, Snapshot};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers};
use mesh_shape::{Rank, RankSet};
use tokio::time::timeout;

use super::*;
use crate::no_controller::NoController;

const RANKS: usize = 200;

const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static N_TOLD: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count() {
    N_TOLD.set(N_TOLD.get() + 1);
}

/// The controller of a mesh whose ranks have ended, one in each message, by the time that somebody subscribes.
struct Ended {
    label: MeshLabel,
    /// So many subscriptions are taken, and what is told of them is lost.
    n_lost: usize,
    /// Before any end is told, so many heartbeats come, one after the other.
    n_beats: usize,
}

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
        let beats = (0..self.n_beats).map(move |_| News::Heartbeat { period });
        let all = [News::Snapshot(none)].into_iter().chain(beats).chain(ended);
        let all = all.chain([News::Closed]);
        let mesh = self.label.clone();
        all.zip(0..).map(move |(news, seq)| {
            let (mesh, waited) = (mesh.clone(), Duration::ZERO);
            MeshEvent { mesh, reporter: Epoch::FIRST, seq, waited, part: Part::WHOLE, news }
        })
    }
}

impl Actor for Ended {
    const NAME: &'static str = "ended";
    type Params = Self;

    async fn start(ended: Self, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(ended)
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
        if self.n_lost > 0 {
            self.n_lost -= 1;
            return Ok(Ok(()));
        }
        let (events, deputy): (Vec<_>, _) = (self.events().collect(), cx.deputy());
        cx.attach(async move {
            for event in events {
                if matches!(event.news, News::Heartbeat { .. }) {
                    sleep(Duration::from_millis(10)).await;
                }
                to.cast(&deputy, event).await;
            }
            Ok(())
        });
        Ok(Ok(()))
    }
}

/// What is known of the mesh when it has been followed to its end.
async fn followed(n_lost: usize, n_beats: usize) -> Table {
    let mesh = MeshId::from_random(1);
    let proc = Proc::local().expect("there is a runtime");
    let label = MeshLabel::new(mesh, "ended", "actor");
    let controller = proc.spawn::<Ended>(Ended { label, n_lost, n_beats }).id();
    let (tell, known) = watch::channel(Table::default());
    let homes = Homes {
        controller: PortRef::<MeshRequest>::of(controller),
        keeper: PortRef::of(controller),
    };
    let run = Follower { proc, mesh, size: RANKS, homes, tell }.run();
    timeout(Duration::from_secs(60), run).await.expect("it has ended");
    known.borrow().clone()
}

fn have_all_ended(table: &Table) -> bool {
    let known = table.known.as_ref().expect("it was told");
    let has_ended = |rank| known.seen(Rank::new(rank)).is_some_and(|it| it.status.is_failure());
    (0..RANKS).all(has_ended)
}

/// H8: to tell costs what there is in the mesh, and is not done for each rank of it.
#[tokio::test(start_paused = true)]
async fn what_has_come_is_told_together() {
    assert!(have_all_ended(&followed(0, 0).await));
    assert!(N_TOLD.get() < 8, "it was told {} times", N_TOLD.get());
}

/// H8: nor for a heartbeat, which changes nothing.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_no_change() {
    assert!(have_all_ended(&followed(0, 100).await));
    assert!(N_TOLD.get() < 8, "it was told {} times", N_TOLD.get());
}

/// N5, N10, R1: that a subscription was taken is no word of the mesh yet. What is told of it may be lost with a session,
/// and then it is subscribed to again.
#[tokio::test(start_paused = true)]
async fn a_mesh_of_which_nothing_is_told_is_subscribed_to_again() {
    assert!(have_all_ended(&followed(2, 0).await));
}

/// N10: a controller that is asked again and again, and has never said anything, is told to be lost, until it does. Once is
/// not enough: whoever asks may have been suspended meanwhile.
#[tokio::test(start_paused = true)]
async fn a_controller_that_never_answers_is_lost_until_it_does() {
    for (n_lost, is_lost) in [(1, false), (4, true)] {
        let (mesh, begun) = (MeshId::from_random(1), Instant::now());
        let proc = Proc::local().expect("there is a runtime");
        let label = MeshLabel::new(mesh, "ended", "actor");
        let controller = proc.spawn::<Ended>(Ended { label, n_lost, n_beats: 0 }).id();
        let homes = Homes { controller: PortRef::of(controller), keeper: PortRef::of(controller) };
        let view = super::super::View::of(&proc, mesh, RANKS, homes);
        let mut table = view.watch();
        let told = |table: &Table| table.is_over || table.known.is_some() || view.is_lost(table);
        let first = table.wait_for(told).await.expect("it is followed").clone();
        assert_eq!((first.known.is_none(), first.is_settled()), (is_lost, true));
        if is_lost {
            assert_eq!(view.no_controller(&first, PATIENCE), NoController::Lost);
            assert!(begun.elapsed() >= proc.call_within(), "{:?}", begun.elapsed());
        }
        let last = table.wait_for(|table| table.known.is_some()).await.expect("it is followed");
        assert!(!view.is_lost(&last), "it has spoken");
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }
}

/// The controller of a mesh that more follow than may; it is counted how often somebody asks.
struct Full(watch::Sender<usize>);

impl Actor for Full {
    const NAME: &'static str = "full";
    type Params = watch::Sender<usize>;

    async fn start(asked: watch::Sender<usize>, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(asked))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Subscribe>();
    }
}

impl Handler<Subscribe> for Full {
    async fn handle(
        &mut self,
        _: Subscribe,
        _: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        self.0.send_modify(|n_asked| *n_asked += 1);
        Ok(Err(Refusal::TooMany { limit: 1 }))
    }
}

/// N5, N9: a controller that refuses is not said to be dead, and is not asked ten times a second for ever.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_is_no_silence() {
    let mesh = MeshId::from_random(1);
    let proc = Proc::local().expect("there is a runtime");
    let (count, n_asked) = watch::channel(0);
    let controller = proc.spawn::<Full>(count).id();
    let (tell, known) = watch::channel(Table::default());
    let homes = Homes {
        controller: PortRef::<MeshRequest>::of(controller),
        keeper: PortRef::of(controller),
    };
    let follower = Follower { proc, mesh, size: RANKS, homes, tell };
    assert!(timeout(PATIENCE, follower.run()).await.is_err(), "it goes on");

    let table = known.borrow();
    assert_eq!(table.refusal, Some(Refusal::TooMany { limit: 1 }));
    assert!(table.is_settled() && !table.is_over && table.silence.is_none());
    assert!((2..20).contains(&*n_asked.borrow()), "it was asked {} times", *n_asked.borrow());
}
