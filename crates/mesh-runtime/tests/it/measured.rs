//! measured: what a recorder sees of actors, by their type.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::Strategy;
use mesh_runtime::{Proc, ProcConfig, Stop};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::runtime::Handle;

use crate::restarts::{Supervise, spec};
use crate::script::{Fail, Log, Reaction, Script, Scripted, WaitFor, gate, say, script};

/// Runs `work` on paused time, with a recorder of its own.
fn recorded(work: impl AsyncFnOnce(Metrics)) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime needs nothing");
        runtime.block_on(work(Metrics { snapshotter, seen: RefCell::default() }));
    });
}

/// What was measured so far: a snapshot takes out what it has seen.
struct Metrics {
    snapshotter: Snapshotter,
    seen: RefCell<BTreeMap<Key, Vec<f64>>>,
}

/// The name of a metric, and the values of its labels.
type Key = (String, Vec<String>);

impl Metrics {
    /// What has been measured under this name, with a label of this value: a number, or all those of a
    /// histogram.
    fn read(&self, name: &str, label: &str) -> Vec<f64> {
        let mut seen = self.seen.borrow_mut();
        for (key, .., value) in self.snapshotter.snapshot().into_vec() {
            let labels = key.key().labels().map(|label| label.value().to_owned()).collect();
            let all = seen.entry((key.key().name().to_owned(), labels)).or_default();
            match value {
                DebugValue::Histogram(values) => all.extend(values.into_iter().map(f64::from)),
                DebugValue::Counter(n) => *all = vec![all.iter().sum::<f64>() + n as f64],
                DebugValue::Gauge(by) => *all = vec![all.iter().sum::<f64>() + f64::from(by)],
            }
        }
        let is_wanted = |(its, labels): &&Key| its == name && labels.iter().any(|it| it == label);
        seen.keys().filter(is_wanted).flat_map(|key| seen[key].clone()).collect()
    }
}

#[test]
fn messages_are_counted_and_some_are_timed() {
    recorded(async |metrics| {
        let log = Log::default();
        let proc = crate::script::proc(&log);
        let actor = proc.spawn::<Scripted>(script("a", &log));
        for _ in 0..130 {
            actor.call(&proc, say("hello")).await.unwrap();
        }
        assert_eq!(metrics.read("meshwarden_actor_messages_total", "scripted"), [130.0]);
        let times = metrics.read("meshwarden_actor_handler_seconds", "scripted");
        assert_eq!(times.len(), 3, "the first, the 65th and the 129th: {times:?}");
    });
}

/// The first message of an actor is timed, awaits included.
#[test]
fn the_time_of_a_handler_is_that_from_its_begin_to_its_end() {
    recorded(async |metrics| {
        let log = Log::default();
        let proc = crate::script::proc(&log);
        let actor = proc.spawn::<Scripted>(script("a", &log));
        let gate = gate();
        let slow = actor.call(&proc, WaitFor(Arc::clone(&gate)));
        let opened = async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            gate.add_permits(1);
        };
        _ = tokio::join!(slow, opened);
        assert_eq!(metrics.read("meshwarden_actor_handler_seconds", "scripted"), [2.0]);
    });
}

#[test]
fn restarts_are_counted_and_who_lives_is() {
    recorded(async |metrics| {
        let log = Log::default();
        let proc = crate::script::proc(&log);
        let on_failure = Reaction::Restarts(Strategy::OneForOne);
        let parent = proc.spawn::<Scripted>(Script { on_failure, ..script("p", &log) });
        let mut child = parent.call(&proc, Supervise(spec(script("a", &log)))).await.unwrap();
        child.current().cast(&proc, Fail("oops")).await.unwrap();
        child.restarted().await.unwrap().call(&proc, say("hello")).await.unwrap();
        assert_eq!(metrics.read("meshwarden_actor_restarts_total", "scripted"), [1.0]);
        assert_eq!(metrics.read("meshwarden_actors", "scripted"), [2.0]);
        assert_eq!(metrics.read("meshwarden_actor_failures_total", "error"), [1.0]);
        parent.stop(Stop::Now);
        parent.ended().await;
        tokio::task::yield_now().await;
        assert_eq!(metrics.read("meshwarden_actors", "scripted"), [0.0]);
    });
}

/// It was begun, and nothing else is told of it when its actor ends.
#[test]
fn a_message_that_its_actor_fails_or_is_killed_with_is_counted() {
    recorded(async |metrics| {
        let log = Log::default();
        let proc = crate::script::proc(&log);
        let [failing, killed] = ["a", "b"].map(|name| proc.spawn::<Scripted>(script(name, &log)));
        failing.call(&proc, Fail("oops")).await.unwrap_err();
        failing.ended().await;
        assert_eq!(metrics.read("meshwarden_actor_messages_total", "scripted"), [1.0]);
        killed.cast(&proc, WaitFor(gate())).await.unwrap();
        tokio::task::yield_now().await;
        killed.stop(Stop::Kill);
        killed.ended().await;
        assert_eq!(metrics.read("meshwarden_actor_messages_total", "scripted"), [2.0]);
    });
}

/// A process that is looked at, without a thread of its own for that.
fn watched(log: &Log) -> (Proc, mesh_runtime::ActorRef<Scripted>) {
    let stalled_handler = Some(Duration::from_secs(1));
    let config = ProcConfig { stalled_handler, ..ProcConfig::local() };
    let proc = Proc::start(config, Handle::current());
    let actor = proc.spawn::<Scripted>(script("a", log));
    (proc, actor)
}

#[test]
fn what_waits_is_seen_while_it_does_and_gone_with_its_process() {
    recorded(async |metrics| {
        const NAME: &str = "meshwarden_actor_mailbox_messages";
        let log = Log::default();
        let (proc, actor) = watched(&log);
        let gate = gate();
        actor.cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
        for _ in 0..3 {
            actor.cast(&proc, say("hello")).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let waiting = metrics.read(NAME, "scripted");
        assert!(waiting == [3.0] || waiting == [4.0], "with the one that is handled: {waiting:?}");
        gate.add_permits(1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(metrics.read(NAME, "scripted"), [0.0]);

        actor.cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
        actor.cast(&proc, say("hello")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_ne!(metrics.read(NAME, "scripted"), [0.0]);
        proc.stop(Duration::from_millis(10)).await.unwrap();
        drop((proc, actor));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(
            metrics.read(NAME, "scripted"),
            [0.0],
            "nothing is left of a process that is gone"
        );
    });
}

#[test]
fn the_lag_of_a_runtime_is_measured_while_it_does_something() {
    recorded(async |metrics| {
        const NAME: &str = "meshwarden_runtime_lag_seconds";
        let log = Log::default();
        let (proc, actor) = watched(&log);
        let gate = gate();
        actor.cast(&proc, WaitFor(Arc::clone(&gate))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let lags = metrics.read(NAME, "user");
        // Each wakes a thread of it.
        assert!((1..=2).contains(&lags.len()) && lags.iter().all(|lag| *lag < 0.1), "{lags:?}");
        assert!(!metrics.read(NAME, "control").is_empty());
        // The runtime is late by what passes before it runs what it was given.
        for _ in 0..40 {
            tokio::time::advance(Duration::from_millis(300)).await;
        }
        let lags = metrics.read(NAME, "control");
        assert!(lags.iter().any(|lag| *lag > 0.1), "{lags:?}");
        gate.add_permits(1);
    });
}
