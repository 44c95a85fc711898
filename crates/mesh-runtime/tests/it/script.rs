//! An actor that does what a test says, and writes down what happens to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mesh_core::{Message, Strategy};
use mesh_runtime::{
    Actor, ActorRef, ChildFailure, Context, Failure, Handler, Handlers, Intensity, Proc, ReplyTo,
    Undelivered, Verdict,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// What happened, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, what: impl Into<String>) {
        self.0.lock().expect("nobody panics with it").push(what.into());
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").clone()
    }
}

/// How the actor behaves.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) log: Log,
    pub(crate) name: &'static str,
    pub(crate) start: Behaviour,
    pub(crate) on_failure: Reaction,
    pub(crate) stop: Behaviour,
}

#[derive(Clone, Copy, Default)]
pub(crate) enum Behaviour {
    #[default]
    Well,
    Fails,
    Panics,
    Hangs,
}

#[derive(Clone, Copy, Default)]
pub(crate) enum Reaction {
    Handles,
    #[default]
    Escalates,
    Fails,
    Panics,
    Hangs,
    Stops,
    Restarts(Strategy),
}

pub(crate) struct Scripted(Script);

impl Scripted {
    /// From now on it does so when a child fails.
    pub(crate) fn react(&mut self, how: Reaction) {
        self.0.on_failure = how;
    }
}

impl Behaviour {
    async fn act(self, what: &str) -> Result<(), Failure> {
        match self {
            Self::Well => Ok(()),
            Self::Fails => Err(Failure::new(format!("{what} fails"))),
            Self::Panics => panic!("{what} panics"),
            Self::Hangs => std::future::pending().await,
        }
    }
}

impl Actor for Scripted {
    const NAME: &'static str = "scripted";
    const MAILBOX: usize = 4;
    const INTENSITY: Intensity = Intensity::new(2, Duration::from_secs(10));
    type Params = Script;

    async fn start(script: Script, _: &mut Context<Self>) -> Result<Self, Failure> {
        script.start.act("start").await?;
        script.log.add(format!("{} starts", script.name));
        Ok(Self(script))
    }

    async fn on_failure(
        &mut self,
        failure: ChildFailure,
        _: &mut Context<Self>,
    ) -> Result<Verdict, Failure> {
        self.0.log.add(format!("{} is told: {failure}", self.0.name));
        match self.0.on_failure {
            Reaction::Handles => Ok(Verdict::Handled),
            Reaction::Escalates => Ok(Verdict::Escalate),
            Reaction::Fails => Err(Failure::new("cannot mend it")),
            Reaction::Panics => panic!("no idea"),
            Reaction::Hangs => std::future::pending().await,
            Reaction::Stops => Ok(Verdict::Stop),
            Reaction::Restarts(strategy) => Ok(Verdict::Restart(strategy)),
        }
    }

    async fn on_undelivered(
        &mut self,
        undelivered: Undelivered,
        _: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let (name, why) = (undelivered.name, undelivered.why);
        let what = undelivered.into_message::<Say>().map_or_else(|_| "?".to_owned(), |say| say.0);
        self.0.log.add(format!("{} gets back {name} {what:?}: {why}", self.0.name));
        Ok(())
    }

    async fn stop(&mut self, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.log.add(format!("{} stops", self.0.name));
        self.0.stop.act("stop").await
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Say>();
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.0.log.add(format!("{} is dropped", self.0.name));
    }
}

/// Writes a word down, and says how many there are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Say(pub(crate) String);

/// Ends when a permit is there.
pub(crate) struct WaitFor(pub(crate) Arc<Semaphore>);

