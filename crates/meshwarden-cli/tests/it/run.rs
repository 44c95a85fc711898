//! What a run does with its ranks: where they find themselves, how it ends, whom it starts again.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::fixture::{
    Ended, alive, alive_as, meshwarden, must_be_gone, run_script, temporary, until,
};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(the_first_failure_stops_the_others_within_a_second_and_is_named),
        trial(every_rank_finds_its_place_in_its_environment),
        trial(the_rest_of_the_environment_is_the_callers),
        trial(a_run_whose_ranks_all_end_well_ends_well),
        trial(a_rank_ended_by_a_signal_gives_the_code_of_a_shell),
        trial(on_continue_the_others_go_on_and_the_first_failure_gives_the_code),
        trial(a_failed_rank_is_started_again_with_backoff_as_a_new_incarnation),
        trial(more_restarts_than_allowed_end_the_run_with_one_escalation),
        trial(a_rank_that_ignores_sigterm_is_killed_after_the_grace),
        trial(every_change_of_status_is_one_line_of_the_events_file),
        trial(a_crash_while_stopping_keeps_its_cause),
    ]
}

/// The lines of an events file.
pub(crate) fn events(path: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// The statuses of a rank, in order, with their incarnations.
pub(crate) fn statuses(events: &[Value], rank: u64) -> Vec<(String, u64)> {
    let of_rank = events.iter().filter(|event| event["rank"] == rank);
    of_rank
        .map(|event| {
            let status = event["status"].as_str().unwrap_or_default().to_owned();
            (status, event["incarnation"].as_u64().unwrap_or(u64::MAX))
        })
        .collect()
}

fn reports(ended: &Ended, text: &str) -> Outcome {
    if ended.stderr.contains(text) {
        return Ok(());
    }
    Err(format!("{text:?} is not in {}", ended.stderr).into())
}

/// N1, N8
fn the_first_failure_stops_the_others_within_a_second_and_is_named() -> Outcome {
    let script = "if [ $RANK = 5 ]; then sleep 0.5; echo last words >&2; echo fails; exit 7; fi
        exec sleep 1000";
    let running = run_script("--extent procs=8", script).start()?;
    running.until_printed("fails", 1)?;
    let failed_at = Instant::now();
    let mark = running.mark.clone();
    until("all of it to be gone", Duration::from_secs(20), || alive(&mark).is_empty())?;
    let took = failed_at.elapsed();
    assert!(took < Duration::from_secs(1), "all were gone {took:?} after the failure");
    let ended = running.finish()?.must_be(7)?;
    reports(
        &ended,
        "rank 5 (procs=5) of proc mesh run, incarnation 0: failed: exit code 7, after 0.",
    )?;
    reports(&ended, "  | last words\n")?;
    assert_eq!(ended.stderr.matches(": failed: ").count(), 1, "{}", ended.stderr);
    Ok(())
}

fn every_rank_finds_its_place_in_its_environment() -> Outcome {
    let names = "MESHWARDEN_MESH MESHWARDEN_RANK MESHWARDEN_POINT MESHWARDEN_EXTENT
        MESHWARDEN_INCARNATION RANK WORLD_SIZE LOCAL_RANK LOCAL_WORLD_SIZE MASTER_ADDR";
    let script = format!("for name in {names} MASTER_PORT; do printenv $name; done | xargs echo");
    let ended = run_script("--extent hosts=2,procs=4 --name train", &script.replace('\n', " "))
        .finish()?
        .must_be(0)?;
    let mut ports = BTreeMap::new();
    for rank in 0..8 {
        let point = format!("hosts={},procs={}", rank / 4, rank % 4);
        let lines = ended.lines_of(&point);
        let [line] = lines.as_slice() else { return Err(format!("{rank}: {lines:?}").into()) };
        let (place, port) = line.rsplit_once(' ').ok_or("there is a port")?;
        let local = rank % 4;
        let expected =
            format!("train {rank} {point} hosts=2,procs=4 0 {rank} 8 {local} 4 127.0.0.1");
        assert_eq!(place, expected);
        *ports.entry(port.parse::<u16>()?).or_insert(0) += 1;
    }
    assert_eq!(ports.into_values().collect::<Vec<_>>(), [8], "all have the same port");
    Ok(())
}

fn the_rest_of_the_environment_is_the_callers() -> Outcome {
    let script = "printenv OF_THE_CALLER; pwd; readlink /proc/self/fd/0; ulimit -n; umask";
    let mut command = run_script("--extent procs=2", script).env("OF_THE_CALLER", "a = b  c");
    command.command.current_dir("/proc");
    let ended = command.finish()?.must_be(0)?;
    let here = meshwarden_free(script)?;
    for point in ["procs=0", "procs=1"] {
        assert_eq!(ended.lines_of(point), here.lines().collect::<Vec<_>>());
    }
    Ok(())
}

/// What the script prints when nothing is between it and us.
fn meshwarden_free(script: &str) -> Result<String, Box<dyn Error>> {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).stdin(std::process::Stdio::null());
    let output = command.env("OF_THE_CALLER", "a = b  c").current_dir("/proc").output()?;
    Ok(String::from_utf8(output.stdout)?)
}

