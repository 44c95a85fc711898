//! What is measured of actors, by their type: through the `metrics` facade, for any recorder.
#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use std::collections::BTreeMap;
use std::{error::Error, future::pending, time::Duration};

use mesh_runtime::mesh_core::Message;
use mesh_runtime::{Actor, Context, Failure, Handler, Proc};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

struct Worker;

impl Actor for Worker {
    const NAME: &'static str = "worker";
    type Params = ();
    async fn start((): (), _: &mut Context<Self>) -> Result<Self, Failure> {
        Ok(Self)
    }
}

enum Work {
    Well,
    Slowly,
    Badly,
}
impl Message for Work {
    const NAME: &'static str = "measured.Work";
    type Reply = ();
}
impl Handler<Work> for Worker {
    async fn handle(&mut self, work: Work, _: &mut Context<Self>) -> Result<(), Failure> {
        match work {
            Work::Well => Ok(()),
            Work::Slowly => pending().await,
            Work::Badly => Err(Failure::new("it is broken")),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Before the first process: a program would have an exporter here.
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install()?;
    mesh_runtime::metrics::describe();

    let proc = Proc::local()?;
    let [good, slow, bad] = [(); 3].map(|()| proc.spawn::<Worker>(()));
    for _ in 0..100 {
        good.call(&proc, Work::Well).await?;
    }
    let too_slow = slow.call(&proc, Work::Slowly).within(Duration::from_millis(10)).await;
    let broken = bad.call(&proc, Work::Badly).await;
    assert!(too_slow.is_err() && broken.is_err());

    let mut seen = BTreeMap::new();
    for (key, unit, help, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<String> =
            key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let (labels, name) = (labels.join(","), key.key().name());
        let number = match value {
            DebugValue::Counter(n) => n as f64,
            DebugValue::Gauge(now) => now.into_inner(),
            DebugValue::Histogram(values) => values.len() as f64,
        };
        if number > 0.0 {
            println!(
                "{name}{{{labels}}} {number} {}: {}",
                unit.map_or("", |unit| unit.as_str()),
                help.unwrap_or_default()
            );
        }
        seen.insert(format!("{name}{{{labels}}}"), number);
    }
    let read = |name: &str| seen.get(name).copied().unwrap_or(f64::NAN);
    assert_eq!(read("meshwarden_actor_messages_total{actor=worker}"), 102.0);
    assert_eq!(read("meshwarden_actors{actor=worker}"), 2.0);
    assert_eq!(read("meshwarden_actor_failures_total{actor=worker,cause=error}"), 1.0);
    assert_eq!(read("meshwarden_call_deadlines_total{}"), 1.0);
    Ok(())
}
