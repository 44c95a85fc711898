//! owners: actors that own meshes are asked about what fails in them, and fail with what they do not handle.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorMeshRef, ActorSpec, Missing, OwnedMesh};
use mesh_core::{Failures, Message, Procs, Progress, RestartConfig};
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handler, Proc, ProcConfig, Verdict};
use mesh_shape::Rank;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::support::{Add, Panic, SOON, Tool, World, all, on_failure, soon, tens};

/// What was told, each time all ranks that were told together.
type Told = Arc<Mutex<Vec<Vec<usize>>>>;

struct Plan {
    procs: Arc<dyn Procs>,
    spec: ActorSpec<Tool>,
    answer: Result<Verdict, &'static str>,
    told: Told,
}

/// Owns tools, and answers as it is told to.
struct Boss {
    tools: OwnedMesh<Tool>,
    answer: Result<Verdict, &'static str>,
    told: Told,
}

impl Actor for Boss {
    const NAME: &'static str = "boss";
    const MAILBOX: usize = 2;
    type Params = Plan;

    async fn start(plan: Plan, cx: &mut Context<Self>) -> Result<Self, Failure> {
        let Plan { procs, spec, answer, told } = plan;
        let tools = ActorMesh::spawn(cx, &procs, spec).await?.owned_by(cx);
        Ok(Self { tools, answer, told })
    }

    async fn on_mesh_failure(
        &mut self,
        failures: Failures,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        let ranks = failures.each().map(|(rank, _)| rank.index()).collect();
        self.told.lock().expect("nobody panics with it").push(ranks);
        self.answer.map_err(Failure::new)
    }
}

/// Says which mesh it owns.
struct WhichMesh;

impl Message for WhichMesh {
    const NAME: &'static str = "test.WhichMesh";
    type Reply = ActorMeshRef<Tool>;
}

impl Handler<WhichMesh> for Boss {
    async fn handle(
        &mut self,
        _: WhichMesh,
        _: &mut Context<Self>,
    ) -> Result<ActorMeshRef<Tool>, Failure> {
        Ok(self.tools.mesh_ref().clone())
    }
}

/// Waits until so many failures were told; nothing can be handled meanwhile.
struct Busy(mpsc::UnboundedReceiver<()>);

impl Message for Busy {
    const NAME: &'static str = "test.Busy";
    type Reply = ();
}

impl Handler<Busy> for Boss {
    async fn handle(&mut self, mut busy: Busy, _: &mut Context<Self>) -> Result<(), Failure> {
        _ = busy.0.recv().await;
        Ok(())
    }
}

/// The same, and says nothing about failures.
struct Silent(OwnedMesh<Tool>);

impl Actor for Silent {
    const NAME: &'static str = "silent";
    type Params = Plan;

    async fn start(plan: Plan, cx: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self(ActorMesh::spawn(cx, &plan.procs, plan.spec).await?.owned_by(cx)))
    }
}

impl Handler<WhichMesh> for Silent {
    async fn handle(
        &mut self,
        _: WhichMesh,
        _: &mut Context<Self>,
    ) -> Result<ActorMeshRef<Tool>, Failure> {
        Ok(self.0.mesh_ref().clone())
    }
}

/// A program, what its root is told, and what its boss is.
struct Office {
    world: World,
    reports: mpsc::UnboundedReceiver<String>,
    told: Told,
}

impl Office {
    async fn new() -> Self {
        let (report, reports) = mpsc::unbounded_channel();
        let on_failure = Box::new(move |failure: &mesh_runtime::ChildFailure| {
            _ = report.send(failure.report().to_string()).is_ok();
        });
        let config = ProcConfig { on_failure, ..ProcConfig::local() };
        let world = World::on(Proc::start(config, Handle::current()), "procs=4").await;
        Self { world, reports, told: Told::default() }
    }

    fn boss<B: Actor<Params = Plan>>(
        &self,
        answer: Result<Verdict, &'static str>,
        spec: ActorSpec<Tool>,
    ) -> ActorRef<B> {
        let (procs, told) = (self.world.procs.procs(), Arc::clone(&self.told));
        self.world.proc.spawn::<B>(Plan { procs, spec, answer, told })
    }

    fn told(&self) -> Vec<Vec<usize>> {
        self.told.lock().expect("nobody panics with it").clone()
    }

    async fn tools<B>(&self, boss: &ActorRef<B>) -> ActorMeshRef<Tool>
    where
        B: Handler<WhichMesh>,
    {
        soon(boss.call(&self.world.proc, WhichMesh)).await.expect("it answers")
    }

