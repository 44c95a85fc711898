//! Recorders that come after what they are to count. They are described here, which is for the whole program, and so these
//! tests are one of their own, and one after the other.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mesh_core::Message;
use mesh_runtime::{Actor, ActorRef, Context, Failure, Handler, Proc, Stop};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::runtime::Runtime;

struct Lamp;

struct Shine;

impl Message for Shine {
    const NAME: &'static str = "test.Shine";
    type Reply = ();
}

impl Actor for Lamp {
    const NAME: &'static str = "lamp";
    type Params = ();

    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

impl Handler<Shine> for Lamp {
    async fn handle(&mut self, _: Shine, _: &mut Context<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime needs nothing")
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

    /// The value of a metric with a label of this value, if there is one.
    fn read(&mut self, name: &str, label: &str) -> Option<f64> {
        for (key, .., value) in self.snapshotter.snapshot().into_vec() {
            let by = match value {
                DebugValue::Counter(n) => n as f64,
                DebugValue::Gauge(by) => f64::from(by),
                DebugValue::Histogram(_) => continue,
            };
            for label in key.key().labels() {
                let key = (key.key().name().to_owned(), label.value().to_owned());
                *self.seen.entry(key).or_default() += by;
            }
        }
        self.seen.get(&(name.to_owned(), label.to_owned())).copied()
    }
}

const ACTORS: &str = "meshwarden_actors";

async fn lamps(proc: &Proc, n: usize) -> Vec<ActorRef<Lamp>> {
    let lamps: Vec<_> = (0..n).map(|_| proc.spawn::<Lamp>(())).collect();
    for lamp in &lamps {
        lamp.call(proc, Shine).await.expect("it shines");
    }
    lamps
}

async fn stop(lamps: Vec<ActorRef<Lamp>>) {
    for lamp in lamps {
        lamp.stop(Stop::Now);
        lamp.ended().await;
    }
    tokio::task::yield_now().await;
}

/// R3: what a process counts is counted by the recorder that there is by then, be it younger than the process; and where
/// nothing was counted yet, that can be seen.
#[test]
fn a_process_counts_for_a_recorder_that_comes_after_it() {
    let (_alone, runtime) = (alone(), runtime());
    let proc = {
        let _inside = runtime.enter();
        Proc::local().expect("there is a runtime")
    };
    let recorder = DebuggingRecorder::new();
    let mut metrics = Metrics::of(&recorder);
    metrics::with_local_recorder(&recorder, || {
        mesh_runtime::metrics::describe();
        let counter = "meshwarden_undelivered_messages_total";
        assert_eq!(metrics.read(counter, "no_room"), Some(0.0));
        proc.count_not_sent(None, 3);
        assert_eq!(metrics.read(counter, "no_room"), Some(3.0));
        assert_eq!(metrics.read(counter, "ended"), Some(0.0));
    });
}

/// So are its actors, which may live by then.
#[test]
fn actors_are_counted_by_a_recorder_that_comes_after_them() {
    let (_alone, runtime) = (alone(), runtime());
    let (proc, early) = runtime.block_on(async {
        let proc = Proc::local().expect("there is a runtime");
        let early = lamps(&proc, 2).await;
        (proc, early)
    });
    let recorder = DebuggingRecorder::new();
    let mut metrics = Metrics::of(&recorder);
    metrics::with_local_recorder(&recorder, || {
        mesh_runtime::metrics::describe();
        assert_eq!(metrics.read(ACTORS, Lamp::NAME), Some(2.0));
        runtime.block_on(async {
            let late = lamps(&proc, 1).await;
            assert_eq!(metrics.read(ACTORS, Lamp::NAME), Some(3.0));
            early[0].call(&proc, Shine).await.expect("it shines");
            assert_eq!(metrics.read("meshwarden_actor_messages_total", Lamp::NAME), Some(2.0));
            stop(early).await;
            assert_eq!(metrics.read(ACTORS, Lamp::NAME), Some(1.0));
            stop(late).await;
            assert_eq!(metrics.read(ACTORS, Lamp::NAME), Some(0.0));
        });
    });
}

/// Nobody is counted twice by one that was there before them, however often it is described.
#[test]
fn actors_are_counted_once_by_a_recorder_that_is_described_after_them() {
    let (_alone, runtime) = (alone(), runtime());
    let recorder = DebuggingRecorder::new();
    let mut metrics = Metrics::of(&recorder);
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let proc = Proc::local().expect("there is a runtime");
            let lamps = lamps(&proc, 2).await;
            for _ in 0..3 {
                mesh_runtime::metrics::describe();
                assert_eq!(metrics.read(ACTORS, Lamp::NAME), Some(2.0));
            }
            stop(lamps).await;
            assert_eq!(metrics.read(ACTORS, Lamp::NAME), Some(0.0));
        });
    });
}
