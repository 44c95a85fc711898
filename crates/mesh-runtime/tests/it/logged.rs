//! logged: which of what cannot be delivered people are warned of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mesh_core::{Message, Plane};
use mesh_runtime::{Port, Proc, ProcConfig};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let is_warning = *event.metadata().level() <= Level::WARN;
        self.0.fetch_add(usize::from(is_warning), Ordering::Relaxed);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Says something.
#[derive(Serialize, Deserialize)]
struct Say;

impl Message for Say {
    const NAME: &'static str = "logged.Say";
    type Reply = ();
}

/// R3, N7: a subscriber that is gone is no news for people; somebody's message that is lost is.
#[tokio::test]
async fn what_cannot_be_delivered_is_a_warning_unless_it_is_of_the_control_plane() {
    let warnings = Warnings::default();
    let _logging = tracing::subscriber::set_default(warnings.clone());
    let control = Some(Handle::current());
    let proc = Proc::start(ProcConfig { control, ..ProcConfig::local() }, Handle::current());
    let mut counts = Vec::new();
    for plane in [Plane::Control, Plane::User] {
        let gone = proc.on(plane).open_port::<Say>(1).port();
        gone.cast(&proc, Say).await;
        counts.push(warnings.0.load(Ordering::Relaxed));
    }
    assert_eq!(counts, [0, 1]);
}
