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
        trial(a_failure_is_told_while_others_are_still_being_started),
    ]
}

/// N7: also those that it was too slow for.
fn a_slow_reader_of_events_is_told_every_end() -> Outcome {
    let pipe = temporary("events");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR)?;
    // Opened for both, so that neither side waits for the other; closed when the run has ended.
    let keep = File::options().read(true).write(true).open(&pipe)?;
    let args = format!("--extent procs=600 --events {}", pipe.display());
    let run = run_script(&args, "exit 0").start()?;
    until("the ranks to end", WITHIN, || run.alive().len() <= 2)?;
    let mut lines = BufReader::new(keep).lines();
    let mut n_stopped = 0;
    loop {
        let line = lines.next().ok_or("the pipe is kept open")??;
        if line.contains(r#""event":"closed""#) {
            break;
        }
        n_stopped += usize::from(line.contains(r#""status":"stopped""#));
    }
    run.finish()?.must_be(0)?;
    assert_eq!(n_stopped, 600);
    Ok(())
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

/// D2: nobody waits for the last rank to hear of the first.
fn a_failure_is_told_while_others_are_still_being_started() -> Outcome {
    let script = "[ $RANK = 0 ] && exit 9; exec sleep 1000";
    let ended = run_script("--extent procs=1500", script).finish()?.must_be(9)?;
    assert!(ended.stderr.starts_with("rank 0 "), "{ended:?}");
    Ok(())
}
