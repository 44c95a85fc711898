//! logged: which of what cannot be delivered people are warned of.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mesh_core::{End, Message, Plane, Reason};
use mesh_runtime::{Context, Failure, Handler, Port, Proc, ProcConfig};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::script::{Behaviour, Fail, Log, Script, Scripted, script};

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
        let metadata = event.metadata();
        // Backtraces come only where they are asked for.
        let is_warning =
            *metadata.level() <= Level::WARN && !metadata.target().ends_with("::panics");
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

/// E1: the first failure is the one that counts; the others are not lost without a word.
#[tokio::test]
async fn an_actor_that_fails_twice_says_so() {
    let warnings = Warnings::default();
    let _logging = tracing::subscriber::set_default(warnings.clone());
    let log = Log::default();
    let proc = crate::script::proc(&log);
    let clumsy = Script { stop: Behaviour::Fails, ..script("a", &log) };
    let actor = proc.spawn::<Scripted>(clumsy);
    actor.cast(&proc, Fail("oops")).await.unwrap();
    let End::Failed(cause) = actor.ended().await else { panic!("it failed") };
    assert_eq!(cause.reason, Reason::Error { message: "oops".to_owned() });
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
}

/// Has work panic that nobody waits for.
struct Toil;

impl Message for Toil {
    const NAME: &'static str = "logged.Toil";
    type Reply = ();
}

impl Handler<Toil> for Scripted {
    async fn handle(&mut self, _: Toil, cx: &mut Context<Self>) -> Result<(), Failure> {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let work = cx.spawn_blocking(move |_| {
            begun.send(()).expect("it is waited for");
            _ = wait.recv();
            panic!("no luck");
        });
        begins.await?;
        drop(work);
        go_on.send(())?;
        Ok(())
    }
}

/// E1
#[test]
fn work_that_panics_and_is_not_waited_for_says_so() {
    let warnings = Warnings::default();
    let everywhere = warnings.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .on_thread_start(move || {
            // For as long as the thread lives.
            let logging = tracing::subscriber::set_default(everywhere.clone());
            let _logging = std::mem::ManuallyDrop::new(logging);
        })
        .build()
        .unwrap();
    runtime.block_on(async {
        let (proc, actor, _log) = crate::script::one("a");
        actor.call(&proc, Toil).within(std::time::Duration::MAX).await.unwrap();
        actor.stop(mesh_runtime::Stop::Now);
        actor.ended().await;
    });
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
}

/// Counts what happens within spans of messages.
#[derive(Clone, Default)]
struct Within {
    depth: Arc<AtomicUsize>,
    events: Arc<AtomicUsize>,
}

impl Subscriber for Within {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Id::from_u64(1 + u64::from(span.metadata().name() == "message"))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let is_ours = event.metadata().target().starts_with("it::logged");
        let is_within = self.depth.load(Ordering::Relaxed) == 1;
        self.events.fetch_add(usize::from(is_ours && is_within), Ordering::Relaxed);
    }

    fn enter(&self, id: &Id) {
        self.depth.fetch_add(usize::from(id.into_u64() == 2), Ordering::Relaxed);
    }

    fn exit(&self, id: &Id) {
        self.depth.fetch_sub(usize::from(id.into_u64() == 2), Ordering::Relaxed);
    }
}

/// Says something, before and after it has awaited.
struct Speak;

impl Message for Speak {
    const NAME: &'static str = "logged.Speak";
    type Reply = ();
}

impl Handler<Speak> for Scripted {
    async fn handle(&mut self, _: Speak, _: &mut Context<Self>) -> Result<(), Failure> {
        tracing::info!("before");
        tokio::task::yield_now().await;
        tracing::info!("after");
        Ok(())
    }
}

/// A span is entered whenever a message is handled, and left where its handler awaits.
#[tokio::test]
async fn what_a_handler_logs_is_within_the_span_of_its_message() {
    let within = Within::default();
    let _logging = tracing::subscriber::set_default(within.clone());
    let (proc, actor, _log) = crate::script::one("a");
    let own = async {
        for _ in 0..10 {
            tracing::info!("not of a message");
            tokio::task::yield_now().await;
        }
    };
    let (answer, ()) = tokio::join!(actor.call(&proc, Speak), own);
    assert_eq!(answer, Ok(()));
    assert_eq!(within.events.load(Ordering::Relaxed), 2);
    assert_eq!(within.depth.load(Ordering::Relaxed), 0);
}
