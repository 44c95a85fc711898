//! Whether all that is promised has held.

use crate::demo::story::{Event, Listener, Moment};

/// What must have happened.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) mesh: String,
    pub(crate) n_ranks: usize,
    /// The rank that was to be killed, and its coordinates.
    pub(crate) victim: usize,
    pub(crate) point: String,
}

/// What of it did not happen, in words; nothing if all did.
pub(crate) fn broken(expected: &Expected, moments: &[Moment]) -> Vec<String> {
    let events: Vec<&Event> = moments.iter().map(|moment| &moment.event).collect();
    [
        ranks(expected, &events),
        kills(expected, &events),
        failures(expected, &events, Listener::Owner),
        failures(expected, &events, Listener::Subscriber),
        restarts(expected, &events),
        result(&events),
        end(&events),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect()
}

fn ranks(expected: &Expected, events: &[&Event]) -> Result<(), String> {
    let mut ranks = events.iter().filter_map(|event| match event {
        Event::Spawned { mesh, rank, .. } if *mesh == expected.mesh => Some(*rank),
        _ => None,
    });
    let are_all = ranks.by_ref().take(expected.n_ranks).eq(0..expected.n_ranks);
    hold(are_all && ranks.next().is_none(), || {
        format!("not each of the {} ranks was spawned once", expected.n_ranks)
    })
}

fn kills(expected: &Expected, events: &[&Event]) -> Result<(), String> {
    let kills = events.iter().filter_map(|event| match event {
        Event::Killed { rank, .. } => Some(*rank),
        _ => None,
    });
    let kills: Vec<usize> = kills.collect();
    hold(kills == [expected.victim], || {
        format!("rank {} alone was to be killed, once; killed were {kills:?}", expected.victim)
    })
}

fn failures(expected: &Expected, events: &[&Event], listener: Listener) -> Result<(), String> {
    let told: Vec<&&Event> = events
        .iter()
        .filter(|event| matches!(event, Event::Failure { to, .. } if *to == listener))
        .collect();
    let name = match listener {
        Listener::Owner => "owner",
        Listener::Subscriber => "subscriber",
    };
    let [told] = told[..] else {
        return Err(format!("the {name} was told of {} failures instead of 1", told.len()));
    };
    let Event::Failure { mesh, rank, point, incarnation, signal, cause, .. } = told else {
        return Ok(());
    };
    let is_right = *mesh == expected.mesh
        && *rank == expected.victim
        && *point == expected.point
        && *incarnation == 0
        && *signal == Some(SIGKILL);
    hold(is_right, || {
        format!(
            "the {name} was told that rank {rank} ({point}), incarnation {incarnation}, of {mesh} \
             ended by {cause}, instead of rank {} ({}), incarnation 0, of {}, by signal {SIGKILL}",
            expected.victim, expected.point, expected.mesh
        )
    })
}

fn restarts(expected: &Expected, events: &[&Event]) -> Result<(), String> {
    let restarts = events.iter().filter_map(|event| match event {
        Event::Restarted { rank, incarnation, .. } => Some((*rank, *incarnation)),
        _ => None,
    });
    let restarts: Vec<_> = restarts.collect();
    hold(restarts == [(expected.victim, 1)], || {
        format!("rank {} was to be restarted once; restarts: {restarts:?}", expected.victim)
    })
}

fn result(events: &[&Event]) -> Result<(), String> {
    let is_equal = |event: &&Event| matches!(event, Event::Result { equal_to_serial: true, .. });
    hold(events.iter().copied().filter(is_equal).count() == 1, || {
        "the words are not those that one thread counts".to_owned()
    })
}

fn end(events: &[&Event]) -> Result<(), String> {
    match events.last() {
        Some(Event::Stopped { left_over: 0 }) => Ok(()),
        Some(Event::Stopped { left_over }) => Err(format!("{left_over} processes are left over")),
        _ => Err("the mesh was not stopped".to_owned()),
    }
}

fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

const SIGKILL: i32 = 9;

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected { mesh: "m".to_owned(), n_ranks: 2, victim: 1, point: "procs=1".to_owned() }
    }

    fn failure(to: Listener, rank: usize, signal: i32) -> Event {
        Event::Failure {
            to,
            mesh: "m".to_owned(),
            rank,
            point: format!("procs={rank}"),
            incarnation: 0,
            cause: format!("signal {signal}"),
            signal: Some(signal),
            seconds: 0.001,
        }
    }

    fn good() -> Vec<Event> {
        let spawned = |rank| Event::Spawned {
            mesh: "m".to_owned(),
            rank,
            point: format!("procs={rank}"),
            pid: 10,
        };
        let (words, distinct, top) = (1, 1, Vec::new());
        vec![
            spawned(0),
            spawned(1),
            Event::Killed { rank: 1, pid: 10 },
            failure(Listener::Subscriber, 1, 9),
            failure(Listener::Owner, 1, 9),
            Event::Restarted { rank: 1, incarnation: 1, pid: 11 },
            Event::Result { words, distinct, top, equal_to_serial: true },
            Event::Stopped { left_over: 0 },
        ]
    }

    fn n_broken(events: Vec<Event>) -> usize {
        let moments: Vec<_> = events.into_iter().map(|event| Moment { event, t: 0.0 }).collect();
        broken(&expected(), &moments).len()
    }

    #[test]
    fn what_holds_is_not_broken() {
        assert_eq!(n_broken(good()), 0);
    }

    #[test]
    fn every_event_is_needed_and_needed_once() {
        for index in 0..good().len() {
            let mut events = good();
            let event = events.remove(index);
            assert_eq!(n_broken(events), 1, "without {event:?}");
            let mut events = good();
            events.insert(index, event.clone());
            let expected = usize::from(!matches!(event, Event::Stopped { .. }));
            assert_eq!(n_broken(events), expected, "with another {event:?}");
        }
    }

    #[test]
    fn another_failure_is_not_the_one() {
        for wrong in [failure(Listener::Owner, 0, 9), failure(Listener::Owner, 1, 15)] {
            let mut events = good();
            events[4] = wrong;
            assert_eq!(n_broken(events), 1);
        }
    }

    #[test]
    fn another_count_and_a_process_left_over_are_broken_promises() {
        let mut events = good();
        events[7] = Event::Stopped { left_over: 1 };
        let (words, distinct, top) = (1, 1, Vec::new());
        events[6] = Event::Result { words, distinct, top, equal_to_serial: false };
        events[5] = Event::Restarted { rank: 0, incarnation: 1, pid: 11 };
        assert_eq!(n_broken(events), 3);
    }
}
