//! readers: those who read slowly or not at all hold up nobody, and miss nothing that they wait for.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use libtest_mimic::Trial;
use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::Signal;

use crate::fixture::{WITHIN, alive, run_script, temporary, until};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(a_slow_reader_of_events_is_told_every_end),
        trial(a_pipe_that_nobody_reads_is_refused_for_events),
        trial(a_refused_run_leaves_the_events_of_the_last_one),
        trial(a_full_standard_error_does_not_hold_up_supervision),
        trial(failures_are_told_to_a_slow_reader),
        trial(a_failure_is_told_while_others_are_still_being_started),
    ]
}

/// N2, N4, N7: also the ends that it was too slow for, and although the run had ended long before.
fn a_slow_reader_of_events_is_told_every_end() -> Outcome {
    assert_eq!(statuses_read_late("exit 0", 0)?, (600, 0));
    assert_eq!(statuses_read_late("exit 3", 3)?, (0, 600));
    Ok(())
}

/// How many ranks of 600 a reader finds stopped, and failed, if it begins when all have ended.
fn statuses_read_late(end: &str, code: i32) -> Result<(usize, usize), Box<dyn std::error::Error>> {
    let pipe = temporary("events");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR)?;
    // Opened for both, so that neither side waits for the other.
    let reader = File::options().read(true).write(true).open(&pipe)?;
    let ran = temporary("ran");
    fs::create_dir(&ran)?;
    let args = format!("--extent procs=600 --on-failure continue --events {}", pipe.display());
    let run = run_script(&args, &format!(": > {}/$RANK; {end}", ran.display())).start()?;
    let n_ran = || fs::read_dir(&ran).map_or(0, Iterator::count);
    until("the ranks to run", WITHIN, || n_ran() == 600)?;
    until("ranks and guards to end", WITHIN, || run.alive().len() == 1)?;
    let mut lines = BufReader::new(reader).lines();
    let (mut n_stopped, mut n_failed) = (0, 0);
    loop {
        let line = lines.next().ok_or("the pipe is kept open")??;
        n_stopped += usize::from(line.contains(r#""status":"stopped""#));
        n_failed += usize::from(line.contains(r#""status":"failed""#));
        if line.contains(r#""event":"closed""#) {
            break;
        }
    }
    run.finish()?.must_be(code)?;
    fs::remove_dir_all(&ran)?;
    Ok((n_stopped, n_failed))
}

fn a_pipe_that_nobody_reads_is_refused_for_events() -> Outcome {
    let pipe = temporary("events");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR)?;
    let ended = run_script(&format!("--events {}", pipe.display()), "true").finish()?.must_be(2)?;
    assert!(ended.stderr.contains("cannot write events"), "{ended:?}");
    Ok(())
}

fn a_refused_run_leaves_the_events_of_the_last_one() -> Outcome {
    let file = temporary("events");
    fs::write(&file, "what was before\n")?;
    let args = format!("--metrics 192.0.2.1:1 --events {}", file.display());
    run_script(&args, "true").finish()?.must_be(2)?;
    assert_eq!(fs::read_to_string(&file)?, "what was before\n");
    run_script(&format!("--extent procs=1 --events {}", file.display()), "true")
        .finish()?
        .must_be(0)?;
    assert!(!fs::read_to_string(&file)?.contains("before"));
    Ok(())
}

/// K1: leases are renewed, failures stop the rest and signals are heard, whoever reads.
fn a_full_standard_error_does_not_hold_up_supervision() -> Outcome {
    let script = "if [ $RANK = 0 ]; then sleep 2.5; exit 7; fi; exec yes >&2";
    let args = "--extent procs=2 --lease 1s --grace 300ms";
    let mut command = run_script(args, script).env("MESHWARDEN_LOG", "debug");
    command.command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mark = command.mark.clone();
    let mut child = command.command.spawn()?;
    let mut stderr = child.stderr.take().ok_or("it was piped")?;
    until("the ranks to start", WITHIN, || alive(&mark).len() >= 4)?;
    until("all ranks to end", WITHIN, || alive(&mark).len() <= 1)?;
    // Now it is read: the failure was stopped for, and nobody was culled.
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM)?;
    let mut text = Vec::new();
    stderr.read_to_end(&mut text)?;
    assert_eq!(child.wait()?.code(), Some(7), "{}", String::from_utf8_lossy(&text).len());
    assert!(!String::from_utf8_lossy(&text).contains("orphaned"));
    Ok(())
}

/// The ranks that failed are told, however late that is read.
fn failures_are_told_to_a_slow_reader() -> Outcome {
    let mut command = run_script("--extent procs=1200 --on-failure continue", "exit 3");
    command.command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mark = command.mark.clone();
    let mut child = command.command.spawn()?;
    let mut stderr = child.stderr.take().ok_or("it was piped")?;
    until("the ranks to start", WITHIN, || alive(&mark).len() > 2)?;
    until("ranks and guard to end", WITHIN, || alive(&mark).len() == 1)?;
    let mut text = String::new();
    stderr.read_to_string(&mut text)?;
    assert_eq!(child.wait()?.code(), Some(3));
    assert_eq!(text.matches("failed: exit code 3").count(), 1200);
    Ok(())
}

/// D2: nobody waits for the last rank to hear of the first.
fn a_failure_is_told_while_others_are_still_being_started() -> Outcome {
    let script = "[ $RANK = 0 ] && exit 9; exec sleep 1000";
    let ended = run_script("--extent procs=1500", script).finish()?.must_be(9)?;
    assert!(ended.stderr.starts_with("rank 0 "), "{ended:?}");
    Ok(())
}
