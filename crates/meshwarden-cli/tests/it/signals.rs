//! Signals to the program: it stops its ranks, or suspends them, and says so with its exit code.

use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::fixture::{
    WITHIN, alive, alive_as, must_be_gone, run_script, state_of, temporary, until, wrapped,
};
use crate::run::{events, statuses};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(a_signal_to_end_stops_the_mesh_and_gives_its_code),
        trial(asked_twice_it_kills_at_once),
        trial(the_ranks_have_the_grace_to_end),
        trial(a_failure_before_the_signal_gives_the_code),
        trial(a_signal_while_ranks_wait_for_their_restart_ends_the_run),
        trial(a_signal_while_it_starts_ends_the_run),
        trial(a_hangup_ends_it_unless_it_was_started_to_ignore_that),
        trial(suspended_by_hand_its_ranks_are_too_and_its_leases_wait),
        trial(a_suspended_rank_is_stalled_and_ends_when_it_is_asked_to),
    ]
}

fn a_signal_to_end_stops_the_mesh_and_gives_its_code() -> Outcome {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let running = run_script("--extent hosts=2,procs=2", "echo up; exec sleep 1000").start()?;
        running.until_printed("up", 4)?;
        let mark = running.mark.clone();
        running.signal(signal)?;
        let ended = running.finish()?.must_be(code)?;
        must_be_gone(&mark)?;
        assert_eq!(ended.stderr, "", "no failure is reported");
    }
    Ok(())
}

fn asked_twice_it_kills_at_once() -> Outcome {
    let script = "trap 'echo asked' TERM; echo up; while :; do sleep 0.02; done";
    let running = run_script("--extent procs=2 --grace 1h", script).start()?;
    running.until_printed("up", 2)?;
    running.signal(Signal::INT)?;
    running.until_printed("asked", 2)?;
    let asked_again_at = Instant::now();
    running.signal(Signal::INT)?;
    let mark = running.mark.clone();
    let ended = running.finish()?.must_be(130)?;
    let took = asked_again_at.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}: {ended:?}");
    must_be_gone(&mark)?;
    Ok(())
}

fn the_ranks_have_the_grace_to_end() -> Outcome {
    let script =
        "trap 'sleep 0.5; echo cleaned up; exit 0' TERM; echo up; while :; do sleep 0.02; done";
    let running = run_script("--extent procs=2", script).start()?;
    running.until_printed("up", 2)?;
    running.signal(Signal::TERM)?;
    let ended = running.finish()?.must_be(143)?;
    assert_eq!(ended.stdout.matches("cleaned up").count(), 2, "{}", ended.stdout);
    Ok(())
}

fn a_failure_before_the_signal_gives_the_code() -> Outcome {
    let script = "test $RANK = 0 && exit 5; echo up; exec sleep 1000";
    let running = run_script("--extent procs=2 --on-failure continue", script).start()?;
    running.until_printed("up", 1)?;
    until("the failure", WITHIN, || running.stderr().contains("exit code 5"))?;
    running.signal(Signal::INT)?;
    running.finish()?.must_be(5)?;
    Ok(())
}

fn a_signal_while_ranks_wait_for_their_restart_ends_the_run() -> Outcome {
    let args = "--extent procs=1 --max-restarts 9 --backoff-min 1h --backoff-max 1h";
    let running = run_script(args, "exit 5").start()?;
    until("the failure", WITHIN, || running.stderr().contains("it will be started again"))?;
    running.signal(Signal::TERM)?;
    let ended = running.finish()?;
    assert!([5, 143].contains(&ended.code()), "{ended:?}");
    Ok(())
}

fn a_signal_while_it_starts_ends_the_run() -> Outcome {
    for millis in [0, 5, 20, 60] {
        let running = run_script("--extent hosts=3,procs=30", "exec sleep 1000").start()?;
        let mark = running.mark.clone();
        std::thread::sleep(Duration::from_millis(millis));
        running.signal(Signal::INT)?;
        let ended = running.finish()?;
        // Before it listens, it ends as every program does.
        assert!([130, -2].contains(&ended.code()), "after {millis} ms: {ended:?}");
        until("nothing left", Duration::from_secs(1), || alive(&mark).is_empty())?;
    }
    Ok(())
}

fn a_hangup_ends_it_unless_it_was_started_to_ignore_that() -> Outcome {
    let script = "echo up; sleep 0.5; echo done";
    let args = ["run", "--extent", "procs=1", "--", "sh", "-c", script];
    let running = wrapped("nohup", args).start()?;
    running.until_printed("up", 1)?;
    running.signal(Signal::HUP)?;
    let ended = running.finish()?.must_be(0)?;
    assert_eq!(ended.lines_of("procs=0"), ["up", "done"]);
    Ok(())
}

fn suspended_by_hand_its_ranks_are_too_and_its_leases_wait() -> Outcome {
    let path = temporary("events");
    // A busy machine is not to be what casts a doubt on somebody: doubts come as late as they can.
    let times = "--lease 1500ms --suspect 1500ms --unreachable 1500ms --timeout 3s --check 1500ms \
        --poll-deadline 1500ms";
    let args = format!("--extent hosts=2,procs=2 {times} --events {}", path.display());
    let running = run_script(&args, "sleep 1000 & echo up; exec sleep 1000").start()?;
    running.until_printed("up", 4)?;
    let sleeps = || alive_as(&running.mark, "sleep");
    until("the ranks", WITHIN, || sleeps().len() == 8)?;
    running.signal(Signal::TSTP)?;
    until("every rank and the program suspended", WITHIN, || {
        let is_stopped = |pid: &u32| state_of(*pid) == Some('T');
        sleeps().iter().all(is_stopped) && is_stopped(&running.pid())
    })?;
    // More than twice the lease, and longer than a controller waits for the silent.
    std::thread::sleep(Duration::from_millis(3_500));
    running.signal(Signal::CONT)?;
    until("all go on", WITHIN, || running.in_state('T') == 0)?;
    // Time for whoever would complain: longer than a lease.
    std::thread::sleep(Duration::from_millis(1_800));
    assert_eq!(sleeps().len(), 8);
    running.signal(Signal::INT)?;
    let ended = running.finish()?.must_be(130)?;
    assert_eq!(ended.stderr.matches(": failed: ").count(), 0, "{}", ended.stderr);
    let events = events(&path)?;
    assert!(!events.iter().any(|event| event["event"] == "trouble"), "{events:?}");
    for rank in 0..4 {
        let statuses = statuses(&events, rank);
        let bad = ["failed", "timeout", "unreachable", "suspect"];
        assert!(!statuses.iter().any(|(it, _)| bad.contains(&it.as_str())), "{statuses:?}");
    }
    Ok(())
}

/// D6
fn a_suspended_rank_is_stalled_and_ends_when_it_is_asked_to() -> Outcome {
    let path = temporary("events");
    let args = format!("--extent procs=2 --lease 1s --events {}", path.display());
    let script = "test $RANK = 0 && kill -STOP $$; exec sleep 1000";
    let running = run_script(&args, script).start()?;
    let is_stalled = || {
        events(&path).is_ok_and(|events| {
            statuses(&events, 0).last().is_some_and(|(status, _)| status == "stalled")
        })
    };
    until("stalled", WITHIN, is_stalled)?;
    // H4: the kernel says that it is suspended, so silence means nothing.
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(is_stalled());
    running.signal(Signal::INT)?;
    running.finish()?.must_be(130)?;
    assert_eq!(statuses(&events(&path)?, 0).pop(), Some(("stopped".to_owned(), 0)));
    Ok(())
}