pub(crate) struct Fail(pub(crate) &'static str);

pub(crate) struct Panic(pub(crate) &'static str);

/// Spawns a child.
pub(crate) struct Spawn(pub(crate) Script);

/// Keeps the address to answer to for so long, and then lets go of it or answers.
pub(crate) struct Later {
    pub(crate) after: Duration,
    pub(crate) answer: Option<u32>,
    pub(crate) reply: ReplyTo<u32>,
}

macro_rules! message {
    ($name:ident, $reply:ty) => {
        impl Message for $name {
            const NAME: &'static str = concat!("test.", stringify!($name));
            type Reply = $reply;
        }
    };
}

message!(Say, usize);
message!(WaitFor, ());
message!(Fail, ());
message!(Panic, ());
message!(Spawn, ActorRef<Scripted>);
message!(Later, ());

impl Handler<Say> for Scripted {
    async fn handle(&mut self, Say(word): Say, _: &mut Context<Self>) -> Result<usize, Failure> {
        self.0.log.add(format!("{} hears {word}", self.0.name));
        Ok(self.0.log.lines().len())
    }
}

impl Handler<WaitFor> for Scripted {
    async fn handle(&mut self, message: WaitFor, _: &mut Context<Self>) -> Result<(), Failure> {
        self.0.log.add(format!("{} waits", self.0.name));
        message.0.acquire().await?.forget();
        Ok(())
    }
}

impl Handler<Fail> for Scripted {
    async fn handle(&mut self, Fail(why): Fail, _: &mut Context<Self>) -> Result<(), Failure> {
        Err(Failure::new(why))
    }
}

impl Handler<Panic> for Scripted {
    async fn handle(&mut self, Panic(why): Panic, _: &mut Context<Self>) -> Result<(), Failure> {
        panic!("{why}")
    }
}

impl Handler<Spawn> for Scripted {
    async fn handle(
        &mut self,
        Spawn(script): Spawn,
        cx: &mut Context<Self>,
    ) -> Result<ActorRef<Self>, Failure> {
        Ok(cx.spawn_named(script.name, script))
    }
}

impl Handler<Later> for Scripted {
    async fn handle(&mut self, later: Later, cx: &mut Context<Self>) -> Result<(), Failure> {
        cx.attach(async move {
            tokio::time::sleep(later.after).await;
            match later.answer {
                // Whoever asked may have given up.
                Some(answer) => _ = later.reply.send(answer).is_ok(),
                None => drop(later.reply),
            }
            Ok(())
        });
        Ok(())
    }
}

/// Is answered by work beside the actor, after so long, or not at all.
pub(crate) struct Deferred {
    pub(crate) after: Duration,
    pub(crate) panics: bool,
}

message!(Deferred, u32);

impl Handler<Deferred> for Scripted {
    async fn handle(&mut self, _: Deferred, _: &mut Context<Self>) -> Result<u32, Failure> {
        Ok(0)
    }

    async fn handle_call(
        &mut self,
        message: Deferred,
        mut reply: ReplyTo<u32>,
        cx: &mut Context<Self>,
    ) -> Result<(), Failure> {
        let log = self.0.log.clone();
        cx.attach(async move {
            tokio::select! {
                () = reply.abandoned() => log.add("abandoned"),
                () = tokio::time::sleep(message.after) => {
                    assert!(!message.panics, "no answer");
                    // Whoever asked may have given up.
                    _ = reply.send(8).is_ok();
                }
            }
            Ok(())
        });
        Ok(())
    }
}

/// A script of this name that writes to `log`.
pub(crate) fn script(name: &'static str, log: &Log) -> Script {
    Script { name, log: log.clone(), ..Script::default() }
}

/// A process whose unhandled failures are written to the log.
pub(crate) fn proc(log: &Log) -> Proc {
    let log = log.clone();
    let mut config = mesh_runtime::ProcConfig::local();
    config.on_failure = Box::new(move |failure| log.add(format!("root is told: {failure}")));
    Proc::start(config, tokio::runtime::Handle::current())
}

/// A process, and an actor of this name in it.
pub(crate) fn one(name: &'static str) -> (Proc, ActorRef<Scripted>, Log) {
    let log = Log::default();
    let proc = proc(&log);
    let actor = proc.spawn_named::<Scripted>(name, script(name, &log));
    (proc, actor, log)
}

pub(crate) fn say(word: &str) -> Say {
    Say(word.to_owned())
}

/// Something that no permit is there for yet.
pub(crate) fn gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}
