//! The verdict of both ways, event by event.

use super::*;

const PANIC: &str = "panicked at counter.rs:1:1: a bug";

fn ending(rank: usize, (incarnation, cause): (u64, &str), signal: Option<i32>) -> Ending {
    let (point, cause) = (format!("procs={rank}"), cause.to_owned());
    Ending { rank, point, incarnation, cause, signal }
}

fn mesh(kind: &str, failures: Vec<Ending>) -> Supervised {
    Supervised { kind: kind.to_owned(), id: kind.to_owned(), failures }
}

fn processes() -> Expected {
    let killed = vec![ending(1, (0, "signal 9"), Some(9))];
    Expected { n_ranks: 2, victim: 1, faulty: None, meshes: vec![mesh("proc", killed)] }
}

fn actors() -> Expected {
    let ended = vec![
        ending(1, (0, "caused by rank 1 of proc mesh p: signal 9"), Some(9)),
        ending(0, (0, "a bug"), None),
    ];
    let mut expected = Expected { faulty: Some(0), ..processes() };
    expected.meshes.push(mesh("actor", ended));
    expected
}

fn spawned(kind: &str, rank: usize) -> Event {
    let (mesh_kind, mesh, point) = (kind.to_owned(), kind.to_owned(), format!("procs={rank}"));
    Event::Spawned { mesh_kind, mesh, rank, point, pid: 10 }
}

fn failure(kind: &str, to: Listener, rank: usize, (cause, signal): (&str, Option<i32>)) -> Event {
    Event::Failure {
        to,
        mesh_kind: kind.to_owned(),
        mesh: kind.to_owned(),
        rank,
        point: format!("procs={rank}"),
        incarnation: 0,
        cause: cause.to_owned(),
        signal,
        seconds: 0.001,
    }
}

fn answer(rank: usize, error: &str) -> Event {
    let (mesh_kind, mesh, point) =
        ("actor".to_owned(), "actor".to_owned(), format!("procs={rank}"));
    Event::Answer { mesh_kind, mesh, rank, point, error: error.to_owned(), seconds: 0.001 }
}

fn restarted(kind: &str, rank: usize, pid: u32) -> Event {
    Event::Restarted { mesh_kind: kind.to_owned(), rank, incarnation: 1, pid }
}

fn counted(equal_to_serial: bool) -> Event {
    Event::Result { words: 1, distinct: 1, top: Vec::new(), equal_to_serial }
}

const KILLED: Event = Event::Killed { rank: 1, pid: 10 };
const STOPPED: Event = Event::Stopped { left_over: 0 };
const SIGNAL: (&str, Option<i32>) = ("signal 9 (SIGKILL)", Some(9));
const CHAIN: &str = "ended, caused by rank 1 of proc mesh p: signal 9 (SIGKILL)";

fn of_processes() -> Vec<Event> {
    vec![
        spawned("proc", 0),
        spawned("proc", 1),
        KILLED,
        failure("proc", Listener::Subscriber, 1, SIGNAL),
        failure("proc", Listener::Owner, 1, SIGNAL),
        restarted("proc", 1, 11),
        counted(true),
        STOPPED,
    ]
}

fn of_actors() -> Vec<Event> {
    let mut events = of_processes();
    let more = vec![
        spawned("actor", 0),
        spawned("actor", 1),
        answer(1, CHAIN),
        failure("actor", Listener::Owner, 1, (CHAIN, Some(9))),
        failure("actor", Listener::Subscriber, 1, (CHAIN, Some(9))),
        Event::Recounted { rank: 1, by: "procs=0..1".to_owned(), n_ranks: 1 },
        restarted("actor", 1, 11),
        Event::Panicked { rank: 0, pid: 10 },
        answer(0, PANIC),
        failure("actor", Listener::Subscriber, 0, (PANIC, None)),
        failure("actor", Listener::Owner, 0, (PANIC, None)),
        restarted("actor", 0, 10),
    ];
    events.splice(6..6, more);
    events
}

fn n_broken(expected: &Expected, events: Vec<Event>) -> usize {
    let moments: Vec<_> = events.into_iter().map(|event| Moment { event, t: 0.0 }).collect();
    broken(expected, &moments).len()
}

#[test]
fn what_holds_is_not_broken() {
    assert_eq!(n_broken(&processes(), of_processes()), 0);
    assert_eq!(n_broken(&actors(), of_actors()), 0);
}

#[test]
fn every_event_is_needed_and_needed_once() {
    for (expected, good) in [(processes(), of_processes()), (actors(), of_actors())] {
        for index in 0..good.len() {
            let mut events = good.clone();
            let event = events.remove(index);
            assert_eq!(n_broken(&expected, events), 1, "without {event:?}");
            let mut events = good.clone();
            events.insert(index, event.clone());
            let is_end = matches!(event, Event::Stopped { .. });
            assert_eq!(n_broken(&expected, events), usize::from(!is_end), "with another {event:?}");
        }
    }
}

#[test]
fn another_failure_is_not_the_one() {
    let other_signal = ("signal 15 (SIGTERM)", Some(15));
    for wrong in [
        failure("proc", Listener::Owner, 0, SIGNAL),
        failure("proc", Listener::Owner, 1, other_signal),
    ] {
        let mut events = of_processes();
        events[4] = wrong;
        assert_eq!(n_broken(&processes(), events), 1);
    }
}

#[test]
fn an_answer_that_does_not_say_what_ended_the_process_is_a_broken_promise() {
    let mut events = of_actors();
    let index = events.iter().position(|event| matches!(event, Event::Answer { .. })).unwrap();
    events[index] = answer(1, "no answer within 60s");
    assert_eq!(n_broken(&actors(), events), 1);
}

#[test]
fn a_panic_that_ends_its_process_is_a_broken_promise() {
    let mut events = of_actors();
    let index = events.iter().rposition(|event| matches!(event, Event::Restarted { .. })).unwrap();
    events[index] = restarted("actor", 0, 12);
    assert_eq!(n_broken(&actors(), events), 1);
}

#[test]
fn another_count_and_a_process_left_over_are_broken_promises() {
    let mut events = of_processes();
    events[7] = Event::Stopped { left_over: 1 };
    events[6] = counted(false);
    events[5] = restarted("proc", 0, 11);
    assert_eq!(n_broken(&processes(), events), 3);
}
