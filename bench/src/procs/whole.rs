//! Whole commands that start processes, from their own start to their own end.

use std::fmt;
use std::io::{self, Write};
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::inside::{floor_ended, floor_lives, floor_missed};
use super::launchers::{Launcher, OURS};
use super::roll::Roll;
use super::tally::Work;
use crate::measure::Effort;
use crate::report::Record;

/// Everybody in turn, in each round.
pub(crate) fn measure(
    launchers: &[Launcher],
    (n_procs, effort): (usize, Effort),
) -> io::Result<Vec<Vec<Record>>> {
    let work = |what: &str| Work::new(format!("{what}, as a command"));
    let mut ended = work(&format!("{n_procs} × true, from start to end"));
    let mut up = work(&format!("{n_procs} processes up"));
    let mut stopped = work(&format!("{n_procs} processes stopped by SIGTERM"));
    let mut missed = work(&format!("SIGKILL of one of {n_procs} → the others stopped"));
    let roll = Roll::new()?;
    let mut present: Vec<&Launcher> = launchers.iter().collect();
    for round in 0..=rounds(effort) {
        for launcher in present.clone() {
            let by = launcher.by.as_str();
            match turn(launcher, (n_procs, &roll)) {
                Ok(times) => {
                    let works = [&mut ended, &mut up, &mut stopped, &mut missed];
                    works
                        .into_iter()
                        .zip(times)
                        .for_each(|(work, time)| work.push(by, round, time));
                }
                Err(error) if by == OURS => return Err(error),
                Err(error) => {
                    say(format_args!("SKIPPED {by}, {n_procs} processes, from here on: {error}"));
                    present.retain(|other| other.by != by);
                }
            }
        }
        ended.push("floor", round, floor_ended(n_procs)?);
        let lives = floor_lives(n_procs, &roll)?;
        up.push("floor", round, lives[0]);
        stopped.push("floor", round, lives[1]);
        missed.push("floor", round, floor_missed(n_procs, &roll)?);
    }
    Ok([ended, up, stopped, missed].map(Work::records).into())
}

/// Some of the others take seconds for each.
fn rounds(effort: Effort) -> usize {
    effort.rounds().min(5)
}

/// Everything that one of them does in a round.
fn turn(launcher: &Launcher, of: (usize, &Roll)) -> io::Result<[Duration; 4]> {
    let ended = whole(launcher, of.0)?;
    let [up, stopped] = lives(launcher, of)?;
    Ok([ended, up, stopped, miss(launcher, of)?])
}

/// The figures go to standard output.
fn say(what: fmt::Arguments<'_>) {
    _ = writeln!(io::stderr(), "bench: {what}").is_ok();
}

fn whole(launcher: &Launcher, n_procs: usize) -> io::Result<Duration> {
    let started = Instant::now();
    let status = launcher.command(n_procs, &["true".to_owned()]).spawn()?.wait()?;
    let elapsed = started.elapsed();
    if status.success() {
        return Ok(elapsed);
    }
    Err(io::Error::other(format!("{} of {n_procs} × true: {status}", launcher.by)))
}

/// From the start of the command until all processes have answered, and from a signal until it has ended.
fn lives(launcher: &Launcher, (n_procs, roll): (usize, &Roll)) -> io::Result<[Duration; 2]> {
    let words = roll.words()?;
    let started = Instant::now();
    let mut command = launcher.command(n_procs, &words).spawn()?;
    called(launcher, (n_procs, roll), &mut command)?;
    let up = started.elapsed();
    let started = Instant::now();
    kill_process(Pid::from_child(&command), Signal::TERM)?;
    command.wait()?;
    Ok([up, started.elapsed()])
}

/// From the end of one process until the command has ended by that.
fn miss(launcher: &Launcher, (n_procs, roll): (usize, &Roll)) -> io::Result<Duration> {
    let mut command = launcher.command(n_procs, &roll.words()?).spawn()?;
    let pids = called(launcher, (n_procs, roll), &mut command)?;
    let killed = Instant::now();
    kill_process(*pids.first().ok_or(io::ErrorKind::NotFound)?, Signal::KILL)?;
    command.wait()?;
    Ok(killed.elapsed())
}

fn called(
    launcher: &Launcher,
    (n_procs, roll): (usize, &Roll),
    command: &mut Child,
) -> io::Result<Vec<Pid>> {
    roll.call(n_procs).map_err(|error| {
        _ = command.kill().is_ok();
        io::Error::new(error.kind(), format!("{} of {n_procs} processes: {error}", launcher.by))
    })
}
