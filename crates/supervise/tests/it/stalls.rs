//! stalls: how late a check started, counted and measured (L4).

use std::time::Duration;

use controller::Config;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use supervise::metrics::{LATENESS, RANKS, STALLS};

use crate::support::{mesh, settle};

/// L4: one stall for one late check, however many periods it was late; none for one in time.
#[test]
fn a_check_that_starts_more_than_a_period_late_is_one_stall() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing");
        runtime.block_on(async {
            let config = Config::lan();
            let period = config.times.check;
            let mesh = mesh(3, config).await;
            tokio::time::advance(period).await;
            settle().await;
            assert_eq!(read(&snapshotter), (0, 1), "in time");
            tokio::time::advance(period * 7).await;
            settle().await;
            assert_eq!(read(&snapshotter), (1, 1), "six periods late, once");
            assert!(mesh.agent.beat(), "the loop goes on");
            for _ in 0..4 {
                tokio::time::advance(period / 2).await;
                settle().await;
            }
            assert_eq!(read(&snapshotter), (0, 2), "in time again");
        });
    });
}

/// L4: half a period late is late, and no stall.
#[test]
fn a_check_that_starts_less_than_a_period_late_is_none() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing");
        runtime.block_on(async {
            let _mesh = mesh(1, Config::lan()).await;
            tokio::time::advance(Duration::from_millis(4_700)).await;
            settle().await;
            assert_eq!(read(&snapshotter), (0, 1));
        });
    });
}

/// The gauges of a mesh are empty again when it has gone.
#[test]
fn ranks_are_counted_while_the_mesh_lives() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing");
        runtime.block_on(async {
            let mesh = mesh(3, Config::lan()).await;
            assert_eq!(sum_of_ranks(&snapshotter), 3.0);
            drop(mesh.owner);
            mesh.task.await.expect("it does not panic");
            assert_eq!(sum_of_ranks(&snapshotter), -3.0, "all are taken out again");
        });
    });
}

/// The number of stalls and of checks since the last time.
fn read(snapshotter: &Snapshotter) -> (u64, usize) {
    let (mut stalls, mut checks) = (0, 0);
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        match value {
            DebugValue::Counter(count) if key.key().name() == STALLS => stalls += count,
            DebugValue::Histogram(values) if key.key().name() == LATENESS => checks += values.len(),
            DebugValue::Counter(_) | DebugValue::Gauge(_) | DebugValue::Histogram(_) => (),
        }
    }
    (stalls, checks)
}

/// By how much the gauges have moved since the last time.
fn sum_of_ranks(snapshotter: &Snapshotter) -> f64 {
    let values = snapshotter.snapshot().into_vec().into_iter();
    values
        .filter(|(key, ..)| key.key().name() == RANKS)
        .map(|(.., value)| match value {
            DebugValue::Gauge(ranks) => ranks.into_inner(),
            DebugValue::Counter(_) | DebugValue::Histogram(_) => f64::NAN,
        })
        .sum()
}
