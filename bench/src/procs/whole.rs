//! Whole commands that start processes, from their own start to their own end.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Write};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::inside::{floor_ended, floor_lives, floor_missed};
use super::launchers::{Launcher, OURS};
use super::roll::{PATIENCE, Roll, Watch};
use super::tally::Work;
use crate::measure::Effort;
use crate::report::Record;

/// How long processes may outlive the command that has started them, before they count as left behind.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);

/// What a command does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Whole,
    Stop,
    Miss,
}

/// What is found.
struct Works {
    ended: Work,
    up: Work,
    stopped: Work,
    stop_leaves: Work,
    missed: Work,
    miss_leaves: Work,
}

impl Works {
    fn new(n_procs: usize) -> Self {
        let stopped = format!("{n_procs} processes stopped by SIGTERM, as a command");
        let missed = format!("SIGKILL of one of {n_procs} → the others stopped, as a command");
        Self {
            ended: Work::new(format!("{n_procs} × true, from start to end, as a command")),
            up: Work::new(format!("{n_procs} processes up, as a command")),
            stop_leaves: Work::leaving(format!("{stopped}; left behind")),
            stopped: Work::new(stopped),
            miss_leaves: Work::leaving(format!("{missed}; left behind")),
            missed: Work::new(missed),
        }
    }

    /// One of them has its turn.
    fn add(
        &mut self,
        (launcher, deed): (&Launcher, Deed),
        round: usize,
        (n_procs, roll): (usize, &Roll),
    ) -> io::Result<()> {
        let by = launcher.by.as_str();
        match deed {
            Deed::Whole => self.ended.push(by, round, whole(launcher, n_procs)?),
            Deed::Stop => {
                let Life { up, ended, n_left } = life(launcher, (n_procs, roll), Signal::TERM)?;
                self.up.push(by, round, up);
                self.stopped.push(by, round, ended);
                self.stop_leaves.count(by, round, n_left as f64);
            }
            Deed::Miss => {
                let Life { ended, n_left, .. } = life(launcher, (n_procs, roll), Signal::KILL)?;
                self.missed.push(by, round, ended);
                self.miss_leaves.count(by, round, n_left as f64);
            }
        }
        Ok(())
    }

    fn add_floor(&mut self, round: usize, (n_procs, roll): (usize, &Roll)) -> io::Result<()> {
        self.ended.push("floor", round, floor_ended(n_procs)?);
        let [up, stopped] = floor_lives(n_procs, roll)?;
        self.up.push("floor", round, up);
        self.stopped.push("floor", round, stopped);
        self.missed.push("floor", round, floor_missed(n_procs, roll)?);
        Ok(())
    }
}

/// Everybody in turn, in each round.
pub(crate) fn measure(
    launchers: &[Launcher],
    (n_procs, effort): (usize, Effort),
) -> io::Result<Vec<Vec<Record>>> {
    let (mut works, roll) = (Works::new(n_procs), Roll::new()?);
    let mut given_up = BTreeSet::new();
    for round in 0..=rounds(effort) {
        for launcher in launchers {
            for deed in [Deed::Whole, Deed::Stop, Deed::Miss] {
                let by = launcher.by.as_str();
                if given_up.contains(&(by, deed)) {
                    continue;
                }
                match works.add((launcher, deed), round, (n_procs, &roll)) {
                    Ok(()) => {}
                    Err(error) if by == OURS => return Err(error),
                    Err(error) => {
                        say(format_args!("SKIPPED {by}, {n_procs} processes: {deed:?}: {error}"));
                        given_up.insert((by, deed));
                    }
                }
            }
        }
        works.add_floor(round, (n_procs, &roll))?;
    }
    let Works { ended, up, stopped, stop_leaves, missed, miss_leaves } = works;
    Ok([ended, up, stopped, stop_leaves, missed, miss_leaves].map(Work::records).into())
}

/// Some of the others take seconds for each.
fn rounds(effort: Effort) -> usize {
    effort.rounds().min(5)
}

/// The figures go to standard output.
fn say(what: fmt::Arguments<'_>) {
    _ = writeln!(io::stderr(), "bench: {what}").is_ok();
}

fn whole(launcher: &Launcher, n_procs: usize) -> io::Result<Duration> {
    let started = Instant::now();
    let status = end(&mut launcher.command(n_procs, &["true".to_owned()]).spawn()?)?;
    let elapsed = started.elapsed();
    if status.success() { Ok(elapsed) } else { Err(io::Error::other(status.to_string())) }
}

/// What was found of a command and its processes.
struct Life {
    /// From the start of the command until all processes have answered.
    up: Duration,
    /// From the signal until the command has ended.
    ended: Duration,
    /// The processes that were there all the same.
    n_left: usize,
}

/// Starts processes, and then sends `SIGTERM` to the command or `SIGKILL` to one of the processes.
fn life(launcher: &Launcher, (n_procs, roll): (usize, &Roll), signal: Signal) -> io::Result<Life> {
    let words = roll.words()?;
    let started = Instant::now();
    let mut command = launcher.command(n_procs, &words).spawn()?;
    let pids = match roll.call(n_procs) {
        Ok(pids) => pids,
        Err(error) => {
            _ = command.kill().and_then(|()| command.wait()).is_ok();
            return Err(error);
        }
    };
    let up = started.elapsed();
    let watch = Watch::new(&pids)?;
    let whom = match (signal, pids.first()) {
        (Signal::KILL, Some(first)) => *first,
        _ => Pid::from_child(&command),
    };
    let signalled = Instant::now();
    kill_process(whom, signal)?;
    let status = end(&mut command);
    let ended = signalled.elapsed();
    let n_left = watch.wait(SETTLED_WITHIN)?;
    status.map(|_| Life { up, ended, n_left })
}

/// Waits for the end of a command; kills it if that does not come.
fn end(command: &mut Child) -> io::Result<ExitStatus> {
    let n_left = Watch::new(&[Pid::from_child(command)])?.wait(PATIENCE)?;
    let status = command.wait()?;
    if n_left == 0 { Ok(status) } else { Err(io::Error::other("it does not end")) }
}