    async fn are_told(&self, expected: &[&[usize]]) {
        soon(async {
            while self.told().len() < expected.len() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(self.told(), expected);
    }
}

/// N1, E2: each failure is told once, and what is handled ends nothing.
#[tokio::test]
async fn an_owner_is_asked_about_each_failure_of_its_mesh() {
    let office = Office::new().await;
    let boss = office.boss::<Boss>(Ok(Verdict::Handled), tens("tools"));
    let tools = office.tools(&boss).await;
    soon(tools.cast(&office.world.proc, Panic(10))).await.complete().expect("it is sent");
    office.are_told(&[&[1]]).await;
    let sent = soon(tools.cast(&office.world.proc, Panic(30))).await.complete();
    assert!(sent.is_err(), "one has failed");
    office.are_told(&[&[1], &[3]]).await;
    let left = tools.slice("procs", 2..3).expect("there is one");
    assert_eq!(all(&soon(left.call(&office.world.proc, Add(1))).await), [21]);
    assert_eq!(office.tools(&boss).await, tools, "the owner lives");
}

/// E2, N8: what the owner does not handle is its end, and goes up to the root: the root cause first.
#[tokio::test]
async fn an_owner_fails_with_what_it_does_not_handle() {
    let mut office = Office::new().await;
    let boss = office.boss::<Silent>(Ok(Verdict::Handled), tens("tools"));
    let tools = office.tools(&boss).await;
    soon(tools.cast(&office.world.proc, Panic(20))).await.complete().expect("it is sent");
    let report = soon(office.reports.recv()).await.expect("the root is told");
    let first = "rank 2 of actor mesh tools failed: panicked at ";
    assert!(report.starts_with(first), "{report}");
    let so = "so actor silent failed: the failure of its child actor mesh tools was not handled";
    assert!(report.ends_with(so), "{report}");
    // C2: the mesh has ended with it.
    let is_over = soon(async {
        loop {
            if soon(tools.status(&office.world.proc)).await.is_err() {
                break;
            }
        }
    });
    is_over.await;
}

/// E2: an error of its own comes first, and the failure is what caused it.
#[tokio::test]
async fn an_owner_that_fails_at_a_failure_chains_its_own_error() {
    let mut office = Office::new().await;
    let boss = office.boss::<Boss>(Err("the boss is at a loss"), tens("tools"));
    let tools = office.tools(&boss).await;
    soon(tools.cast(&office.world.proc, Panic(0))).await.complete().expect("it is sent");
    let report = soon(office.reports.recv()).await.expect("the root is told");
    assert!(report.starts_with("rank 0 of actor mesh tools failed: panicked at "), "{report}");
    assert!(report.ends_with("so actor boss failed: error: the boss is at a loss"), "{report}");
}

/// RS1: ranks that are started again end no owner that says nothing; when there are too many restarts they do.
#[tokio::test]
async fn what_is_started_again_is_handled() {
    let mut office = Office::new().await;
    let boss = office.boss::<Silent>(Ok(Verdict::Handled), tens("tools").restart(on_failure()));
    let tools = office.tools(&boss).await;
    for n_failed in 1..=10 {
        soon(tools.cast(&office.world.proc, Panic(10))).await.complete().expect("it is sent");
        let one = tools.slice("procs", 1..2).expect("there is one");
        soon(async {
            // It is there again with the next life, from its parameters.
            loop {
                let state = soon(one.state(&office.world.proc)).await.expect("it is told");
                let is_there = state.ranks.iter().all(|rank| {
                    rank.incarnation.number() >= n_failed
                        && rank.status.has_reached(Progress::Running)
                        && !rank.status.is_failure()
                });
                if is_there {
                    break;
                }
            }
        })
        .await;
        assert!(office.reports.try_recv().is_err(), "it lives on");
    }
    soon(tools.cast(&office.world.proc, Panic(10))).await.complete().expect("it is sent");
    let report = soon(office.reports.recv()).await.expect("these are too many");
    assert!(report.contains("actor silent failed"), "{report}");
}

/// E2, RS1, N8: what was to be started again, and is not, ends an owner that says nothing, with why it is not.
#[tokio::test(start_paused = true)]
async fn what_is_not_started_again_after_all_is_not_handled() {
    let mut office = Office::new().await;
    let delay = Duration::from_secs(60);
    let restart = RestartConfig { backoff_min: delay, backoff_max: delay, ..on_failure() };
    let boss = office.boss::<Silent>(Ok(Verdict::Handled), tens("tools").restart(restart));
    let tools = office.tools(&boss).await;
    soon(tools.slice("procs", 1..2).expect("there is one").call(&office.world.proc, Panic(10)))
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(office.reports.try_recv().is_err(), "it is to be mended");
    office.world.procs.crash(Rank::new(1));
    let report = soon(office.reports.recv()).await.expect("it is not");
    assert!(report.starts_with("rank 1 of local mesh homes failed: signal 9"), "{report}");
    assert!(report.contains("rank 1 of actor mesh tools failed: ended with what it"), "{report}");
    assert!(report.contains("so actor silent failed"), "{report}");
}

/// An owner whose mailbox is full is asked all the same, when it has handled its message.
#[tokio::test]
async fn a_full_mailbox_keeps_no_failure_out() {
    let office = Office::new().await;
    let boss = office.boss::<Boss>(Ok(Verdict::Handled), tens("tools"));
    let tools = office.tools(&boss).await;
    let mut held = Vec::new();
    loop {
        let (hold, busy) = mpsc::unbounded_channel();
        held.push(hold);
        if boss.try_cast(&office.world.proc, Busy(busy)).is_err() {
            break;
        }
    }
    soon(tools.cast(&office.world.proc, Panic(10))).await.complete().expect("it is sent");
    let second = tools.slice("procs", 1..2).expect("there is one");
    let missing = soon(second.wait(&office.world.proc, Progress::Ended, SOON)).await;
    assert_eq!(missing.map(Missing::complete), Ok(Ok(())));
    // Only the first is let go of: others wait behind it.
    drop(held.remove(0));
    office.are_told(&[&[1]]).await;
}

/// C2: an owner that decides to stop ends its mesh, and is no failure.
#[tokio::test]
async fn an_owner_that_stops_ends_its_mesh() {
    let mut office = Office::new().await;
    let boss = office.boss::<Boss>(Ok(Verdict::Stop), tens("tools"));
    let tools = office.tools(&boss).await;
    soon(tools.cast(&office.world.proc, Panic(10))).await.complete().expect("it is sent");
    soon(async {
        while tools.status(&office.world.proc).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert!(office.reports.try_recv().is_err(), "it has stopped");
    let call = soon(boss.call(&office.world.proc, WhichMesh)).await;
    assert!(call.is_err(), "it is gone");
}