fn a_run_whose_ranks_all_end_well_ends_well() -> Outcome {
    let ended = meshwarden(["run", "--", "true"]).finish()?.must_be(0)?;
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    Ok(())
}

fn a_rank_ended_by_a_signal_gives_the_code_of_a_shell() -> Outcome {
    for (signal, name) in [(9, "SIGKILL"), (11, "SIGSEGV"), (15, "SIGTERM")] {
        let script = format!("test $RANK = 1 && kill -{signal} $$; exec sleep 1000");
        let ended = run_script("--extent procs=2", &script).finish()?.must_be(128 + signal)?;
        reports(
            &ended,
            &format!(
                "rank 1 (procs=1) of proc mesh run, incarnation 0: failed: signal {signal} ({name})"
            ),
        )?;
    }
    Ok(())
}

fn on_continue_the_others_go_on_and_the_first_failure_gives_the_code() -> Outcome {
    let script =
        "case $RANK in 1) exit 3;; 2) sleep 0.3; exit 4;; *) sleep 0.6; echo went on;; esac";
    let ended = run_script("--extent procs=4 --on-failure continue", script).finish()?;
    let ended = ended.must_be(3)?;
    assert_eq!(ended.lines_of("procs=0"), ["went on"]);
    assert_eq!(ended.lines_of("procs=3"), ["went on"]);
    reports(&ended, "rank 1 (procs=1) of proc mesh run, incarnation 0: failed: exit code 3")?;
    reports(&ended, "rank 2 (procs=2) of proc mesh run, incarnation 0: failed: exit code 4")
}

/// RS1, RS2
fn a_failed_rank_is_started_again_with_backoff_as_a_new_incarnation() -> Outcome {
    let path = temporary("events");
    let args =
        format!("--extent procs=2 --max-restarts 5 --backoff-min 50ms --events {}", path.display());
    let script = "echo life $MESHWARDEN_INCARNATION
        test $RANK = 0 || test $MESHWARDEN_INCARNATION = 3 || exit 9";
    let ended = run_script(&args, script).finish()?.must_be(0)?;
    assert_eq!(ended.lines_of("procs=0"), ["life 0"]);
    assert_eq!(ended.lines_of("procs=1"), ["life 0", "life 1", "life 2", "life 3"]);
    assert_eq!(ended.stderr.matches("it will be started again").count(), 3, "{}", ended.stderr);
    let events = events(&path)?;
    let delays: Vec<f64> = events.iter().filter_map(|event| event["restart_in"].as_f64()).collect();
    // What is left of 50, 100 and 200 ms when it is told.
    assert_eq!(delays.len(), 3);
    assert!(delays.iter().zip([0.05, 0.1, 0.2]).all(|(delay, most)| *delay <= most), "{delays:?}");
    let starts: Vec<f64> = events
        .iter()
        .filter(|event| event["rank"] == 1 && event["status"] == "running")
        .filter_map(|event| event["t"].as_f64())
        .collect();
    let gaps: Vec<f64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let least = [0.05, 0.1, 0.2];
    assert!(
        gaps.len() == 3 && gaps.iter().zip(least).all(|(gap, least)| *gap >= 0.8 * least),
        "{gaps:?}"
    );
    let last: Vec<_> = statuses(&events, 1).into_iter().rev().take(2).collect();
    assert_eq!(last, [("stopped".to_owned(), 3), ("running".to_owned(), 3)]);
    Ok(())
}

