//! names: actors that are found by name in their process.

use mesh_core::End;
use mesh_runtime::{Actor, ActorRef, Context, Failure, LookupError, Proc, RegisterError, Stop};

use crate::script::{Fail, Scripted, one, say, script};

/// Another type, that nobody sends anything.
struct Other;

impl Actor for Other {
    const NAME: &'static str = "other";
    type Params = ();

    async fn start(_: (), cx: &mut Context<Self>) -> Result<Self, Failure> {
        cx.me().register("other")?;
        Ok(Self)
    }
}

fn lookup(proc: &Proc, name: &str) -> Result<ActorRef<Scripted>, LookupError> {
    proc.lookup(name)
}

#[tokio::test]
async fn an_actor_is_found_by_its_names_until_it_has_ended() {
    let (proc, actor, log) = one("a");
    let unknown = |name: &str| Err(LookupError::Unknown { name: name.to_owned() });
    assert_eq!(lookup(&proc, "first"), unknown("first"));
    assert_eq!(lookup(&proc, "a"), unknown("a"), "what it is called in logs is another thing");
    for name in ["first", "second", "first"] {
        actor.register(name).unwrap();
    }
    assert_eq!(lookup(&proc, "first"), Ok(actor.clone()));
    assert_eq!(lookup(&proc, "second"), Ok(actor.clone()));

    let rival = proc.spawn::<Scripted>(script("b", &log));
    let taken = RegisterError::Taken { name: "first".to_owned(), by: "scripted" };
    assert_eq!(rival.register("first"), Err(taken));
    assert!(proc.unregister("second") && !proc.unregister("second"));
    rival.register("second").unwrap();
    assert_eq!(lookup(&proc, "second"), Ok(rival.clone()));

    actor.stop(Stop::Now);
    assert_eq!(actor.ended().await, End::Stopped);
    assert_eq!(lookup(&proc, "first"), unknown("first"));
    rival.register("first").unwrap();
    let ended = RegisterError::Ended { name: "late".to_owned() };
    assert_eq!(actor.register("late"), Err(ended));
    assert_eq!(lookup(&proc, "late"), unknown("late"));
    for name in ["first", "second"] {
        assert_eq!(
            lookup(&proc, name),
            Ok(rival.clone()),
            "the end of one frees no name of another"
        );
    }
}

#[tokio::test]
async fn a_name_of_another_type_is_told_so() {
    let (proc, _actor, _log) = one("a");
    let other = proc.spawn::<Other>(());
    while proc.lookup::<Other>("other").is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(proc.lookup::<Other>("other"), Ok(other));
    let error = lookup(&proc, "other").unwrap_err();
    assert_eq!(error.to_string(), "\"other\" is an actor of type other, and not of type scripted");
}

#[tokio::test]
async fn a_failure_frees_a_name_as_well() {
    let (proc, actor, _log) = one("a");
    actor.register("first").unwrap();
    actor.cast(&proc, Fail("oops")).await.unwrap();
    actor.ended().await;
    assert!(lookup(&proc, "first").is_err());
    assert!(actor.call(&proc, say("hello")).await.is_err());
}

/// Whoever was told of the end finds the name free, however many register and end at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_free_as_soon_as_their_end_is_known() {
    let (proc, _actor, log) = one("a");
    for _ in 0..200 {
        let actor = proc.spawn::<Scripted>(script("x", &log));
        actor.register("x").expect("the one before has ended");
        actor.stop(Stop::Now);
        actor.ended().await;
        assert!(lookup(&proc, "x").is_err());
    }
}
