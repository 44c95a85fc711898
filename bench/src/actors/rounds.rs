//! Everybody in turn, round by round.

use std::collections::BTreeMap;

use meshwarden_bench_player::Failed;
use meshwarden_bench_player::actors::Work;

use super::entrants::{self, Entrant, is_peer};
use crate::measure::Effort;
use crate::report::{Record, Stats};

/// One figure of a work: which of those that are found, of what, and its unit.
struct Figure {
    work: Work,
    at: usize,
    name: &'static str,
    metric: (&'static str, &'static str),
}

const fn figure(
    (work, at): (Work, usize),
    name: &'static str,
    metric: (&'static str, &'static str),
) -> Figure {
    Figure { work, at, name, metric }
}

const FIGURES: &[Figure] = &[
    figure((Work::One, 0), "one producer → one actor", ("rate", "/s")),
    figure((Work::Eight, 0), "8 producers → one actor", ("rate", "/s")),
    figure((Work::Pairs, 0), "8 pairs", ("rate", "/s")),
    figure((Work::Call, 0), "call; p50", ("p50", "ns")),
    figure((Work::Call, 1), "call; p99", ("p99", "ns")),
    figure((Work::Spawn, 0), "spawn of an actor", ("time", "ns")),
    figure((Work::Spawn, 1), "memory of an idle actor", ("resident bytes", "B")),
    figure((Work::Queued, 0), "memory of 10^6 queued messages", ("resident bytes", "B")),
    figure((Work::Panic, 0), "panic → its parent is told; p50", ("p50", "ns")),
    figure((Work::Broadcast, 0), "broadcast to 1,000 actors and gather; p50", ("p50", "ns")),
];

/// What is found depends on the number of threads only here.
const fn is_done_on(work: Work, threads: usize) -> bool {
    threads == 2 || !matches!(work, Work::Queued | Work::Panic)
}

/// What was found, round by round.
type Found = BTreeMap<((usize, Work), &'static str), Vec<Vec<f64>>>;

/// Lets everybody play. All records of one work are together, ours first.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Vec<Record>>, Failed> {
    let (mut entrants, mut found) = (entrants::all(), Found::new());
    // The first round finds files that are read for the first time.
    round(&mut entrants, Effort::Quick, &mut Found::new())?;
    for _ in 0..effort.rounds() {
        round(&mut entrants, effort, &mut found)?;
    }
    Ok(records(&found, &entrants))
}

/// Everybody in turn at each work.
fn round(entrants: &mut Vec<Entrant>, effort: Effort, found: &mut Found) -> Result<(), Failed> {
    for threads in THREADS {
        for (work, _) in Work::ALL.into_iter().filter(|(work, _)| is_done_on(*work, threads)) {
            let mut gone = Vec::new();
            for entrant in entrants.iter().filter(|entrant| entrant.does(work)) {
                match entrant.play((work, threads), effort) {
                    Ok(figures) if figures.is_empty() => (),
                    Ok(figures) => {
                        found.entry(((threads, work), entrant.by)).or_default().push(figures);
                    }
                    Err(why) if is_peer(entrant.by) => {
                        complain(entrant, &why);
                        gone.push(entrant.by);
                    }
                    Err(why) => return Err(format!("{}: {why}", entrant.by).into()),
                }
            }
            entrants.retain(|entrant| !gone.contains(&entrant.by));
        }
    }
    Ok(())
}

fn records(found: &Found, entrants: &[Entrant]) -> Vec<Vec<Record>> {
    let mut all = Vec::new();
    for threads in THREADS {
        for Figure { work, at, name, metric } in FIGURES {
            let name = if threads == 2 { (*name).to_owned() } else { one_thread(name) };
            let record = |entrant: &Entrant| {
                let rounds = found.get(&((threads, *work), entrant.by))?;
                let samples = rounds.iter().filter_map(|round| round.get(*at).copied()).collect();
                Some(Record::new(name.clone(), entrant.by, *metric, Stats::of(samples)))
            };
            all.push(entrants.iter().filter_map(record).collect::<Vec<_>>());
        }
    }
    all.retain(|records| !records.is_empty());
    all
}

/// How a work is called that is done on one thread.
fn one_thread(name: &str) -> String {
    format!("{name}, on one thread")
}

#[expect(clippy::print_stderr, reason = "people are to see it")]
fn complain(entrant: &Entrant, why: &Failed) {
    eprintln!("actors: {} is left out from here on: {why}", entrant.by);
}

/// How many threads run actors and those who send to them.
const THREADS: [usize; 2] = [2, 1];
