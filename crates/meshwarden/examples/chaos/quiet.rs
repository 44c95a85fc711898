//! F1: many ranks that nothing is done to, while hogs take the processors' time: nobody may be told that one of them has
//! ended or cannot be reached.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use meshwarden::Root;
use meshwarden::mesh_core::{Interest, MeshEvent, News, StatusKind, Timestamp};
use meshwarden::prelude::*;
use meshwarden::proc_mesh::Census;
use meshwarden::supervise::{Clock, MeshEvents};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::actors::{Ask, Home, START_WITHIN, TIMES, Victim, scratch};
use crate::hogs::Hogs;
use crate::options::{Options, Quiet};
use crate::report::{Machine, bounded, spread};

/// Whose ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Of {
    Actors,
    Processes,
}

/// What was told, and how calls were answered.
#[derive(Debug, Default)]
struct Heard {
    /// How many ranks were told to be something.
    told: BTreeMap<(Of, StatusKind), usize>,
    /// What nobody should be told, as words.
    false_alarms: Vec<String>,
    /// Answers that are no values.
    unanswered: Vec<String>,
    /// How long each call of all took.
    took: Vec<Duration>,
}

impl Heard {
    fn hear(&mut self, of: Of, at: Timestamp, event: &MeshEvent) {
        match &event.news {
            News::Changed(changes) => changes.iter().for_each(|change| self.change(of, at, change)),
            News::Trouble(trouble) => self.alarm(of, at, trouble),
            News::Snapshot(snapshot) if snapshot.lagged => self.alarm(of, at, &"it has lagged"),
            News::Escalated(_) => self.alarm(of, at, &"it was escalated"),
            News::Recalled { .. } => self.alarm(of, at, &"ranks are started again"),
            News::Withdrawn(_) => self.alarm(of, at, &"ranks are not started again"),
            News::Stopping { .. } | News::Closed => self.alarm(of, at, &"it has ended"),
            News::Snapshot(_) | News::Heartbeat { .. } => {}
        }
    }

    fn change(&mut self, of: Of, at: Timestamp, change: &Change) {
        *self.told.entry((of, change.status.kind())).or_default() += change.ranks.len();
        if change.status.is_terminal() || change.status == Status::Unreachable {
            self.alarm(of, at, &format_args!("ranks {}: {}", change.ranks, change.status));
        }
    }

    fn alarm(&mut self, of: Of, at: Timestamp, what: &dyn std::fmt::Display) {
        let at = at.since_start().as_secs_f64();
        self.false_alarms.push(format!("{of:?} after {at:.1} s: {what}"));
    }

    const fn is_clean(&self) -> bool {
        self.false_alarms.is_empty() && self.unanswered.is_empty()
    }
}

