//! Whether all that is promised has held.

use meshwarden::mesh_core::MeshLabel;
use meshwarden::mesh_shape::{Extent, Rank, ShapeError};

use crate::counted;
use crate::demo::story::{Event, Listener, Moment};

/// What must have happened.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) n_ranks: usize,
    /// The rank whose process was to be killed.
    pub(crate) victim: usize,
    /// The rank whose actor was to panic, if one was.
    pub(crate) faulty: Option<usize>,
    /// Every mesh. The entries in the answers of calls are those of the last one, if actors panic.
    pub(crate) meshes: Vec<Supervised>,
}

/// A mesh, and what must have been told of it.
#[derive(Clone, Debug)]
pub(crate) struct Supervised {
    kind: String,
    id: String,
    failures: Vec<Ending>,
}

/// A failure of a rank, which is told once and is followed by a restart.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    rank: usize,
    point: String,
    incarnation: u64,
    /// What the cause says, among other things.
    cause: String,
    signal: Option<i32>,
}

impl Supervised {
    pub(crate) fn new(label: &MeshLabel, failures: Vec<Ending>) -> Self {
        let (kind, id) = (label.kind().to_owned(), label.id().to_string());
        Self { kind, id, failures }
    }
}

impl Ending {
    /// The process of a rank is killed in its first life.
    ///
    /// # Errors
    ///
    /// If it is no rank of the extent.
    pub(crate) fn killed(rank: Rank, extent: &Extent) -> Result<Self, ShapeError> {
        let (rank, point) = (rank.index(), extent.unravel(rank)?.to_string());
        let cause = "signal 9 (SIGKILL)".to_owned();
        Ok(Self { rank, point, incarnation: 0, cause, signal: Some(SIGKILL) })
    }

    /// Whose it is.
    pub(crate) const fn rank(&self) -> usize {
        self.rank
    }

    /// An actor ends with its process, which ends so.
    pub(crate) fn inherited(self, procs: &MeshLabel) -> Self {
        let Self { rank, cause, .. } = &self;
        let cause =
            format!("ended with what it lived in, caused by rank {rank} of {procs}: {cause}");
        Self { cause, ..self }
    }

    /// An actor panics, and says so.
    ///
    /// # Errors
    ///
    /// If it is no rank of the extent.
    pub(crate) fn panicked(
        (rank, incarnation): (Rank, u64),
        extent: &Extent,
        said: &str,
    ) -> Result<Self, ShapeError> {
        let (rank, point) = (rank.index(), extent.unravel(rank)?.to_string());
        Ok(Self { rank, point, incarnation, cause: said.to_owned(), signal: None })
    }
}

/// What of it did not happen, in words; nothing if all did.
pub(crate) fn broken(expected: &Expected, moments: &[Moment]) -> Vec<String> {
    let events: Vec<&Event> = moments.iter().map(|moment| &moment.event).collect();
    let of_meshes = expected.meshes.iter().flat_map(|mesh| {
        [
            ranks(expected.n_ranks, mesh, &events),
            failures(mesh, &events, Listener::Owner),
            failures(mesh, &events, Listener::Subscriber),
            restarts(mesh, &events),
        ]
    });
    let others = [
        kills(expected, &events),
        panics(expected, &events),
        answers(expected, &events),
        recounts(expected, &events),
        result(&events),
        end(&events),
    ];
    of_meshes.chain(others).filter_map(Result::err).collect()
}

fn ranks(n_ranks: usize, of: &Supervised, events: &[&Event]) -> Verdict {
    let mut ranks = events.iter().filter_map(|event| match event {
        Event::Spawned { mesh, rank, .. } if *mesh == of.id => Some(*rank),
        _ => None,
    });
    let are_all = ranks.by_ref().take(n_ranks).eq(0..n_ranks);
    hold(are_all && ranks.next().is_none(), || {
        format!("not each of the {n_ranks} ranks of the {} mesh was spawned once", of.kind)
    })
}

fn kills(expected: &Expected, events: &[&Event]) -> Verdict {
    let kills = events.iter().filter_map(|event| match event {
        Event::Killed { rank, .. } => Some(*rank),
        _ => None,
    });
    let kills: Vec<usize> = kills.collect();
    hold(kills == [expected.victim], || {
        format!("rank {} alone was to be killed, once; killed were {kills:?}", expected.victim)
    })
}

