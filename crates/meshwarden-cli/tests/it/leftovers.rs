//! Whatever happens to the program, nothing of it is left.

use std::fs;
use std::time::Duration;

use libtest_mimic::Trial;
use rustix::process::{Pid, RawPid, Signal, kill_process};

use crate::fixture::{
    Running, WITHIN, alive_as, guards_of, must_be_gone, run_script, state_of, temporary, until,
};
use crate::run::{events, statuses};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(killed_it_leaves_no_descendant_within_a_second),
        trial(killed_while_it_spawns_it_leaves_nothing_within_a_second),
        trial(killed_while_it_is_suspended_it_leaves_nothing),
        trial(suspended_for_less_than_its_lease_it_loses_no_rank),
        trial(suspended_for_longer_than_its_lease_its_ranks_are_orphaned_and_not_crashed),
        trial(ranks_of_a_killed_guard_are_lost_and_gone),
        trial(ranks_of_a_silent_guard_time_out_and_nothing_is_left),
        trial(what_the_ranks_started_is_gone_after_a_good_end),
        trial(two_hundred_restarts_leave_no_descriptor_and_no_process),
    ]
}

/// O1
const GONE_WITHIN: Duration = Duration::from_secs(1);

fn kill(pid: u32, signal: Signal) -> Outcome {
    let pid = RawPid::try_from(pid).ok().and_then(Pid::from_raw).ok_or("it is a process id")?;
    Ok(kill_process(pid, signal)?)
}

fn must_leave_nothing(running: &Running, what: &str) -> Outcome {
    let what = format!("nothing left of {what:?}: {:?}", running.alive());
    until(&what, GONE_WITHIN, || running.alive().is_empty())?;
    Ok(())
}

/// O1, K3
fn killed_it_leaves_no_descendant_within_a_second() -> Outcome {
    let cases = [
        ("sleep 1000 & sleep 1000", 6),
        ("setsid sleep 1000 & wait", 3),
        ("(setsid sh -c 'sleep 1000 & exec sleep 1000' &) ; sleep 1000", 9),
        ("nohup setsid sh -c 'trap \"\" TERM HUP INT; sleep 1000; :' >/dev/null 2>&1 & wait", 3),
        ("sleep 1000 & kill -STOP $$", 3),
    ];
    for (script, n_sleeps) in cases {
        let running = run_script("--extent procs=3", script).start()?;
        until(script, WITHIN, || alive_as(&running.mark, "sleep").len() == n_sleeps)?;
        if script.contains("STOP") {
            until("suspended ranks", WITHIN, || running.in_state('T') == 3)?;
        }
        running.signal(Signal::KILL)?;
        must_leave_nothing(&running, script)?;
    }
    Ok(())
}

/// O1
fn killed_while_it_spawns_it_leaves_nothing_within_a_second() -> Outcome {
    for n_started in [1, 30, 70, 100] {
        let args = "--extent hosts=2,procs=50";
        let running = run_script(args, "setsid sleep 1000 & sleep 1000").start()?;
        let sleeps = || alive_as(&running.mark, "sleep").len();
        until("some ranks", WITHIN, || sleeps() >= n_started)?;
        running.signal(Signal::KILL)?;
        must_leave_nothing(&running, "a spawn")?;
    }
    Ok(())
}

fn killed_while_it_is_suspended_it_leaves_nothing() -> Outcome {
    let running = run_script("--extent procs=3", "echo up; sleep 1000 & sleep 1000").start()?;
    running.until_printed("up", 3)?;
    running.signal(Signal::TSTP)?;
    until("the program suspended", WITHIN, || state_of(running.pid()) == Some('T'))?;
    running.signal(Signal::KILL)?;
    must_leave_nothing(&running, "a suspended run")
}

/// F2, N9
fn suspended_for_less_than_its_lease_it_loses_no_rank() -> Outcome {
    let path = temporary("events");
    let args = format!("--extent hosts=2,procs=2 --lease 4s --events {}", path.display());
    let running = run_script(&args, "echo up; exec sleep 1000").start()?;
    running.until_printed("up", 4)?;
    running.signal(Signal::STOP)?;
    std::thread::sleep(Duration::from_millis(2_500));
    running.signal(Signal::CONT)?;
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(alive_as(&running.mark, "sleep").len(), 4);
    running.signal(Signal::TERM)?;
    let ended = running.finish()?.must_be(143)?;
    assert_eq!(ended.stderr.matches(": failed: ").count(), 0, "{}", ended.stderr);
    let events = events(&path)?;
    for rank in 0..4 {
        let statuses = statuses(&events, rank);
        let is_bad = |status: &str| ["failed", "timeout"].contains(&status);
        assert!(!statuses.iter().any(|(status, _)| is_bad(status)), "{statuses:?}");
    }
    Ok(())
}