/// Runs all of it, and says what came of it.
///
/// # Errors
///
/// If nothing can be started.
pub(crate) async fn run(root: &Root, options: &Options, quiet: Quiet) -> Result<ExitCode> {
    let mut census = Census::begin()?;
    let machine = Machine::look();
    let Quiet { n_ranks, minutes } = quiet;
    let scratch = scratch()?;
    let hosts = root.hosts(1).await.context("the host cannot be started")?;
    let extent: Extent = format!("procs={n_ranks}").parse()?;
    let homes = root.procs(extent).name("homes").times(TIMES).actors()?;
    let homes = timeout(START_WITHIN, homes.spawn(&hosts)).await??;
    let dir = scratch.path().to_owned();
    let home = move |point: Point<'_>| Home { dir: dir.clone(), rank: point.rank().index() };
    let spec = ActorSpec::<Victim>::per_rank("quiet", home).times(TIMES);
    let mesh = timeout(START_WITHIN, homes.spawn_as(spec)).await??;
    for seat in homes.seats().await {
        census.seat(seat.pid);
    }
    let id = homes.label().id();
    let clock = Clock::start();
    let (told, mut telling) = mpsc::unbounded_channel();
    let pass_on = |of, events| pass_on((of, clock), events, told.clone());
    tokio::spawn(pass_on(Of::Actors, mesh.subscribe(Interest::All).await?));
    tokio::spawn(pass_on(Of::Processes, homes.subscribe(Interest::All).await?));

    let hogs = Hogs::start(options.n_hogs)?;
    let mut heard = Heard::default();
    let listening = listen(root, &mesh, (&mut heard, &mut telling));
    // It never ends by itself.
    _ = timeout(Duration::from_secs(minutes * 60), listening).await.is_err();
    let ran = clock.now().since_start();
    drop(hogs);
    drop((mesh, homes));
    let is_closed = hosts.close().await;
    let left_over = census.left_over(Some(id))?;

    let is_clean = heard.is_clean() && is_closed && left_over.is_empty();
    let mut to = io::stdout().lock();
    writeln!(to, "{machine}\n{n_ranks} actors on as many processes, {} hogs", options.n_hogs)?;
    writeln!(to, "{:.0} s, lease {} s", ran.as_secs_f64(), TIMES.lease.as_secs())?;
    heard.took.sort_unstable();
    let n_answers = heard.took.len() * n_ranks;
    writeln!(
        to,
        "{} calls of all, answered after {} ms (p50 / p99 / max)\nnot answered: {}",
        heard.took.len(),
        spread(&heard.took, &[50, 99, 100]),
        bounded(heard.unanswered.len(), n_answers)
    )?;
    for ((of, kind), n) in &heard.told {
        writeln!(to, "{of:?} told as {}: {n}", kind.label())?;
    }
    writeln!(to, "false ends and unreachable ranks: {}", heard.false_alarms.len())?;
    for what in heard.false_alarms.iter().chain(&heard.unanswered).take(SHOWN_MAX) {
        writeln!(to, "false: {what}")?;
    }
    writeln!(to, "left over: {}", left_over.len())?;
    writeln!(to, "{}", if is_clean { "clean" } else { "NOT CLEAN" })?;
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

type Telling = mpsc::UnboundedReceiver<(Of, Timestamp, MeshEvent)>;

async fn pass_on(
    (of, clock): (Of, Clock),
    mut events: MeshEvents,
    told: mpsc::UnboundedSender<(Of, Timestamp, MeshEvent)>,
) {
    while let Some(event) = events.next().await {
        // With the run there is nobody left to tell.
        _ = told.send((of, clock.now(), event)).is_ok();
    }
}

/// Calls all once a second, and hears what is told.
async fn listen(
    root: &Root,
    mesh: &ActorMeshRef<Victim>,
    (heard, telling): (&mut Heard, &mut Telling),
) {
    let mut turns = interval(Duration::from_secs(1));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    loop {
        number += 1;
        let begun = Instant::now();
        let call = mesh.call(root, Ask(number)).within(CALL_WITHIN);
        tokio::pin!(call);
        let answers = loop {
            tokio::select! {
                answers = &mut call => break answers,
                Some((of, at, event)) = telling.recv() => heard.hear(of, at, &event),
            }
        };
        heard.took.push(begun.elapsed());
        let wrong = answers.iter().enumerate().filter(|(_, answer)| **answer != Ok(number));
        heard.unanswered.extend(wrong.map(|(rank, answer)| format!("rank {rank}: {answer:?}")));
        loop {
            tokio::select! {
                _ = turns.tick() => break,
                Some((of, at, event)) = telling.recv() => heard.hear(of, at, &event),
            }
        }
    }
}

/// How long a call of all may take among hogs.
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// The most lines about what is false.
const SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use meshwarden::mesh_core::{Cause, Incarnation, Reason};

    use super::*;

    /// F1
    #[test]
    fn an_end_and_a_rank_that_cannot_be_reached_are_false_and_a_doubt_is_none() {
        let told = |status| {
            let mut heard = Heard::default();
            let change = Change {
                ranks: RankSet::from(0..3),
                incarnation: Incarnation::FIRST,
                status,
                restart_in: None,
                age: Duration::ZERO,
            };
            heard.change(Of::Actors, Timestamp::START, &change);
            assert_eq!(heard.told.values().sum::<usize>(), 3);
            heard.is_clean()
        };
        assert!(told(Status::Suspect) && told(Status::Running));
        assert!(!told(Status::Unreachable) && !told(Status::Stopped));
        assert!(!told(Status::failed(Cause::new(Reason::Orphaned))));
        assert!(!told(Status::Timeout { after: Duration::ZERO, cause: None }));
    }
}