/// The process of an actor that panics lives on: the next life of the actor is in the same one.
fn panics(expected: &Expected, events: &[&Event]) -> Verdict {
    let panics = events.iter().enumerate().filter_map(|(index, event)| match event {
        Event::Panicked { rank, pid } => Some((index, *rank, *pid)),
        _ => None,
    });
    let panics: Vec<_> = panics.collect();
    let ranks: Vec<usize> = panics.iter().map(|(_, rank, _)| *rank).collect();
    hold(ranks == Vec::from_iter(expected.faulty), || {
        format!("actors that were to panic: {:?}; that did: {ranks:?}", expected.faulty)
    })?;
    for (index, of, before) in panics {
        let moved = events[index..].iter().find_map(|event| match event {
            Event::Restarted { rank, pid, .. } if *rank == of && *pid != before => Some(*pid),
            _ => None,
        });
        if let Some(pid) = moved {
            return Err(format!("rank {of} panicked on process {before} and runs on {pid} now"));
        }
    }
    Ok(())
}

/// The entry of a rank that fails in mid-call is its failure (R1).
fn answers(expected: &Expected, events: &[&Event]) -> Verdict {
    let answers = events.iter().filter_map(|event| match event {
        Event::Answer { mesh, rank, point, error, .. } => Some((mesh, rank, point, error)),
        _ => None,
    });
    let answers: Vec<_> = answers.collect();
    let called = expected.meshes.last().filter(|_| expected.faulty.is_some());
    let failures = called.map_or(&[][..], |mesh| &mesh.failures);
    let are_right = answers.len() == failures.len()
        && failures.iter().zip(&answers).all(|(failure, (mesh, rank, point, error))| {
            called.is_some_and(|called| called.id == **mesh)
                && (failure.rank, &failure.point) == (**rank, *point)
                && error.contains(&failure.cause)
        });
    hold(are_right, || format!("calls were answered with {answers:?}, instead of {failures:?}"))
}

/// A shard that is lost with its actor is counted again.
fn recounts(expected: &Expected, events: &[&Event]) -> Verdict {
    let recounts = events.iter().filter_map(|event| match event {
        Event::Recounted { rank, .. } => Some(*rank),
        _ => None,
    });
    let recounts: Vec<usize> = recounts.collect();
    let lost = expected.faulty.map(|_| expected.victim);
    hold(recounts == Vec::from_iter(lost), || {
        format!("the shards of {lost:?} were to be counted again; those were of {recounts:?}")
    })
}

fn failures(of: &Supervised, events: &[&Event], listener: Listener) -> Verdict {
    let told = events.iter().filter_map(|event| match event {
        Event::Failure { to, mesh, rank, point, incarnation, cause, signal, .. }
            if *to == listener && *mesh == of.id =>
        {
            Some((rank, point, incarnation, cause, signal))
        }
        _ => None,
    });
    let told: Vec<_> = told.collect();
    let are_right = told.len() == of.failures.len()
        && of.failures.iter().zip(&told).all(
            |(failure, (rank, point, incarnation, cause, signal))| {
                (failure.rank, &failure.point, failure.incarnation)
                    == (**rank, *point, **incarnation)
                    && failure.signal == **signal
                    && cause.contains(&failure.cause)
            },
        );
    hold(are_right, || {
        let name = listener.name();
        format!(
            "the {name} of the {} mesh was to be told once of {:?}, and was told of {told:?}",
            of.kind, of.failures
        )
    })
}

fn restarts(of: &Supervised, events: &[&Event]) -> Verdict {
    let restarts = events.iter().filter_map(|event| match event {
        Event::Restarted { mesh_kind, rank, incarnation, .. } if *mesh_kind == of.kind => {
            Some((*rank, *incarnation))
        }
        _ => None,
    });
    let restarts: Vec<_> = restarts.collect();
    let expected: Vec<_> = of.failures.iter().map(|it| (it.rank, it.incarnation + 1)).collect();
    hold(restarts == expected, || {
        format!(
            "the {} mesh was to restart {expected:?} (rank, life); it did: {restarts:?}",
            of.kind
        )
    })
}

fn result(events: &[&Event]) -> Verdict {
    let is_equal = |event: &&Event| matches!(event, Event::Result { equal_to_serial: true, .. });
    hold(events.iter().copied().filter(is_equal).count() == 1, || {
        "the words are not those that one thread counts".to_owned()
    })
}

fn end(events: &[&Event]) -> Verdict {
    match events.last() {
        Some(Event::Stopped { left_over: 0 }) => Ok(()),
        Some(Event::Stopped { left_over }) => Err(counted::left_over(*left_over)),
        _ => Err("the mesh was not stopped".to_owned()),
    }
}

type Verdict = Result<(), String>;

fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}

const SIGKILL: i32 = 9;

#[cfg(test)]
mod tests;