/// F2, K2
fn suspended_for_longer_than_its_lease_its_ranks_are_orphaned_and_not_crashed() -> Outcome {
    let path = temporary("events");
    let args = format!("--extent hosts=2,procs=2 --lease 1s --events {}", path.display());
    let running = run_script(&args, "echo up; exec sleep 1000").start()?;
    running.until_printed("up", 4)?;
    running.signal(Signal::STOP)?;
    let within = Duration::from_secs(2) + GONE_WITHIN;
    until("culled ranks", within, || alive_as(&running.mark, "sleep").is_empty())?;
    // Long enough that its controller would have given up too.
    std::thread::sleep(Duration::from_millis(2_500));
    running.signal(Signal::CONT)?;
    let ended = running.finish()?.must_be(1)?;
    let orphaned = ": failed: orphaned: killed by its agent when its lease ran out";
    assert_eq!(ended.stderr.matches(orphaned).count(), 4, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(": failed: ").count(), 4, "{}", ended.stderr);
    let events = events(&path)?;
    let failed: Vec<_> = events.iter().filter(|event| event["status"] == "failed").collect();
    assert_eq!(failed.len(), 4, "{events:?}");
    assert!(failed.iter().all(|event| event["cause"] == "orphaned"), "{failed:?}");
    assert!(!events.iter().any(|event| event["status"] == "timeout"), "{events:?}");
    Ok(())
}

fn ranks_of_a_killed_guard_are_lost_and_gone() -> Outcome {
    let args = "--extent hosts=2,procs=2 --on-failure continue";
    let script = "sleep 0.2; echo up; sleep 2; echo went on";
    let running = run_script(args, script).start()?;
    running.until_printed("up", 4)?;
    let guards = guards_of(running.pid());
    let [first, _] = guards.as_slice() else { return Err(format!("{guards:?}").into()) };
    kill(*first, Signal::KILL)?;
    let mark = running.mark.clone();
    let ended = running.finish()?.must_be(1)?;
    must_be_gone(&mark)?;
    assert_eq!(
        ended.stderr.matches("failed: lost: its agent cannot say").count(),
        2,
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout.matches("went on").count(), 2, "the other host: {}", ended.stdout);
    assert!(!ended.stderr.contains("after 0.0 s"), "it had lived: {}", ended.stderr);
    Ok(())
}

/// H4, D8
fn ranks_of_a_silent_guard_time_out_and_nothing_is_left() -> Outcome {
    let path = temporary("events");
    // A busy machine is not to be what casts a doubt on the other guard.
    let times = "--lease 2s --suspect 1s --unreachable 1500ms --timeout 3100ms --check 1500ms \
        --poll-deadline 1500ms";
    let args = format!("--extent hosts=2,procs=2 {times} --events {}", path.display());
    let running = run_script(&args, "echo up; exec sleep 1000").start()?;
    running.until_printed("up", 4)?;
    let guards = guards_of(running.pid());
    kill(*guards.first().ok_or("there is a guard")?, Signal::STOP)?;
    let mark = running.mark.clone();
    running.finish()?.must_be(1)?;
    must_be_gone(&mark)?;
    let events = events(&path)?;
    let of_host =
        |rank| statuses(&events, rank).into_iter().map(|(status, _)| status).collect::<Vec<_>>();
    let silent = (0..4).find(|rank| of_host(*rank).contains(&"timeout".to_owned()));
    let silent = silent.ok_or_else(|| format!("no timeout in {events:?}"))?;
    let expected = ["initializing", "running", "suspect", "unreachable", "timeout"];
    assert_eq!(of_host(silent), expected);
    let healthy = 3 - silent;
    assert_eq!(of_host(healthy), ["initializing", "running", "stopping", "stopped"]);
    Ok(())
}

fn what_the_ranks_started_is_gone_after_a_good_end() -> Outcome {
    let script = "sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &) ; exit 0";
    let command = run_script("--extent hosts=2,procs=2", script);
    let mark = command.mark.clone();
    command.finish()?.must_be(0)?;
    must_be_gone(&mark)?;
    Ok(())
}

/// O3
fn two_hundred_restarts_leave_no_descriptor_and_no_process() -> Outcome {
    let args = "--extent procs=2 --max-restarts 200 --backoff-min 1ms --backoff-max 1ms";
    let script = "test $RANK = 1 && { echo up; exec sleep 1000; }
        test $MESHWARDEN_INCARNATION = $UNTIL && exec sleep 1000; exit 1";
    let running = run_script(args, script).env("UNTIL", "200").start()?;
    let n_open = || fs::read_dir(format!("/proc/{}/fd", running.pid())).map(Iterator::count);
    running.until_printed("up", 1)?;
    let before = n_open()?;
    until("200 lives", WITHIN, || running.stderr().contains("incarnation 199: failed"))?;
    until("the last life", WITHIN, || alive_as(&running.mark, "sleep").len() == 2)?;
    let within = format!("no more than {before} descriptors");
    until(&within, WITHIN, || n_open().is_ok_and(|after| after <= before + 4))?;
    assert_eq!(zombies_of(running.pid()), 0);
    assert!(guards_of(running.pid()).into_iter().all(|guard| zombies_of(guard) == 0));
    running.signal(Signal::INT)?;
    running.finish()?.must_be(130)?;
    Ok(())
}

fn zombies_of(parent: u32) -> usize {
    let lists = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(lists).unwrap_or_default();
    let pids = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| state_of(*pid) == Some('Z')).count()
}
