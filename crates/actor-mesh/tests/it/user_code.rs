//! `user_code`: what a user has written runs on the user's threads, and holds up nobody who supervises.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use actor_mesh::{ActorMesh, ActorRegistry, ActorSpec, LocalProcs, Reducer};
use mesh_cast::FanOut;
use mesh_core::Message;
use mesh_runtime::{Actor, Context, ControlThread, Failure, Handler, Handlers, Proc, ProcConfig};
use mesh_shape::extent;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::runtime::Handle;

use crate::support::{all, soon};

const CONTROL: &str = "the-control-thread";

/// Where code of the user has run: what it was, and on which thread.
static SEEN: Mutex<Vec<(&str, String)>> = Mutex::new(Vec::new());

fn see(what: &'static str) {
    let name = thread::current().name().unwrap_or("?").to_owned();
    SEEN.lock().expect("nobody panics with it").push((what, name));
}

/// What tells where it is encoded and decoded.
#[derive(Clone, PartialEq)]
struct Told;

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        see("encode");
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Told {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        see("decode");
        <()>::deserialize(deserializer).map(|()| Self)
    }
}

struct Witness;

impl Actor for Witness {
    const NAME: &'static str = "witness";
    type Params = Told;

    async fn start(_: Told, _: &mut Context<Self>) -> Result<Self, Failure> {
        see("start");
        Ok(Self)
    }

    fn handlers(handlers: &mut Handlers<Self>) {
        handlers.takes::<Ask>();
    }
}

/// A question whose bytes, and those of the answer, tell the same.
#[derive(Clone, Serialize, Deserialize)]
struct Ask(Told);

impl Message for Ask {
    const NAME: &'static str = "test.Ask";
    type Reply = Told;
}

impl Handler<Ask> for Witness {
    async fn handle(&mut self, _: Ask, _: &mut Context<Self>) -> Result<Told, Failure> {
        see("handle");
        Ok(Told)
    }
}

/// Merges answers, which tells where that is done.
struct Meet;

impl Reducer<Told> for Meet {
    const NAME: &'static str = "test.Meet";

    fn merge(_: Told, other: Told) -> Told {
        see("merge");
        other
    }
}

/// The control plane runs no code of a user, which may block for as long as it likes.
#[tokio::test]
async fn the_control_thread_runs_no_code_of_a_user() {
    let control = ControlThread::start(CONTROL).unwrap();
    let config = ProcConfig { control: Some(control.handle().clone()), ..ProcConfig::local() };
    let proc = Proc::start(config, Handle::current());
    let mut registry = ActorRegistry::new();
    registry.actor::<Witness>().reducer(Meet);
    let procs = LocalProcs::start(&proc, "homes", extent!(procs = 7).unwrap(), registry);
    let procs = procs.await.unwrap();

    let params = |_: mesh_shape::Point<'_>| {
        see("params");
        Told
    };
    // By messages of each rank, and down a tree.
    let tree = ActorSpec::new("tree", &Told).fan_out(FanOut::new(2).unwrap());
    for spec in [ActorSpec::per_rank("each", params), ActorSpec::new("same", &Told), tree] {
        let mesh = soon(ActorMesh::<Witness>::spawn(&proc, &procs.procs(), spec)).await.unwrap();
        all(&soon(mesh.call(&proc, Ask(Told))).await);
        soon(mesh.cast(&proc, Ask(Told))).await.complete().unwrap();
        // Down a tree it is merged by whoever it passes on its way, too.
        assert!(soon(mesh.reduce(&proc, Ask(Told), Meet)).await.complete().unwrap().is_some());
        mesh.stop(Duration::from_secs(5)).await.unwrap();
    }

    let seen = SEEN.lock().unwrap().clone();
    for what in ["params", "encode", "decode", "start", "handle", "merge"] {
        assert!(seen.iter().any(|(it, _)| *it == what), "no {what} in {seen:?}");
    }
    assert!(seen.iter().all(|(_, thread)| thread != CONTROL), "{seen:?}");
}
