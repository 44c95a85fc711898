//! The whole mapping, against tables typed out here.
//!
//! # Where this differs from "stopping or unknown → Stopped"
//!
//! As for processes (the note is beside the tests of `proc-mesh`): an actor that is being stopped
//! still runs and is Stopping; a panic or an error while it stops is Failed with its message (ST4, H3);
//! one that its agent cannot account for is Failed(lost), and one whose process died has died with it
//! and names it (ST3, ST4, H4). The other mapping takes all four for a clean stop.

use mesh_core::{MeshId, MeshLabel};
use mesh_shape::Rank;

use super::*;

const ALIVE: Duration = Duration::from_secs(1);

fn handler() -> Arc<StalledHandler> {
    let (actor, message) = ("words".to_owned(), "COUNT".to_owned());
    Arc::new(StalledHandler { actor, message, age: Duration::from_millis(2_100) })
}

fn procs() -> MeshLabel {
    MeshLabel::new(MeshId::from_random(1), "workers", "proc")
}

/// A child of rank 2 of the mesh itself panicked.
fn chain() -> Vec<Link> {
    let mesh = MeshLabel::new(MeshId::from_random(2), "words", "actor");
    let reason = Reason::Panic { message: "boom".to_owned(), location: None };
    vec![Link::rank(mesh, Rank::new(2), reason)]
}

fn end(how: HowActorEnded, chain: Vec<Link>) -> ActorState {
    ActorState::Ended(Arc::new(ActorEnd { how, alive: ALIVE, chain }))
}

fn status(state: ActorState) -> Status {
    ActorKind.status(&ActorReport::new(state, Place::HEALTHY))
}

/// Every way to end, with its meaning: `None` is Stopped.
fn ends() -> [(HowActorEnded, Option<Reason>); 9] {
    let message = || "boom".to_owned();
    let panicked = |location: Option<String>| {
        let how = HowActorEnded::Panicked { message: message(), location: location.clone() };
        (how, Some(Reason::Panic { message: message(), location }))
    };
    [
        (HowActorEnded::Stopped, None),
        (HowActorEnded::Cancelled, None),
        (HowActorEnded::Killed, None),
        panicked(None),
        panicked(Some("src/words.rs:7:9".to_owned())),
        (HowActorEnded::Errored { message: message() }, Some(Reason::Error { message: message() })),
        (
            HowActorEnded::ChildFailed { child: "counter".to_owned() },
            Some(Reason::Child { actor: "counter".to_owned() }),
        ),
        (HowActorEnded::Culled, Some(Reason::Orphaned)),
        (HowActorEnded::Lost, Some(Reason::LostByAgent)),
    ]
}

/// Every state.
fn states() -> Vec<ActorState> {
    let living = [
        ActorState::Absent,
        ActorState::Creating,
        ActorState::Running,
        ActorState::HandlerStalled(handler()),
        ActorState::Stopping,
    ];
    living.into_iter().chain(ends().map(|(how, _)| end(how, Vec::new()))).collect()
}

/// One of each status that a process can have.
fn proc_statuses() -> Vec<Status> {
    let killed = Cause::new(Reason::Signal { signal: 9, core: false });
    vec![
        Status::NotExist,
        Status::Initializing,
        Status::Running,
        Status::Stalled(Stall::Suspended { signal: 19 }),
        Status::Stalled(Stall::DumpingCore),
        Status::Suspect,
        Status::Unreachable,
        Status::Stopping,
        Status::Stopped,
        Status::failed(killed.clone()),
        Status::Timeout { after: ALIVE, cause: None },
        Status::Timeout { after: ALIVE, cause: Some(killed.into()) },
    ]
}

#[test]
fn a_living_actor_in_a_healthy_process_is_what_is_said_of_it() {
    let meanings = [
        (ActorState::Absent, Status::NotExist),
        (ActorState::Creating, Status::Initializing),
        (ActorState::Running, Status::Running),
        (ActorState::HandlerStalled(handler()), Status::Stalled(Stall::Handler(handler()))),
        (ActorState::Stopping, Status::Stopping),
    ];
    for (state, expected) in meanings {
        assert_eq!(status(state.clone()), expected, "{state:?}");
    }
}

