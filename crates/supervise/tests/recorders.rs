//! recorders: what comes after the meshes that it is to count. It is described here, which is for the whole program, and so
//! these tests are one of their own, and one after the other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use controller::Config;
use mesh_core::{Cause, Reason, Status};
use mesh_shape::extent;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use supervise::metrics::{DETECTION, FAILURES, LATENESS, RANKS, STALLS, describe};
use supervise::{Life, Local, LocalRanks, Owner, OwnerNews, Setup, Supervision, supervise};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime needs nothing")
}

/// A mesh of three ranks. The last one fails after a minute, and the others run for ever.
async fn mesh() -> (Owner, JoinHandle<()>) {
    let live = async |life: Life<Local>| {
        life.report(Status::Running);
        if life.rank().index() < 2 {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        Status::failed(Cause::new(Reason::Exit { code: 1 }))
    };
    let live = move |life| -> std::pin::Pin<Box<dyn Future<Output = Status> + Send>> {
        Box::pin(live(life))
    };
    let ranks = LocalRanks { kind: Local, unknown: Status::NotExist, live };
    let setup =
        Setup::local("test", extent!(ranks = 3).expect("it is small"), Config::lan(), ranks)
            .expect("it holds together");
    let (Supervision { owner, .. }, run) = supervise(setup);
    let task = tokio::spawn(run);
    tokio::time::sleep(Duration::from_secs(1)).await;
    (owner, task)
}

async fn end((owner, task): (Owner, JoinHandle<()>)) {
    drop(owner);
    task.await.expect("it does not panic");
}

/// What a recorder has seen: a snapshot takes out what it has.
struct Metrics {
    snapshotter: Snapshotter,
    seen: BTreeMap<(String, String), f64>,
}

impl Metrics {
    fn of(recorder: &DebuggingRecorder) -> Self {
        Self { snapshotter: recorder.snapshotter(), seen: BTreeMap::new() }
    }

    /// The value of a metric with a label of this value, if there is one; of a histogram, how often it was recorded.
    fn read(&mut self, name: &str, label: &str) -> Option<f64> {
        for (key, .., value) in self.snapshotter.snapshot().into_vec() {
            let by = match value {
                DebugValue::Counter(n) => n as f64,
                DebugValue::Gauge(by) => by.into_inner(),
                DebugValue::Histogram(values) => values.len() as f64,
            };
            for label in key.key().labels() {
                let key = (key.key().name().to_owned(), label.value().to_owned());
                *self.seen.entry(key).or_default() += by;
            }
        }
        self.seen.get(&(name.to_owned(), label.to_owned())).copied()
    }
}

/// L4, N1: the ranks of a mesh that lives by then are counted at once, and what it tells and how late it is from then on; and
/// where nothing was counted yet, that can be seen.
#[test]
fn a_mesh_is_counted_by_a_recorder_that_comes_after_it() {
    let (_alone, runtime) = (alone(), runtime());
    let mut mesh = runtime.block_on(mesh());
    let recorder = DebuggingRecorder::new();
    let mut metrics = Metrics::of(&recorder);
    metrics::with_local_recorder(&recorder, || {
        describe();
        assert_eq!(metrics.read(RANKS, "running"), Some(3.0));
        assert_eq!(metrics.read(RANKS, "failed"), Some(0.0));
        assert_eq!(metrics.read(STALLS, "local"), Some(0.0));
        runtime.block_on(async {
            tokio::time::advance(Config::lan().times.check * 3).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_eq!(metrics.read(STALLS, "local"), Some(1.0));
            assert_eq!(metrics.read(LATENESS, "local"), Some(1.0));
            let Some(OwnerNews::Failed(_)) = mesh.0.next().await else { panic!("it failed") };
            assert_eq!(metrics.read(FAILURES, "exit"), Some(1.0));
            assert_eq!(metrics.read(DETECTION, "local"), Some(1.0));
            assert_eq!(metrics.read(RANKS, "running"), Some(2.0));
            assert_eq!(metrics.read(RANKS, "failed"), Some(1.0));
            end(mesh).await;
        });
        assert_eq!(metrics.read(RANKS, "test"), Some(0.0));
    });
}

/// Nobody is counted twice by one that was there before them, however often it is described.
#[test]
fn ranks_are_counted_once_by_a_recorder_that_is_described_after_them() {
    let (_alone, runtime) = (alone(), runtime());
    let recorder = DebuggingRecorder::new();
    let mut metrics = Metrics::of(&recorder);
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let (one, other) = (mesh().await, mesh().await);
            for _ in 0..3 {
                describe();
                assert_eq!(metrics.read(RANKS, "running"), Some(6.0));
            }
            end(one).await;
            assert_eq!(metrics.read(RANKS, "running"), Some(3.0));
            end(other).await;
            assert_eq!(metrics.read(RANKS, "running"), Some(0.0));
        });
    });
}
