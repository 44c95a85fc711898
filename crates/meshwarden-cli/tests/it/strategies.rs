//! strategies: which ranks start again when one has failed.

use std::error::Error;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::fixture::{Ended, meshwarden, must_be_gone, run_script, temporary};
use crate::run::{events, statuses};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(one_for_all_stops_every_rank_and_starts_all_again),
        trial(rest_for_one_leaves_the_ranks_below_alone),
        trial(one_for_one_is_what_holds_if_nothing_is_said),
        trial(a_strategy_comes_from_the_environment_and_the_file_too),
        trial(a_strategy_that_is_none_is_refused),
    ]
}

/// Four ranks, of which rank 2 fails once, when all of them run; each that starts again is done.
fn run(flags: &str) -> Result<(Ended, Vec<Value>), Box<dyn Error>> {
    let (path, dir) = (temporary("events"), temporary("started"));
    std::fs::create_dir(&dir)?;
    let args = format!(
        "--extent procs=4 --max-restarts 1 --backoff-min 20ms {flags} --events {}",
        path.display()
    );
    let script = format!(
        "trap 'echo asked to end; exit 0' TERM
        echo life $MESHWARDEN_INCARNATION
        : > {dir}/$RANK.$MESHWARDEN_INCARNATION
        if [ $MESHWARDEN_INCARNATION = 0 ]; then
            while [ $(ls {dir} | wc -l) -lt 4 ]; do sleep 0.02; done
            [ $RANK = 2 ] && {{ sleep 0.1; exit 7; }}
        fi
        while [ ! -e {dir}/2.1 ]; do sleep 0.02; done
        sleep 0.2",
        dir = dir.display()
    );
    let command = run_script(&args, &script);
    let mark = command.mark.clone();
    let ended = command.finish()?.must_be(0)?;
    must_be_gone(&mark)?;
    std::fs::remove_dir_all(&dir)?;
    assert_eq!(ended.stderr.matches(": failed: exit code 7").count(), 1, "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(": failed").count(), 1, "{}", ended.stderr);
    Ok((ended, events(&path)?))
}

/// The incarnations in which a rank ran.
fn lives(events: &[Value], rank: u64) -> Vec<u64> {
    let ran = statuses(events, rank).into_iter().filter(|(status, _)| status == "running");
    ran.map(|(_, incarnation)| incarnation).collect()
}

fn is_restarted(ended: &Ended, events: &[Value], rank: u64) -> Outcome {
    let point = format!("procs={rank}");
    let mut lines = vec!["life 0", "asked to end", "life 1"];
    lines.retain(|line| rank != 2 || *line != "asked to end");
    assert_eq!(ended.lines_of(&point), lines);
    assert_eq!(lives(events, rank), [0, 1]);
    Ok(())
}

fn is_left_alone(ended: &Ended, events: &[Value], rank: u64) -> Outcome {
    assert_eq!(ended.lines_of(&format!("procs={rank}")), ["life 0"]);
    assert_eq!(lives(events, rank), [0]);
    Ok(())
}

/// RS4
fn one_for_all_stops_every_rank_and_starts_all_again() -> Outcome {
    let (ended, events) = run("--restart-strategy one-for-all")?;
    (0..4).try_for_each(|rank| is_restarted(&ended, &events, rank))?;
    let first = statuses(&events, 0);
    let names: Vec<_> = first.iter().map(|(status, life)| (status.as_str(), *life)).collect();
    assert_eq!(
        names,
        [
            ("initializing", 0),
            ("running", 0),
            ("stopping", 0),
            ("stopped", 0),
            ("initializing", 1),
            ("running", 1),
            ("stopped", 1)
        ]
    );
    Ok(())
}

/// RS4
fn rest_for_one_leaves_the_ranks_below_alone() -> Outcome {
    let (ended, events) = run("--restart-strategy rest-for-one")?;
    (0..2).try_for_each(|rank| is_left_alone(&ended, &events, rank))?;
    (2..4).try_for_each(|rank| is_restarted(&ended, &events, rank))
}

fn one_for_one_is_what_holds_if_nothing_is_said() -> Outcome {
    for flags in ["", "--restart-strategy one-for-one"] {
        let (ended, events) = run(flags)?;
        [0, 1, 3].into_iter().try_for_each(|rank| is_left_alone(&ended, &events, rank))?;
        is_restarted(&ended, &events, 2)?;
    }
    Ok(())
}

fn a_strategy_comes_from_the_environment_and_the_file_too() -> Outcome {
    let file = temporary("settings.toml");
    std::fs::write(&file, "restart_strategy = \"rest-for-one\"\ntrace = \"t\"\n")?;
    let file = file.to_str().ok_or("the path is text")?;
    let shown = |ended: &Ended, key: &str| {
        let line = ended.stdout.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_ascii_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    let ended = meshwarden(["config"]).finish()?.must_be(0)?;
    assert_eq!(shown(&ended, "restart_strategy"), "one-for-one preset, built in");
    assert_eq!(shown(&ended, "trace"), "- preset, built in");
    let ended = meshwarden(["config", "--config", file]).finish()?.must_be(0)?;
    assert_eq!(shown(&ended, "restart_strategy"), "rest-for-one file");
    assert_eq!(shown(&ended, "trace"), "t file");
    // A rank's run must not record to the file of the run that it is in.
    let ended = meshwarden(["config", "--config", file])
        .env("MESHWARDEN_RESTART_STRATEGY", "one-for-all")
        .env("MESHWARDEN_TRACE", "other")
        .finish()?
        .must_be(0)?;
    assert_eq!(shown(&ended, "restart_strategy"), "one-for-all environment");
    assert_eq!(shown(&ended, "trace"), "t file");
    Ok(())
}

fn a_strategy_that_is_none_is_refused() -> Outcome {
    let ended = meshwarden(["run", "--restart-strategy", "all", "--", "true"]).finish()?;
    let says = "invalid value 'all' for '--restart-strategy";
    assert!(ended.code() == 2 && ended.stderr.contains(says), "{ended:?}");
    assert!(ended.stderr.contains("one-for-one, one-for-all, rest-for-one"), "{ended:?}");
    Ok(())
}
