//! ranks as tasks: a whole run over real agents, whose ranks are tasks of this process.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::{Config, Controlled, Controller, RestartConfig};
use mesh_core::{
    AgentId, Agents, Answer, Answers, Cause, Generation, Incarnation, MeshPhase, Order, Reason,
    Request, Status, Update,
};
use mesh_shape::{Overlay, Rank};
use supervise::{Clock, OwnerNews, Setup, Supervision, supervise};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use crate::support::spec;

/// What a task says of itself.
#[derive(Clone, Debug, PartialEq)]
enum Report {
    Started,
    Ended(Result<(), String>),
    Stopped,
}

struct Tasks;

impl Controlled for Tasks {
    type Report = Report;
    const KIND: &'static str = "task";

    fn status(&self, report: &Report) -> Status {
        match report {
            Report::Started => Status::Running,
            Report::Ended(Ok(())) | Report::Stopped => Status::Stopped,
            Report::Ended(Err(message)) => {
                Status::failed(Cause::new(Reason::Error { message: message.clone() }))
            }
        }
    }
}

/// Runs `work` for each rank and life. Dropping it aborts every task.
struct TaskAgent<W> {
    work: W,
    running: BTreeMap<(Rank, Incarnation), oneshot::Sender<()>>,
    tasks: JoinSet<()>,
    aborts: BTreeMap<(Rank, Incarnation), AbortHandle>,
}

impl<W, F> Agents for TaskAgent<W>
where
    W: Fn(Rank, Incarnation) -> F + Send,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    type Report = Report;

    fn perform(&mut self, request: Request, answers: &Answers<Report>) {
        match request.order {
            Order::Start { ranks, incarnation, .. } => {
                for rank in ranks.iter() {
                    self.start(rank, incarnation, answers);
                }
            }
            Order::Stop { ranks, incarnation } => {
                for rank in ranks.iter() {
                    // Its receiver may have gone: then the task has ended already.
                    _ = self.running.remove(&(rank, incarnation)).map(|stop| stop.send(()));
                }
            }
            Order::Kill { ranks, incarnation } => {
                for abort in ranks.iter().filter_map(|rank| self.aborts.get(&(rank, incarnation))) {
                    abort.abort();
                }
            }
            Order::Renew { .. } => (),
            Order::Poll => {
                let beat = mesh_core::BeatSeq::FIRST;
                _ = answers
                    .send(Answer::Heard { agent: request.agent, life: Incarnation::FIRST, beat })
                    .is_ok();
            }
        }
    }
}

impl<W, F> TaskAgent<W>
where
    W: Fn(Rank, Incarnation) -> F + Send,
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    fn new(work: W) -> Self {
        let (running, tasks, aborts) = (BTreeMap::new(), JoinSet::new(), BTreeMap::new());
        Self { work, running, tasks, aborts }
    }

    fn start(&mut self, rank: Rank, incarnation: Incarnation, answers: &Answers<Report>) {
        if self.aborts.contains_key(&(rank, incarnation)) {
            return;
        }
        let (stop, stopped) = oneshot::channel();
        self.running.insert((rank, incarnation), stop);
        let (work, answers) = ((self.work)(rank, incarnation), answers.clone());
        let abort = self.tasks.spawn(async move {
            tell(&answers, (rank, incarnation), 0, Report::Started);
            let end = tokio::select! {
                end = work => Report::Ended(end),
                Ok(()) = stopped => Report::Stopped,
            };
            tell(&answers, (rank, incarnation), 1, end);
        });
        self.aborts.insert((rank, incarnation), abort);
    }
}

fn tell(
    answers: &Answers<Report>,
    (rank, incarnation): (Rank, Incarnation),
    generation: u64,
    report: Report,
) {
    let (generation, age) = (Generation::new(generation), Duration::ZERO);
    let update = Update { incarnation, generation, age, report };
    let (agent, reports) = (AgentId::new(0), Overlay::from_rank(rank, update));
    _ = answers.send(Answer::Reported { agent, life: Incarnation::FIRST, reports }).is_ok();
}

/// Rank 0 works; rank 1 fails twice and then works; rank 2 fails for good; then everything stops.
#[tokio::test(start_paused = true)]
async fn tasks_fail_start_again_and_stop() {
    let work = async |rank: usize, life: u64| match (rank, life) {
        (1, 0 | 1) => Err(format!("no luck in life {life}")),
        (2, _) => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Err("broken".to_owned())
        }
        _ => std::future::pending().await,
    };
    let agent =
        TaskAgent::new(move |rank: Rank, life: Incarnation| work(rank.index(), life.number()));
    let config = Config { restart: RestartConfig::on_failure(3), ..Config::local() };
    let controller = Controller::new(spec("tasks", 3, config), Tasks).expect("it holds together");
    let (Supervision { controller, mut owner, .. }, run) =
        supervise(Setup::new(controller, agent, Clock::start()));
    let run = tokio::spawn(run);

    let mut told = Vec::new();
    while told.len() < 4 {
        let Some(OwnerNews::Failed(failures)) = owner.next().await else { panic!("{told:?}") };
        for (rank, change) in failures.each() {
            let is_restarted = change.restart_in.is_some();
            told.push((rank.index(), change.incarnation.number(), is_restarted));
        }
        assert_eq!(failures.escalation.is_some(), told.len() == 4);
    }
    assert_eq!(told, [(1, 0, true), (1, 1, true), (2, 0, true), (2, 1, false)]);

    let state = controller.stop(Duration::from_secs(1)).await.expect("the loop lives");
    assert_eq!(state.phase, MeshPhase::Failed);
    let kinds: Vec<&str> = state.ranks.iter().map(|rank| rank.status.kind().label()).collect();
    assert_eq!(kinds, ["stopped", "stopped", "failed"]);
    assert!(matches!(owner.next().await, Some(OwnerNews::Finished(_))));
    drop(owner);
    run.await.expect("it does not panic");
}
