//! `wall_clock`: a step of the wall clock changes nothing (L4, N9), with a library that shows processes
//! another wall clock and leaves the monotonic ones alone.

use std::error::Error;
use std::fs;
use std::process::Command;

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::fixture::{Running, WITHIN, run_script, temporary, until};
use crate::run::{events, statuses};
use crate::{Outcome, trial_with};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial_with("faketime", an_hour_forth_and_back_on_the_wall_clock_changes_nothing)]
}

/// L4, N9: longer than any lease, once forth and once back; and so often that each check, each beat and
/// each deadline meets it.
fn an_hour_forth_and_back_on_the_wall_clock_changes_nothing() -> Outcome {
    let (step, path) = (temporary("step"), temporary("events"));
    fs::write(&step, "+0")?;
    let run = run_script(
        &format!("--extent procs=2 --max-restarts 1 --events {}", path.display()),
        "trap 'exit 0' TERM; while :; do echo at $(date +%s).; sleep 0.05; done",
    );
    let running = run
        .env("LD_PRELOAD", &library()?)
        .env("FAKETIME_TIMESTAMP_FILE", step.to_str().ok_or("a path is text")?)
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start()?;
    running.until_printed("at ", 4)?;
    let began = newest(&running).ok_or("it has told the time")?;
    for hours in [1, -1, 1, -1, 0] {
        fs::write(&step, format!("{hours:+}h"))?;
        let is_stepped = |now: i64| (now - began - hours * 3_600).abs() < 600;
        until("the ranks see the step", WITHIN, || newest(&running).is_some_and(is_stepped))?;
        // A check, which is due within a second, and some beats.
        let n_lines = running.stdout().lines().count();
        running.until_printed("at ", n_lines + 60)?;
    }
    running.signal(Signal::TERM)?;
    let ended = running.finish()?;
    let events = events(&path)?;
    for rank in 0..2 {
        let told = statuses(&events, rank);
        let told: Vec<(&str, u64)> = told.iter().map(|(status, n)| (&**status, *n)).collect();
        let life = ["initializing", "running", "stopping", "stopped"].map(|status| (status, 0));
        assert_eq!(told, life, "{}", ended.stderr);
    }
    let troubles: Vec<_> = events.iter().filter(|event| event["event"] == "trouble").collect();
    assert!(troubles.is_empty(), "{troubles:?}");
    assert!(!ended.stderr.contains("stalled"), "{}", ended.stderr);
    Ok(())
}

/// What a rank has said last of the wall clock.
fn newest(running: &Running) -> Option<i64> {
    let stdout = running.stdout();
    let said = stdout.lines().rev().find_map(|line| line.split("at ").nth(1)?.strip_suffix('.'));
    said?.parse().ok()
}

/// The library that the program `faketime` puts before others.
fn library() -> Result<String, Box<dyn Error>> {
    let env = Command::new("faketime").args(["-f", "+0", "env"]).output()?;
    let env = String::from_utf8(env.stdout)?;
    let found = env.lines().find_map(|line| line.strip_prefix("LD_PRELOAD="));
    Ok(found.ok_or("faketime loads no library")?.to_owned())
}