#[test]
fn a_stalled_actor_is_named_with_its_handler() {
    assert_eq!(
        status(ActorState::HandlerStalled(handler())).to_string(),
        "stalled (handler of COUNT in actor words has run for 2.1 s)"
    );
}

/// ST2, ST4: the same whether it was stopping or not, since how it ended says whether it failed.
#[test]
fn every_end_means_what_the_table_says() {
    for chain in [Vec::new(), chain()] {
        for (how, reason) in ends() {
            let expected = reason.map_or(Status::Stopped, |reason| {
                Status::failed(Cause::new(reason).with_alive(ALIVE).with_chain(chain.clone()))
            });
            assert_eq!(status(end(how.clone(), chain.clone())), expected, "{how:?}");
        }
    }
}

/// E2: the failure that goes up keeps its root, and a failing handler chains its own error to it.
#[test]
fn the_failure_of_a_child_is_told_down_to_its_root() {
    let unhandled = HowActorEnded::ChildFailed { child: "counter".to_owned() };
    assert_eq!(
        status(end(unhandled, chain())).to_string(),
        "failed: the failure of its child counter was not handled, \
         caused by rank 2 of actor mesh words: panicked: boom"
    );
    let failing = HowActorEnded::Errored { message: "no plan for that".to_owned() };
    assert_eq!(
        status(end(failing, chain())).to_string(),
        "failed: error: no plan for that, caused by rank 2 of actor mesh words: panicked: boom"
    );
}

/// ST3
#[test]
fn an_actor_is_never_healthier_than_its_process() {
    for proc in proc_statuses() {
        for state in states() {
            let alone = status(state.clone());
            let place = Place::new(&proc, &procs(), Rank::new(3));
            let is = ActorKind.status(&ActorReport::new(state, place));
            assert!(is.health() <= proc.health(), "{alone} in {proc} is {is}");
            assert!(is.health() <= alone.health(), "{alone} in {proc} is {is}");
            let is_its_own = is == alone;
            assert!(is_its_own || is.kind() == proc.kind(), "{alone} in {proc} is {is}");
            assert!(is_its_own || !alone.is_terminal(), "{alone} in {proc} is {is}");
        }
    }
}

/// ST3, ST2
#[test]
fn an_actor_of_a_process_that_failed_names_it() {
    let oom = Status::failed(Cause::new(Reason::OutOfMemory));
    let place = Place::new(&oom, &procs(), Rank::new(3));
    for state in states().into_iter().filter(|state| !matches!(state, ActorState::Ended(_))) {
        let is = ActorKind.status(&ActorReport::new(state.clone(), place.clone()));
        assert_eq!(
            is.to_string(),
            "failed: ended with what it lived in, \
             caused by rank 3 of proc mesh workers: killed by the kernel: out of memory",
            "{state:?}"
        );
    }
}

/// H4: what was doubted is what it was before, once its process is heard again.
#[test]
fn a_doubt_of_the_process_forgets_nothing_of_the_actor() {
    let said = ActorState::HandlerStalled(handler());
    let at = |proc: &Status| {
        let place = Place::new(proc, &procs(), Rank::new(3));
        ActorKind.status(&ActorReport::new(said.clone(), place))
    };
    let is: Vec<Status> =
        [Status::Running, Status::Unreachable, Status::Running].iter().map(at).collect();
    let stalled = Status::Stalled(Stall::Handler(handler()));
    assert_eq!(is, [stalled.clone(), Status::Unreachable, stalled]);
}

/// H8
#[test]
fn reports_of_ranks_in_different_processes_are_equal_while_these_live() {
    for proc in proc_statuses().into_iter().filter(|proc| !proc.is_failure()) {
        let report =
            |rank| ActorReport::new(ActorState::Running, Place::new(&proc, &procs(), rank));
        assert_eq!(report(Rank::new(0)), report(Rank::new(1)), "{proc}");
    }
}
