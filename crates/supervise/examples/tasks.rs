//! Supervises four plain tokio tasks: one panics, one returns an error, one hangs, one is fine.
//!
//! Two things are yours: what the reports mean (`Controlled`), and how one life of one rank is lived
//! (`live`). What starts again, and when, and who is told, is decided by the controller.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use controller::mesh_core::{Cause, Interest, News, Reason, Stall, StalledHandler, Status};
use controller::{Config, Controlled, RestartConfig, mesh_shape::extent};
use supervise::{Life, LocalRanks, OwnerNews, Setup, Supervision, panic_reason, supervise};
use tokio::{sync::watch, task::JoinSet, time::Instant, time::sleep, time::sleep_until};

/// What the tasks do: five short steps, if all goes well.
async fn work(rank: usize, life: u64, step: watch::Sender<u32>) -> Result<(), String> {
    for number in 1..=5 {
        step.send_replace(number);
        match (rank, life, number) {
            (0, 0, 2) => panic!("a bug in step 2"),
            (1, 0, 3) => return Err("no data for step 3".to_owned()),
            (2, _, 3) => sleep(HANGS_AFTER * 2).await, // Too long, but then it goes on.
            (2, _, 5) => std::future::pending().await, // For ever.
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
    Ok(())
}

const HANGS_AFTER: Duration = Duration::from_millis(500);

/// What is reported of a task.
#[derive(Clone, PartialEq)]
enum Report {
    Unknown,
    Works,
    Hangs { step: u32 },
    Ended(Result<(), Reason>),
}

#[derive(Clone)]
struct Tasks;

impl Controlled for Tasks {
    type Report = Report;
    const KIND: &'static str = "task";

    fn status(&self, report: &Report) -> Status {
        match report {
            Report::Unknown => Status::NotExist,
            Report::Works => Status::Running,
            Report::Hangs { step } => {
                let (actor, message) = ("work".to_owned(), format!("step {step}"));
                let handler = StalledHandler { actor, message, age: HANGS_AFTER };
                Status::Stalled(Stall::Handler(Arc::new(handler)))
            }
            Report::Ended(Ok(())) => Status::Stopped,
            Report::Ended(Err(reason)) => Status::failed(Cause::new(reason.clone())),
        }
    }
}

/// Lives one life of one rank, and returns the report of its end.
async fn live(mut life: Life<Tasks>) -> Report {
    let (step, mut steps) = watch::channel(0);
    let mut task = JoinSet::new(); // Dropping it aborts the task: no mesh outlives its owner.
    task.spawn(work(life.rank().index(), life.incarnation().number(), step));
    life.report(Report::Works);
    let mut hangs = false;
    loop {
        tokio::select! {
            Some(end) = task.join_next() => return Report::Ended(match end {
                Ok(result) => result.map_err(|message| Reason::Error { message }),
                // What did not panic was aborted, as it was ordered.
                Err(end) => end.try_into_panic().map_or(Ok(()), |panic| Err(panic_reason(&*panic))),
            }),
            _ = life.ordered() => task.abort_all(), // A plain task knows no better way to end.
            Ok(()) = steps.changed() => if std::mem::take(&mut hangs) { life.report(Report::Works) },
            () = sleep(HANGS_AFTER), if !hangs => {
                hangs = true;
                life.report(Report::Hangs { step: *steps.borrow() });
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let config = Config { restart: RestartConfig::on_failure(3), ..Config::local() };
    let ranks = LocalRanks { kind: Tasks, unknown: Report::Unknown, live };
    let setup = Setup::local("crew", extent!(workers = 4)?, config, ranks)?;
    let (Supervision { controller, mut owner, .. }, run) = supervise(setup);
    tokio::spawn(run);
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut events = controller.subscribe(Interest::All, None).await?;
    let (mut n_failed, mut n_hung, mut n_stopped) = (0, 0, 0);
    while (n_failed, n_stopped) != (2, 3) || n_hung < 2 {
        tokio::select! {
            Some(OwnerNews::Failed(failures)) = owner.next() => {
                println!("the owner is told: {failures}");
                n_failed += failures.len();
            }
            Some(event) = events.next() => if let News::Changed(changes) = event.news {
                for change in &*changes {
                    println!("rank {}, life {}: {}", change.ranks, change.incarnation, change.status);
                    n_hung += usize::from(matches!(change.status, Status::Stalled(_)));
                    n_stopped += usize::from(change.status == Status::Stopped) * change.ranks.len();
                }
            },
            () = sleep_until(deadline) => break,
        }
    }
    let state = controller.stop(Duration::from_secs(1)).await?;
    for (rank, state) in state.ranks.iter().enumerate() {
        println!("at the end rank {rank}, life {}, is {}", state.incarnation, state.status);
    }
    let n_ended = state.ranks.ranks_where(|rank| rank.status == Status::Stopped).len();
    let is_as_told = (n_failed, n_stopped, n_ended) == (2, 3, 4);
    Ok(ExitCode::from(u8::from(!is_as_told)))
}
