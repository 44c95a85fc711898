//! What is known of a rank, by what is heard of it.

use std::time::Duration;

use mesh_core::{Cause, Epoch, MeshEvent, MeshLabel, Part, Reason, Refusal, Snapshot, Subscribe};
use mesh_runtime::{Actor, Context, Failure, Handler, Handlers, Port};
use tokio::time::{Instant, timeout};

use super::*;
use crate::no_controller::NoController;

/// What is known of one rank at first.
fn unknown() -> Known {
    let (incarnation, status) = (Incarnation::FIRST, Status::Initializing);
    let unknown = Seen { incarnation, status, member: None, before: Arc::default() };
    let ranks = ValueMesh::uniform(1, unknown);
    Known { procs: None, ranks, homes: ValueMesh::uniform(1, None), table: None }
}

fn is_now(life: u64, status: Status) -> Change {
    let (ranks, incarnation) = (RankSet::from(0..1), Incarnation::new(life));
    Change { ranks, incarnation, status, restart_in: None, age: Duration::ZERO }
}

fn exited(code: i32) -> Status {
    Status::failed(Cause::new(Reason::Exit { code }))
}

/// R1: however many lives end before anybody looks, whoever has called one of the last is told how that has ended.
#[test]
fn it_is_known_how_the_lives_before_have_ended() {
    let mut known = unknown();
    let lives = (0..20_u64).flat_map(|life| {
        [is_now(life, Status::Running), is_now(life, exited(i32::try_from(life).unwrap()))]
    });
    known.hear(&News::Changed(lives.collect()));
    let seen = known.seen(Rank::new(0)).expect("there is one");
    let end_of = |life| seen.end_of(Incarnation::new(life)).map(|end| end.status().clone());
    let known: Vec<_> = (0..20).filter_map(end_of).collect();
    let newest: Vec<_> = (11..20).map(exited).collect();
    assert_eq!(known, newest, "eight, and that of the present life");
}

/// A controller that tells its first subscriber that a rank runs, and hangs when it is asked where.
struct Mute(MeshLabel);

const PERIOD: Duration = Duration::from_secs(1);

impl Actor for Mute {
    const NAME: &'static str = "mute";
    type Params = MeshLabel;

    async fn start(label: MeshLabel, _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(label))
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Subscribe>().takes::<GetMembers>();
    }
}

impl Handler<Subscribe> for Mute {
    async fn handle(
        &mut self,
        Subscribe { to, .. }: Subscribe,
        cx: &mut Context<Self>,
    ) -> Result<Result<(), Refusal>, Failure> {
        let (failed, stopped) = (Vec::new(), Vec::new());
        let alive = vec![is_now(0, Status::Running)];
        let (period, is_stopping, stop_reason, lagged) = (PERIOD, false, None, false);
        let all = Snapshot { period, failed, stopped, alive, is_stopping, stop_reason, lagged };
        let (mesh, waited, news) = (self.0.clone(), Duration::ZERO, News::Snapshot(all));
        to.cast(
            cx,
            MeshEvent { mesh, reporter: Epoch::FIRST, seq: 0, waited, part: Part::WHOLE, news },
        )
        .await;
        Ok(Ok(()))
    }
}

impl Handler<GetMembers> for Mute {
    async fn handle(&mut self, _: GetMembers, _: &mut Context<Self>) -> Result<Members, Failure> {
        std::future::pending().await
    }
}

/// R1, N10: whoever waits for the first word of where the ranks are is let go when the controller is told to be lost, and so
/// is whoever comes while it is.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_controller_that_is_lost() {
    let (mesh, proc) = (MeshId::from_random(1), Proc::local().expect("there is a runtime"));
    let mute = proc.spawn::<Mute>(MeshLabel::new(mesh, "mute", "actor")).id();
    let homes = Homes { controller: PortRef::of(mute), keeper: PortRef::of(mute) };
    let (view, begun) = (View::of(&proc, mesh, 1, homes), Instant::now());
    for within in [PERIOD * 4, Duration::ZERO] {
        let mut table = view.watch();
        let known = timeout(within, view.known(&mut table)).await;
        assert!(known.is_ok_and(|known| known.is_none()), "nobody says where they are");
        let why = view.no_controller(&table.borrow(), within);
        assert_eq!(why, NoController::Lost);
    }
    assert!(begun.elapsed() > PERIOD * 2, "{:?}", begun.elapsed());
}