/// RS3
fn more_restarts_than_allowed_end_the_run_with_one_escalation() -> Outcome {
    let args = "--extent procs=2 --max-restarts 2 --backoff-min 10ms";
    let ended = run_script(args, "test $RANK = 0 && exec sleep 1000; exit 9").finish()?;
    let ended = ended.must_be(9)?;
    assert_eq!(ended.stderr.matches(": failed: exit code 9").count(), 3, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("needed more than 2 restarts").count(), 1, "{}", ended.stderr);
    Ok(())
}

fn a_rank_that_ignores_sigterm_is_killed_after_the_grace() -> Outcome {
    let script = "test $RANK = 1 && { sleep 0.3; exit 3; }
        trap '' TERM; echo ignores; while :; do sleep 0.05; done";
    let running = run_script("--extent procs=3 --grace 700ms", script).start()?;
    running.until_printed("ignores", 2)?;
    let mark = running.mark.clone();
    let ended = running.finish()?.must_be(3)?;
    assert!(ended.took >= Duration::from_millis(1_000), "killed before the grace: {ended:?}");
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    must_be_gone(&mark)?;
    assert_eq!(ended.stderr.matches(": failed: ").count(), 1, "killed as asked: {}", ended.stderr);
    Ok(())
}

fn every_change_of_status_is_one_line_of_the_events_file() -> Outcome {
    let path = temporary("events");
    let args = format!("--extent hosts=1,procs=2 --name job --events {}", path.display());
    let script = "test $RANK = 0 && exec sleep 1000; sleep 0.2; echo why >&2; exit 6";
    run_script(&args, script).finish()?.must_be(6)?;
    let events = events(&path)?;
    let named =
        |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 0)).collect::<Vec<_>>();
    assert_eq!(statuses(&events, 0), named(&["initializing", "running", "stopping", "stopped"]));
    assert_eq!(statuses(&events, 1), named(&["initializing", "running", "failed"]));
    let failed = events.iter().find(|event| event["status"] == "failed").ok_or("one failed")?;
    assert_eq!(failed["point"], "hosts=0,procs=1");
    assert_eq!(failed["mesh"], "job");
    assert_eq!(failed["cause"], "exit");
    assert_eq!(failed["exit_code"], 6);
    assert_eq!(failed["stderr"], serde_json::json!(["why"]));
    assert!(failed["alive"].as_f64().is_some_and(|alive| alive > 0.19), "{failed}");
    assert_eq!(events.last().map(|event| &event["event"]), Some(&Value::from("closed")));
    let times: Vec<f64> = events.iter().filter_map(|event| event["t"].as_f64()).collect();
    assert!(times.len() == events.len() && times.is_sorted(), "{times:?}");
    Ok(())
}

/// H3, ST4
fn a_crash_while_stopping_keeps_its_cause() -> Outcome {
    let path = temporary("events");
    let args = format!("--extent procs=2 --events {}", path.display());
    let script = "trap 'echo burnt >&2; exit 21' TERM
        echo ready
        test $RANK = 0 && { sleep 0.3; exit 2; }
        while :; do sleep 0.05; done";
    let running = run_script(&args, script).start()?;
    running.until_printed("ready", 2)?;
    let mark = running.mark.clone();
    let ended = running.finish()?.must_be(2)?;
    assert!(alive_as(&mark, "sh").is_empty());
    reports(&ended, "rank 1 (procs=1) of proc mesh run, incarnation 0: failed: exit code 21")?;
    let events = events(&path)?;
    assert_eq!(statuses(&events, 1).pop(), Some(("failed".to_owned(), 0)));
    let stopping = events.iter().find(|event| event["event"] == "stopping");
    let reason = stopping.map(|event| &event["reason"]);
    assert_eq!(reason, Some(&Value::from("a rank has failed (--on-failure stop)")));
    Ok(())
}
